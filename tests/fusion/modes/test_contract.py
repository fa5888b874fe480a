"""What every fusion mode keeps to: a mode that is added to the table is tested here without another line."""

from dataclasses import replace

import pytest
import torch

from fusion.modes import MODES, mode_class

every_mode = pytest.mark.parametrize("mode", MODES)


@pytest.fixture
def made(make):
    """made(mode) -> (model, collator), with as many tokens as the pose in words needs."""
    return lambda mode: make({"mode": mode, "anchor": False, "text_tokens": 1500})


def score(model, collator, rows):
    with torch.no_grad():
        return model.score(collator(rows))


@every_mode
def test_the_skeleton_matters_unless_the_mode_is_none(made, row, asked, mode):
    model, collator = made(mode)
    one = row(persons=2, branches=[asked("the left arm", "kick")])
    other = replace(one, skeleton=row(persons=2, seed=7).skeleton)
    first, second = score(model, collator, [one]), score(model, collator, [other])
    assert torch.equal(first, second) == (mode == "none")


@every_mode
def test_a_row_without_a_skeleton_or_a_video_is_legal_beside_others(made, row, asked, mode):
    model, collator = made(mode)
    rows = [
        row(persons=2, branches=[asked("kick")]),
        row(persons=0, branches=[asked("both")], seed=1),
        row(persons=1, video=False, branches=[asked("0")], seed=2),
        row(persons=0, video=False, branches=[asked("kick")]),
    ]
    together = score(model, collator, rows)
    alone = torch.cat([score(model, collator, [single]) for single in rows])
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-5)
    if not MODES[mode].encodes:  # without a skeleton nothing is left of the mode
        assert collator.mode.prompt(rows[1]) == [] and collator.mode.frames(rows[1]) is rows[1].frames


@every_mode
def test_questions_share_a_prefix_and_answers_are_generated(made, row, asked, mode):
    model, collator = made(mode)
    branches = [asked("the left arm", "kick"), asked("0", question="both kick?")]
    tree = row(persons=2, branches=branches)
    alone = [row(persons=2, branches=[asked(a, question=b.question)]) for b in branches for a in b.answers]
    apart = torch.cat([score(model, collator, [single]) for single in alone])
    torch.testing.assert_close(score(model, collator, [tree]), apart, atol=1e-4, rtol=1e-5)
    batch = collator([row(persons=2, branches=[asked()]), row(persons=1, seconds=2.0, branches=[asked()])], left=True)
    with torch.no_grad():
        assert model.generate(batch, max_new_tokens=2).shape[0] == 2


@every_mode
def test_what_is_built_trains_and_has_no_part_without_a_gradient(made, row, asked, mode):
    model, collator = made(mode)
    built = [] if model.joints is None else list(model.joints.named_parameters())
    assert bool(built) == MODES[mode].encodes
    rows = [row(persons=2, branches=[asked("kick")]), row(persons=0, branches=[asked("both")])]
    scores, losses = model.train()(collator(rows))
    (-scores.mean() + sum(losses.values())).backward()
    assert [name for name, weight in built if weight.grad is None] == []


@every_mode
def test_its_cost_is_what_the_prompt_holds_more_than_the_base_models(made, row, asked, mode):
    _, collator = made(mode)
    rows = [row(persons=2, branches=[asked("kick")])]
    base = made("none")[1](rows).prompt.input_ids.shape[1]
    count, kind = collator.mode.tokens(rows, batch := collator(rows))
    more = batch.prompt.input_ids.shape[1] - base - (len(collator.encode("\n")) if MODES[mode].encodes else 0)
    assert count == more
    assert kind and mode_class(mode).describe(collator.mode.options)
