"""The fused model against itself: trees, padding, caches, modes, gradients."""

import math
from dataclasses import replace

import pytest
import torch

from fusion.errors import FusionError
from fusion.families import vision_tower
from fusion.losses import POSITIVE_WEIGHT


def test_mode_none_equals_the_base_model_bit_for_bit(make, row, asked):
    model, collator = make({"mode": "none", "anchor": False})
    assert model.joints is None
    batch = collator([row(branches=[asked("the left arm")])])
    plain = collator.processor(
        text=[collator.processor.apply_chat_template(
            [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": asked().question}]},
             {"role": "assistant", "content": "the left arm"}], tokenize=False)],
        videos=[torch.from_numpy(row().frames.images).permute(0, 3, 1, 2)],
        video_metadata=[{"total_num_frames": 4, "fps": 4 / 3.0, "frames_indices": [0, 1, 2, 3]}],
        do_sample_frames=False, return_tensors="pt",
    )  # fmt: skip
    assert torch.equal(plain["input_ids"], batch.prompt.input_ids)
    places = slice(batch.answers.sources[0], batch.answers.sources[-1] + 1)
    with torch.no_grad():
        base = model.mllm(**plain).logits[0, places].log_softmax(-1).gather(1, batch.answers.targets[:, None])[:, 0]
        assert torch.equal(model(batch)[0], base)


@pytest.mark.parametrize("position", ["time", "text"])
def test_questions_in_one_tree_equal_each_alone(make, position, row, asked):
    model, collator = make({"position": position})
    answers = ("the left arm", "kick", "both")
    tree = row(persons=2, branches=[asked(*answers), asked("0", "5", question="both kick?"), asked("1.2 to 3.4")])
    with torch.no_grad():
        together = model.score(collator([tree]))
        alone = torch.cat(
            [
                model.score(collator([row(persons=2, branches=[asked(answer, question=branch.question)])]))
                for branch in tree.branches
                for answer in branch.answers
            ]
        )
    torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-5)
    assert together.std() > 0.1


def test_a_padded_batch_equals_each_row_alone(make, row, asked):
    model, collator = make()
    rows = [
        row(persons=1, seconds=2.0, branches=[asked("the left arm")]),
        row(persons=3, seconds=4.0, branches=[asked("kick", question="both kick?")], seed=1),
        row(persons=0, branches=[asked("both")], seed=2),
        row(persons=2, video=False, branches=[asked("the right leg")], seed=3),
        row(persons=0, video=False, branches=[asked("0")]),
    ]
    for left in (False, True):
        with torch.no_grad():
            together = model.score(collator(rows, left=left))
            alone = torch.cat([model.score(collator([single])) for single in rows])
        torch.testing.assert_close(together, alone, atol=1e-4, rtol=1e-5)


def test_generation_with_a_cache_equals_scoring_without_one(make, row, asked):
    model, collator = make()
    rows = [row(persons=2, branches=[asked()]), row(persons=1, seconds=2.0, branches=[asked(question="kick?")], seed=1)]
    ids = model.generate(collator(rows, left=True), max_new_tokens=5)
    tokenizer = collator.processor.tokenizer
    for single, new in zip(rows, ids, strict=True):
        kept = new[: (new == tokenizer.eos_token_id).nonzero()[0] + 1] if tokenizer.eos_token_id in new else new
        batch = collator([single], left=True)
        for place, token in enumerate(kept.tolist()):  # the whole prompt again for every token
            with torch.no_grad(), model.fused(batch):
                text = torch.cat([batch.prompt.input_ids, kept[None, :place]], 1)
                grown = batch.prompt.position_ids[..., -1:] + 1 + torch.arange(place)
                positions = torch.cat([batch.prompt.position_ids, grown], -1)
                logits = model.mllm(
                    input_ids=text, position_ids=positions, attention_mask=torch.ones_like(text), **batch.prompt.media
                ).logits
            assert logits[0, -1].argmax() == token


@pytest.mark.parametrize("left", [False, True])
def test_tokens_left_out_are_as_if_masked(make, row, asked, left):
    model, collator = make()
    branches = [asked("the left arm", "kick"), asked("0", question="both kick?")]
    batch = collator([row(2, branches=branches), row(0, branches=branches), row(1, 2.0, branches=branches)], left=left)
    told = batch.body.plan.mask & (torch.rand(batch.body.plan.mask.shape, generator=torch.manual_seed(0)) < 0.5)
    told[:, 0] = batch.body.plan.mask[:, 0]
    hidden = batch.prompt.placeholders.clone()
    hidden[batch.prompt.placeholders] = ~told[batch.body.plan.mask]
    with torch.no_grad():
        ends = batch.prompt.subtree_end.masked_fill(hidden, 0)
        masked = model(replace(batch, prompt=replace(batch.prompt, subtree_end=ends)))[0]
        forward = model.joints.forward
        model.joints.forward = lambda *inputs: (forward(*inputs)[0], told, {})
        shorter = model(batch)[0]
        assert not torch.allclose(
            shorter, model(replace(batch, prompt=replace(batch.prompt, subtree_end=None)))[0], atol=1e-3
        )  # trees do matter here
        with model.fused(batch) as (kept, _):
            model.mllm(input_ids=kept.prompt.input_ids, position_ids=kept.prompt.position_ids, **kept.prompt.media)
    assert kept.prompt.input_ids.shape[1] < batch.prompt.input_ids.shape[1]
    assert kept.prompt.placeholders.sum(1).tolist() == told.sum(1).tolist()
    torch.testing.assert_close(shorter, masked, atol=1e-4, rtol=1e-5)


