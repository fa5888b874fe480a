"""Batches by the numbers, for the tiny model: 4 frames of 56 pixels are 2 x 2 x 2 visual tokens, a bin is half a second."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from fusion.batch import Branch
from fusion.errors import FusionError
from fusion.pose_text import pose_as_text
from skeleton.errors import SkeletonError
from skeleton.events.limb_event import LimbEvent
from skeleton.events.targets import columns
from skeleton.layouts.layout import LIMBS

QUESTION = "Which limb does the person raise?"
LIMB_COUNT = len(LIMBS)


@pytest.fixture(scope="module")
def collators(tiny_config, tiny_samples):
    """collators(mode, position): a collator of the tiny model."""
    from hybrid.data.collation import Collator
    from hybrid.models.mllm import load_family, load_processor
    from hybrid.runs.build import resolve_mllm

    config = resolve_mllm(tiny_config, tiny_samples)
    processor, family = load_processor(config), load_family(config)

    def make(mode="tokens", position="time", **more):
        fusion = replace(tiny_config.fusion, mode=mode, position=position, **more)
        return Collator(processor, family, fusion, "coco17")

    return make


def ids(collator, text):
    return collator.processor.tokenizer.encode(text, add_special_tokens=False)


def pieces(collator, *parts):
    """Token ids of texts, one by one; a number is so many placeholders of the video."""
    video = ids(collator, "<|video_pad|>")
    return [token for part in parts for token in (video * part if isinstance(part, int) else ids(collator, part))]


def test_a_row_is_video_joints_question_answer_in_this_order(collators, row):
    collator = collators()
    batch = collator([row(persons=2, seconds=2.0, branches=[Branch(QUESTION, ("kick",))])])
    joints = 2 * 4 * LIMB_COUNT  # persons, bins, limbs
    before = pieces(collator, "<|im_start|><|vision_start|>", 8, "<|vision_end|>")
    after = pieces(collator, "\n", QUESTION, "<|im_end|><|im_start|>", "kick", "<|im_end|>")
    assert batch.prompt.input_ids.tolist() == [before + [collator.pad] * joints + after]
    expected = torch.zeros_like(batch.prompt.placeholders)
    expected[0, len(before) : len(before) + joints] = True
    assert torch.equal(batch.prompt.placeholders, expected)
    assert batch.prompt.media["video_grid_thw"].tolist() == [[2, 4, 4]]
    assert batch.prompt.media["second_per_grid_ts"].tolist() == [1.0]  # two frames of 2 s in four
    assert int(batch.body.plan.mask.sum()) == joints


def test_mode_none_has_no_joints_at_all(collators, row):
    batch = collators("none")([row(persons=2, branches=[Branch(QUESTION, ("kick",))])])
    assert batch.body is None
    assert not batch.prompt.placeholders.any()


def test_a_pose_in_words_is_ordinary_text_between_video_and_question(collators, row):
    collator, plain = collators("text", text_tokens=1500), collators("none")
    one = row(persons=2, branches=[Branch(QUESTION, ("kick",)), Branch("both?", ("both",))])
    batch, base = collator([one]), plain([one])
    assert batch.body is None and not batch.prompt.placeholders.any()
    before = len(pieces(collator, "<|im_start|><|vision_start|>", 8, "<|vision_end|>"))
    text = pose_as_text(one.skeleton, 0.0, 3.0, 1500, lambda text: len(ids(collator, text + "\n")))
    words = ids(collator, text + "\n")
    around = base.prompt.input_ids[0].tolist()
    assert batch.prompt.input_ids[0].tolist() == [*around[:before], *words, *around[before:]]
    assert len(words) <= 1500
    shifted = base.prompt.position_ids[:, 0].clone()
    shifted[:, before:] += len(words)  # the text pushes the question on
    kept = torch.cat(
        [batch.prompt.position_ids[:, 0, :before], batch.prompt.position_ids[:, 0, before + len(words) :]], 1
    )
    assert torch.equal(kept, shifted)
    assert batch.answers.sources.tolist() == (base.answers.sources + len(words)).tolist()


def test_a_pose_in_words_keeps_to_the_persons_and_the_budget(collators, row):
    three = row(persons=3, branches=[Branch(QUESTION)])
    texts = [
        collator.processor.tokenizer.decode(collator.mode.prompt(three))
        for collator in (collators("text", text_tokens=4000), collators("text", text_tokens=4000, max_persons=1))
    ]
    assert [text.count("\nPerson") for text in texts] == [3, 1]
    with pytest.raises(SkeletonError, match=r"expected a budget of at least \d+ tokens, .* found 300: give more"):
        collators("text", text_tokens=300)([three])


def test_targets_are_exactly_the_answer_and_its_end(collators, row):
    collator = collators()
    rows = [
        row(branches=[Branch(QUESTION, ("the left arm", "kick")), Branch("both?", ("0567890",))]),
        row(persons=0, video=False, branches=[Branch(QUESTION, ("both",))]),
    ]
    answers = ["the left arm", "kick", "0567890", "both"]
    for left in (False, True):
        batch = collator(rows, left=left)
        assert batch.answers.count == 4
        for number, answer in enumerate(answers):
            mine = batch.answers.numbers == number
            spoken = [*ids(collator, answer), collator.end]
            assert batch.answers.targets[mine].tolist() == spoken
            assert batch.answers.rows[mine].unique().tolist() == [int(number == 3)]
            line, sources = batch.prompt.input_ids[batch.answers.rows[mine][0]], batch.answers.sources[mine]
            start = int(sources[1]) if len(spoken) > 1 else None
            assert (
                line[start : start + len(spoken)].tolist() == spoken
            )  # the tokens stand where they are predicted from
            assert sources.tolist() == [int(sources[0]), *range(start, start + len(spoken) - 1)]
            assert int(line[sources[0]]) == ids(collator, "<|im_start|>")[0]  # the last token before the answer


def test_answers_of_one_question_share_their_first_source(collators, row):
    batch = collators()([row(branches=[Branch(QUESTION, ("kick", "both"))])])
    first = [int(batch.answers.sources[batch.answers.numbers == number][0]) for number in (0, 1)]
    assert first[0] == first[1]
    starts = [
        batch.prompt.position_ids[:, 0, int(batch.answers.sources[batch.answers.numbers == number][1])]
        for number in (0, 1)
    ]
    assert starts[0].tolist() == starts[1].tolist()  # both options begin at the same position


def test_a_batch_of_one_answer_each_needs_no_tree(collators, row):
    collator = collators()
    assert collator([row(branches=[Branch(QUESTION, ("kick",))])] * 2).prompt.subtree_end is None
    assert collator([row(branches=[Branch(QUESTION, ("kick", "both"))])]).prompt.subtree_end is not None


def test_padding_on_either_side_leaves_each_row_as_it_is_alone(collators, row):
    collator = collators()
    rows = [
        row(persons=1, seconds=1.0, branches=[Branch(QUESTION, ("kick", "both")), Branch("kick?")]),
        row(persons=2, seconds=3.0, branches=[Branch("kick?"), Branch(QUESTION, ("kick",))]),
    ]
    alone = [collator([single]) for single in rows]
    lengths = [single.prompt.input_ids.shape[1] for single in alone]
    assert lengths[0] < lengths[1]
    for left in (False, True):
        batch = collator(rows, left=left)
        assert batch.prompt.input_ids.shape == (2, max(lengths))
        for i, (single, length) in enumerate(zip(alone, lengths, strict=True)):
            place = slice(max(lengths) - length, None) if left else slice(0, length)
            assert batch.prompt.attention_mask[i].sum() == length
            assert batch.prompt.attention_mask[i, place].all()
            assert torch.equal(batch.prompt.input_ids[i, place], single.prompt.input_ids[0])
            assert torch.equal(batch.prompt.position_ids[:, i, place], single.prompt.position_ids[:, 0])
            assert torch.equal(batch.prompt.placeholders[i, place], single.prompt.placeholders[0])
            assert torch.equal(batch.prompt.subtree_end[i, place], single.prompt.subtree_end[0] + (place.start or 0))
        padding = batch.prompt.attention_mask == 0
        assert (batch.prompt.input_ids[padding] == collator.pad).all()
        assert not batch.prompt.subtree_end[padding].any()
        assert not batch.prompt.placeholders[padding].any()
    assert (collator(rows, left=True).prompt.attention_mask[:, -1] == 1).all()


def test_rows_without_a_video_or_a_skeleton(collators, row):
    collator = collators()
    asked = [Branch(QUESTION, ("kick",))]
    rows = [
        row(persons=1, seconds=1.0, video=False, branches=asked),
        row(persons=0, seconds=1.0, branches=asked),
        row(persons=0, seconds=1.0, video=False, branches=asked),
        row(persons=1, seconds=1.0, branches=asked),
    ]
    batch = collator(rows)
    assert batch.prompt.with_video.tolist() == [False, True, False, True]
    assert batch.prompt.media["video_grid_thw"].shape == (2, 3)  # pixels of those that have them
    assert batch.prompt.placeholders.sum(1).tolist() == [12, 1, 1, 12]  # one null token where there is no body
    pads = (batch.prompt.input_ids == ids(collator, "<|video_pad|>")[0]).sum(1)
    assert pads.tolist() == [0, 8, 0, 8]
    silent = collator(rows[2:3])
    assert silent.prompt.media == {}
    text = pieces(collator, "\n", QUESTION, "<|im_end|><|im_start|>", "kick", "<|im_end|>")
    assert silent.prompt.input_ids.tolist() == [[*ids(collator, "<|im_start|>"), collator.pad, *text]]


def test_time_leaves_every_other_position_alone_and_text_pushes_them_on(collators, row):
    asked = [Branch(QUESTION, ("kick",))]
    with_body, without = row(persons=1, seconds=2.0, branches=asked), row(persons=0, seconds=2.0, branches=asked)
    base = collators("none")([without]).prompt.position_ids[:, 0]
    for position, shift in (("time", 0), ("text", 24)):
        collator = collators(position=position)
        batch = collator([with_body])
        others = batch.prompt.position_ids[:, 0, ~batch.prompt.placeholders[0]]
        newline = len(ids(collator, "\n"))
        first = int(batch.prompt.placeholders[0].nonzero()[0])
        assert torch.equal(others[:, :first], base[:, :first])
        question = others[:, first + newline :]
        assert torch.equal(question, base[:, first:] + shift + newline)
        joints = batch.prompt.position_ids[:, 0, batch.prompt.placeholders[0]]
        if position == "text":
            assert joints.tolist() == [list(range(int(base[0, first]), int(base[0, first]) + 24))] * 3
        else:
            video = batch.prompt.position_ids[:, 0, batch.prompt.input_ids[0] == ids(collator, "<|video_pad|>")[0]]
            steps = video[0].unique().tolist()
            assert len(steps) == 2
            assert joints[0].tolist() == [steps[0]] * 12 + [steps[1]] * 12  # two bins of six limbs a second


def test_branches_continue_the_prefix_each_for_itself(collators, row):
    collator = collators()
    batch = collator([row(branches=[Branch(QUESTION, ("kick",)), Branch("both?", ("kick",))])])
    firsts = [
        batch.prompt.input_ids[0].tolist().index(ids(collator, question)[0], 30) for question in (QUESTION, "both?")
    ]
    starts = [batch.prompt.position_ids[0, 0, place].item() for place in firsts]
    assert starts[0] == starts[1]
    assert batch.prompt.subtree_end[0, firsts[0]] == firsts[1]  # the first question ends where the second begins
    assert batch.prompt.subtree_end[0, firsts[1]] == batch.prompt.subtree_end[0, 0] == batch.prompt.input_ids.shape[1]


def test_the_token_budget_widens_bins_and_is_never_passed(collators, row):
    batch = collators(max_tokens=40)([row(persons=2, seconds=4.0), row(persons=1, seconds=4.0, seed=1)])
    assert batch.prompt.placeholders.sum(1).tolist() == [36, 36]  # 2 x 3 bins and 6 bins, instead of 96 and 48
    torch.testing.assert_close(batch.body.plan.widths, torch.tensor([4 / 3, 4 / 6]))
    with pytest.raises(FusionError, match="fusion.max_tokens is 10, but 2 persons with 6 limbs need at least 12"):
        collators(max_tokens=10)([row(persons=2)])


def test_event_targets_stand_at_their_tokens(collators, row):
    event = LimbEvent(person=1, limb="left arm", movement="wave", start=0.5, end=1.0, count=2)
    rows = [
        replace(row(persons=2, seconds=2.0), events=(event,)),
        replace(row(persons=1, seconds=1.0, seed=1), events=()),
        row(persons=1, seconds=1.0, seed=2),
        replace(row(persons=0), events=(event,)),
    ]
    batch = collators()(rows)
    batch_without = collators()([row()])
    assert batch_without.body.events is None
    assert batch.body.events.shape == (4, 1 + 2 * 6 * LIMB_COUNT, len(columns()))  # six bins: the fourth row lasts 3 s
    known = ~batch.body.events[..., 0].isnan()
    assert not known[:, 0].any()  # null tokens
    assert torch.equal(known[0], batch.body.plan.mask[0])
    assert torch.equal(known[1], batch.body.plan.mask[1])
    assert not known[2].any()  # nothing is known of this clip
    assert not known[3].any()  # nobody there
    waves = (batch.body.events[0, :, columns()["wave"]] == 1).nonzero().flatten().tolist()
    limb = LIMBS.index("left arm")
    assert waves == [1 + (1 * 6 + 1) * LIMB_COUNT + limb]  # person 1, second bin
    assert batch.body.plan.times[0, waves[0]] == 0.75
    assert batch.body.events[0, waves[0], -1] == 2


def test_persons_beyond_the_limit_are_those_least_seen(collators, row, body):
    full = body(3, 1.0)
    visible = full.visible.copy()
    visible[0, 4:] = False
    skeleton = replace(full, visible=visible, track_ids=np.array([5, 6, 7]))
    nod = LimbEvent(person=7, limb="head", movement="nod", start=0.0, end=1.0)
    crowd = replace(row(seconds=1.0), skeleton=skeleton, events=(replace(nod, person=5), nod))
    batch = collators(max_persons=2)([crowd])
    assert batch.prompt.placeholders.sum() == 2 * 2 * LIMB_COUNT
    np.testing.assert_allclose(
        batch.body.skeletons.keypoints[0, 1, 0][visible[2, 0]], skeleton.keypoints[2, 0][visible[2, 0]] / 96, rtol=1e-6
    )
    nods = (batch.body.events[0, :, columns()["nod"]] == 1).nonzero().flatten()
    assert nods.tolist() == [1 + (2 + k) * LIMB_COUNT for k in range(2)]  # track 7 is person 1 now, 5 is gone


def test_a_skeleton_of_another_layout_never_reaches_the_model(collators, row, body):
    from skeleton.layouts.conversion import convert

    one = replace(row(), skeleton=convert(body(1, 3.0), "h36m17"))
    with pytest.raises(SkeletonError, match="expected skeletons of layout coco17, found h36m17"):
        collators()([one])


def test_a_batch_moves_whole(collators, row):
    event = LimbEvent(person=0, limb="head", movement="nod", start=0.0, end=1.0)
    rows = [replace(row(branches=[Branch(QUESTION, ("kick", "both"))]), events=(event,))]
    moved = collators()(rows).to("meta")
    parts = (moved.prompt, moved.body, moved.body.skeletons, moved.body.plan, moved.answers)
    tensors = [value for part in parts for value in vars(part).values() if isinstance(value, torch.Tensor)]
    tensors += [*moved.prompt.media.values(), *moved.body.colours]
    assert len(tensors) > 20
    assert {tensor.device.type for tensor in tensors} == {"meta"}
    moved = collators("none")(rows).to("meta")
    assert moved.body is None


def test_pixels_are_the_processors_own(collators, row):
    collator = collators()
    single = row()
    batch = collator([single])
    own = collator.processor.video_processor(
        torch.from_numpy(single.frames.images).permute(0, 3, 1, 2)[None], do_sample_frames=False, return_tensors="pt"
    )
    torch.testing.assert_close(batch.prompt.media["pixel_values_videos"], own["pixel_values_videos"])


def test_looks_are_words_of_the_persons_that_have_tokens(collators, row):
    collator = collators()
    red, both = ids(collator, " kick"), ids(collator, " both")
    rows = [
        replace(row(persons=2, branches=[Branch(QUESTION)]), looks={0: "kick", 1: "both"}),
        replace(row(persons=1, branches=[Branch(QUESTION)]), looks={7: "kick"}),  # nobody here
        row(persons=0, branches=[Branch(QUESTION)]),
    ]
    looks = collator(rows).body.looks
    assert looks.shape == (3, 2, max(len(red), len(both)))
    assert [i for i in looks[0, 0].tolist() if i >= 0] == red
    assert [i for i in looks[0, 1].tolist() if i >= 0] == both
    assert (looks[1:] == -1).all()
    assert collator([row(branches=[Branch(QUESTION)])]).body.looks is None
