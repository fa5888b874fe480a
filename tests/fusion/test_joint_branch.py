"""Joint tokens as sums of the language model's words, and the oracle that knows the events."""

from dataclasses import replace

import pytest
import torch

from fusion.event_words import EventWords, total_counts
from fusion.joint_branch import OracleBranch
from fusion.losses import EVENT_PRIOR, event_probabilities, look_loss
from fusion.tokens import TokenPlan
from hybrid.runs.build import build
from skeleton.events.limb_event import LimbEvent
from skeleton.events.targets import columns
from skeleton.layouts.layout import LIMBS

WAVE, UP, REPEATED = columns()["wave"], columns()["up"], columns()["repetitions"]
LIMB = LIMBS.index("left arm")


@pytest.fixture
def plan():
    """One person, three bins of a second."""
    return TokenPlan(torch.tensor([3]), torch.tensor([1.0]), torch.tensor([[True]]), len(LIMBS))


def place(step, limb=LIMB):
    return 1 + step * len(LIMBS) + limb


@pytest.fixture
def events():
    """The left arm waves 1.5 times in the first second and 2 in the second, upwards in the second."""
    known = torch.zeros(1, 1 + 3 * len(LIMBS), len(columns()))
    known[0, place(0), WAVE] = known[0, place(1), WAVE] = known[0, place(1), UP] = 1
    known[0, place(0), REPEATED], known[0, place(1), REPEATED] = 1.5, 2.0
    return known


@pytest.fixture
def words(make):
    model, collator = make()
    embedding = model.mllm.get_input_embeddings()
    return EventWords(embedding, collator.encode, events=True), embedding.weight, collator.encode


def test_every_token_of_a_movement_knows_how_often_it_is_done(plan, events):
    counts = total_counts(events, plan)[0]
    assert counts[place(0)] == pytest.approx(3.5)
    assert counts[place(1)] == pytest.approx(3.5)
    assert counts.sum() == pytest.approx(7.0)


def test_a_movement_that_is_unsure_counts_as_often(plan, events):
    """Half a belief in a wave is no half of its repetitions."""
    events[..., columns()["wave"]] *= 0.6
    counts = total_counts(events, plan)[0]
    assert counts[place(0)] == pytest.approx(3.5) and counts[place(1)] == pytest.approx(3.5)


def test_a_new_event_head_says_that_nothing_happens(make):
    model, _ = make(train={"event_loss": 1.0})
    told = event_probabilities(model.joints.events(torch.zeros(1, 2, model.joints.encoder.width)))
    assert told[..., :-1].max().item() == pytest.approx(EVENT_PRIOR, rel=0.02)


def test_a_token_is_the_sum_of_its_words_and_rest_where_nothing_happens(plan, events, words):
    made, table, encode = words

    def of(text):
        return table[encode(text)].sum(0)

    tokens = made(plan, events, 0.0)[0]
    counted = (of("3") + of("4")) / 2
    first = of(" left arm") + of("0.5") + of(" wave") + counted
    torch.testing.assert_close(tokens[place(0)], first)
    torch.testing.assert_close(tokens[place(1)], first - of("0.5") + of("1.5") + of(" up"))
    torch.testing.assert_close(tokens[place(2)], made.rest)
    torch.testing.assert_close(tokens[place(0, LIMB + 1)], made.rest)
    half = made(plan, 0.5 * events, 0.0)[0]
    assert not torch.allclose(half[place(0)], tokens[place(0)])


def test_without_events_a_token_says_limb_second_and_look(plan, words):
    made, table, encode = words
    tokens = made(plan, None, torch.ones(1, 1 + 3 * len(LIMBS), table.shape[1]))[0]
    expected = table[encode(" left arm")].sum(0) + table[encode("2.5")].sum(0) + made.LOOK_WEIGHT
    torch.testing.assert_close(tokens[place(2)], expected)


def test_words_follow_the_language_model_and_have_no_weights_of_their_own(plan, events, words):
    made, table, _ = words
    assert [name for name, _ in made.named_parameters()] == ["rest"]
    before = made(plan, events, 0.0)
    with torch.no_grad():
        table.mul_(2)
    torch.testing.assert_close(made(plan, events, 0.0)[0, place(0)], 2 * before[0, place(0)])
    made(plan, events, 0.0).sum().backward()
    assert table.grad.abs().sum() > 0