def test_limbs_that_rest_stay_out_of_the_prompt(make, row, asked):
    model, collator = make({"min_activity": 0.5}, train={"event_loss": 1.0})
    rows = [row(persons=2, branches=[asked()]), row(persons=1, seconds=2.0, branches=[asked(question="kick?")], seed=1)]
    batch = collator(rows, left=True)
    with torch.no_grad():
        torch.nn.init.zeros_(model.joints.events.weight)
        for logit, expected in ((1e-3, batch.body.plan.mask.sum(1).tolist()), (-1e-3, [0, 0])):
            model.joints.events.bias.fill_(
                math.log(POSITIVE_WEIGHT) + logit
            )  # the loss asks for POSITIVE_WEIGHT times the odds
            with model.fused(batch) as (kept, _):
                model.mllm(input_ids=kept.prompt.input_ids, position_ids=kept.prompt.position_ids, **kept.prompt.media)
            assert kept.prompt.placeholders.sum(1).tolist() == expected
        assert model.generate(batch, max_new_tokens=3).shape[0] == 2


def test_beam_search_keeps_the_pose(make, row, asked):
    model, collator = make()
    batch = collator([row(persons=2, branches=[asked()])], left=True)
    options = dict(
        input_ids=batch.prompt.input_ids, attention_mask=batch.prompt.attention_mask, position_ids=batch.prompt.position_ids,
        max_new_tokens=4, num_beams=3, do_sample=False, output_scores=True, return_dict_in_generate=True, **batch.prompt.media,
    )  # fmt: skip
    with torch.no_grad():
        with model.fused(batch):
            first = model.mllm.generate(**options)
        other = collator([row(persons=2, branches=[asked()], seed=0)], left=True)
        other.body.skeletons.keypoints.mul_(0.3)
        with model.fused(other):
            second = model.mllm.generate(**options)
    assert first.sequences_scores != second.sequences_scores


def test_answers_depend_on_the_pose_and_on_the_video(make, row, asked):
    model, collator = make()
    branches = [asked("the left arm", "kick")]
    with torch.no_grad():
        scores = [
            model.score(collator([row(persons=persons, video=video, branches=branches)]))
            for persons, video in ((1, True), (2, True), (0, True), (1, False), (0, False))
        ]
    for i, one in enumerate(scores):
        for other in scores[:i]:
            assert (one - other).abs().max() > 1e-4


def test_anchoring_ties_joints_to_pixels(make, row, asked):
    """With the video's own tokens hidden from the decoder, pixels still reach the joint tokens."""
    model, collator = make()
    batch = collator([row(branches=[asked("kick")]), row(branches=[asked("kick")], seed=1)])
    batch.body.skeletons.keypoints[1] = batch.body.skeletons.keypoints[0]
    batch.body.skeletons.visible[1], batch.body.skeletons.confidence[1] = (
        batch.body.skeletons.visible[0],
        batch.body.skeletons.confidence[0],
    )
    with torch.no_grad():
        _, volumes = model.family.video_features(model.mllm, batch.prompt.media)
        tokens, mask, _ = model.joints(batch.body, batch.prompt, volumes)
        same = replace(batch, body=replace(batch.body, colours=batch.body.colours[:1] * 2))
        blind, _, _ = model.joints(same.body, same.prompt, [volumes[0], volumes[0]])
    assert not torch.allclose(tokens[0][mask[0]], tokens[1][mask[1]], atol=1e-4)
    torch.testing.assert_close(blind[0], blind[1])


@pytest.mark.parametrize(
    ("mllm", "trained"),
    [
        ({"freeze_vision": True, "freeze_language": True}, {"joints"}),
        ({"freeze_vision": True, "freeze_language": False}, {"joints", "mllm.model.language_model", "mllm.lm_head"}),
        ({"freeze_vision": True, "freeze_language": True, "lora_rank": 2}, {"joints", "lora"}),
    ],
)
def test_gradients_reach_what_trains_and_nothing_else(make, mllm, trained, row, asked):
    model, collator = make(mllm=mllm)
    rows = [row(persons=2, branches=[asked("the left arm")]), row(persons=0, branches=[asked("kick")])]
    (-model.train()(collator(rows))[0].mean()).backward()
    moved = {name for name, parameter in model.named_parameters() if parameter.grad is not None}
    expected = {
        name
        for name, _ in model.named_parameters()
        if any(name.startswith(part) if part != "lora" else "lora_" in name for part in trained)
    }
    assert moved == expected
    assert all(model.get_parameter(name).grad.isfinite().all() for name in moved)


def test_frozen_towers_stay_in_eval_mode_and_decoder_layers_do_not(make):
    model, _ = make(mllm={"freeze_vision": True, "freeze_language": True})
    model.train()
    assert not vision_tower(model.mllm).training
    assert all(layer.training for layer in model.mllm.model.language_model.layers)
    assert model.joints.training


def test_placeholders_that_disagree_with_the_tokens_are_an_error(make, row, asked):
    model, collator = make()
    batch = collator([row(branches=[asked("kick")])])
    batch.prompt.placeholders[0, -1] = True
    with pytest.raises(FusionError, match="37 joint placeholders in its text but 36 joint tokens"):
        model(batch)


def test_gradient_checkpointing_gives_the_same_gradients(make, row, asked):
    model, collator = make(mllm={"freeze_language": True})
    batch = collator([row(persons=2, branches=[asked("the left arm")])])
    gradients = []
    for checkpointing in (False, True):
        if checkpointing:
            model.mllm.gradient_checkpointing_enable({"use_reentrant": False})
        model.train().zero_grad()
        (-model(batch)[0].mean()).backward()
        gradients.append(model.joints.projector.layers[0].weight.grad.clone())
    torch.testing.assert_close(*gradients)
    assert gradients[0].abs().max() > 0