def test_a_frozen_encoder_stays_in_eval_mode_and_the_rest_trains(tiny_config, tiny_samples):
    model, _ = build(replace(tiny_config, encoder=replace(tiny_config.encoder, freeze=True)), tiny_samples)
    model.train()
    assert not model.joints.encoder.training
    assert not any(parameter.requires_grad for parameter in model.joints.encoder.parameters())
    assert model.joints.projector.training
    assert all(parameter.requires_grad for parameter in model.joints.projector.parameters())


def test_the_look_loss_by_hand():
    told = torch.tensor([[[2.0, 0.0], [1.0, 1.0], [5.0, 5.0]]])
    seen = torch.tensor([[[0.0, 0.0], [1.0, 3.0], [9.0, 9.0]]])
    known = torch.tensor([[True, True, False]])
    assert look_loss(seen, told, known) == pytest.approx((1.0 + 2.0) / 2)
    assert look_loss(seen, told, ~known & False) == 0


def test_the_anchor_learns_to_name_looks(tiny_config, tiny_samples, row, asked):
    config = replace(tiny_config, train=replace(tiny_config.train, look_loss=1.0))
    model, collator = build(config, tiny_samples)
    rows = [replace(row(2, 3.0, branches=[asked("kick")]), looks={1: "both"}), row(1, 2.0, branches=[asked("both")])]
    batch = collator(rows)
    model.train()
    losses, optimizer = [], torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(20):
        optimizer.zero_grad()
        loss = model(batch)[1]["look_loss"]
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]
    assert model(collator([replace(rows[0], frames=None)]))[1]["look_loss"] == 0  # nothing is seen without a video


def test_the_oracle_reads_events_and_looks(tiny_config, tiny_samples, row, asked):
    config = replace(
        tiny_config,
        encoder=replace(tiny_config.encoder, name="oracle"),
        fusion=replace(tiny_config.fusion, anchor=False),
        data=replace(tiny_config.data, events=["x"]),
    )
    model, collator = build(config, tiny_samples)
    assert isinstance(model.joints, OracleBranch)
    wave = LimbEvent(person=0, limb="left arm", movement="wave", start=0.0, end=3.0, count=3)
    still = replace(row(2, 3.0, video=False, branches=[asked("kick")]), events=(), looks={})
    tokens = {}
    for name, changed in {
        "still": still,
        "waving": replace(still, events=(wave,)),
        "red": replace(still, events=(wave,), looks={0: "both"}),
        "other red": replace(still, events=(wave,), looks={1: "both"}),
    }.items():
        batch = collator([changed])
        tokens[name] = model.joints(batch.body, batch.prompt, None)[0][0]
        assert torch.isfinite(model(batch)[0]).all()
    differs = {name: (tokens[name] != tokens["waving"]).any(-1) for name in tokens}
    arm = torch.tensor([LIMBS[(i - 1) % len(LIMBS)] == "left arm" for i in range(len(tokens["still"]))])
    arm[0] = False
    first = torch.arange(len(arm)) <= (len(arm) - 1) // 2
    assert torch.equal(differs["still"], arm & first)
    assert torch.equal(differs["red"], arm & first)
    assert not differs["other red"].any()  # who does nothing is at rest, whatever the look


@pytest.mark.parametrize(
    "name", ["stgcn", "ctrgcn", "skateformer", "dstformer", "jointgroups", "cnn1d", "panoramic", "mmaction"]
)
def test_any_encoder_makes_joint_tokens(tiny_config, tiny_samples, row, asked, name):
    encoder = replace(
        tiny_config.encoder, name=name, width=48, depth=4, stride=4, options={"heads": 4} if name == "dstformer" else {}
    )
    model, collator = build(replace(tiny_config, encoder=encoder), tiny_samples)
    batch = collator([row(2, 3.0, video=False, branches=[asked("kick")])])
    tokens, mask, _ = model.joints(batch.body, batch.prompt, None)
    assert tokens.shape[:2] == mask.shape
    assert torch.isfinite(tokens).all() and tokens.std() > 0
    tokens.square().mean().backward()
    assert any(p.grad is not None and p.grad.any() for p in model.joints.encoder.parameters())
