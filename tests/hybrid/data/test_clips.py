"""Clips read from disk, the draws of training, and what probes withhold."""

import os
from dataclasses import replace

import numpy as np
import pytest

import hybrid.data.clips as clips_module
from hybrid.config.instruction import DataConfig, FusionConfig
from hybrid.data.clips import Clip, ClipReader, group_clips
from hybrid.data.rows import Draw, EvalRows, StepSampler, TrainingRows, ValidationRows
from hybrid.data.sample import Sample, read_samples
from hybrid.errors import DataError
from hybrid.modules.answering import write
from skeleton.errors import RecordError, VideoError
from skeleton.events.limb_event import LimbEvent
from skeleton.layouts.conversion import convert
from skeleton.record import Skeleton
from skeleton.video import write_video

SETTINGS = DataConfig(frames=4, size=56, pose_fps=8.0)


@pytest.fixture
def reader(small_set):
    return ClipReader(replace(SETTINGS, cache=str(small_set / "cache")), "coco17")


@pytest.fixture(scope="module")
def clips(small_set):
    return group_clips(read_samples(small_set / "train.jsonl"))


@pytest.fixture(scope="module")
def lighter(tmp_path_factory):
    """A video of three seconds, 8 frames a second: frame i is grey 10 * i; and its skeleton, all joints at x = i."""
    folder = tmp_path_factory.mktemp("lighter")
    write_video(
        folder / "v.mp4", np.full((24, 64, 64, 3), 10, np.uint8) * np.arange(24, dtype=np.uint8)[:, None, None, None], 8
    )
    keypoints = np.zeros((1, 24, 17, 2), np.float32)
    keypoints[..., 0] = np.arange(24)[:, None]
    Skeleton(
        keypoints=keypoints, confidence=np.ones((1, 24, 17)), visible=np.ones((1, 24, 17), bool),
        boxes=np.zeros((1, 24, 4)), timestamps=np.arange(24) / 8, track_ids=np.array([0]), layout="coco17",
        frame_size=(64, 64), source={},
    ).save(folder / "v.npz")  # fmt: skip
    return Clip(str(folder / "v.mp4"), str(folder / "v.npz"), 1.0, 3.0, ())


def test_questions_of_one_stretch_are_one_clip(small_set):
    samples = read_samples(small_set / "test.jsonl")
    clips = group_clips(samples)
    assert [len(clip.samples) for clip in clips] == [3, 3, 3, 1, 1]
    assert [clip.video is None for clip in clips] == [False] * 3 + [True, False]
    later = replace(samples[0], id="later", start=0.5)
    assert [clip.seconds for clip in group_clips([samples[0], later, samples[1]])] == [2.0, 1.5]


def test_a_clip_that_starts_later_has_its_own_frames_and_clock(reader, lighter):
    """Four frames of 1 to 3 s: the middles of its quarters are 1.25, 1.75, 2.25 and 2.75 s, frames 10, 14, 18 and 22."""
    frames = reader.frames(lighter)
    assert frames.images.shape == (4, 56, 56, 3)
    np.testing.assert_allclose(frames.images.mean((1, 2, 3)), [100, 140, 180, 220], atol=3)
    assert frames.timestamps.tolist() == [0.25, 0.75, 1.25, 1.75]
    skeleton = reader.skeleton(lighter)
    assert skeleton.timestamps.tolist() == [i / 8 for i in range(16)]
    assert skeleton.keypoints[0, :, 0, 0].tolist() == list(range(8, 24))
    half = reader.skeleton(lighter, 0.5)
    assert half.keypoints[0, :, 0, 0].tolist() == [8, 9, 10, 11]


def test_no_size_leaves_the_frames_to_the_processor(lighter):
    frames = ClipReader(replace(SETTINGS, size=None), "coco17").frames(lighter)
    assert frames.images.shape == (4, 64, 64, 3)


def test_pose_is_denser_than_the_frames_on_the_same_clock(lighter):
    dense = ClipReader(replace(SETTINGS, pose_fps=24.0), "coco17").skeleton(lighter)
    assert dense.num_frames == 48
    np.testing.assert_allclose(np.diff(dense.timestamps), 1 / 24)
    assert dense.keypoints[0, ::3, 0, 0].tolist() == list(range(8, 24))


def test_an_absent_modality_is_none(reader, lighter):
    assert reader.frames(replace(lighter, video=None)) is None
    assert reader.skeleton(replace(lighter, skeleton=None)) is None


def test_intervals_go_to_the_clips_clock_and_back(lighter, reader):
    sample = Sample(id="a", task="when", question="When?", start=1.0, end=3.0, answer=(1.5, 2.75), video=lighter.video)
    (said,) = (
        TrainingRows([replace(lighter, samples=(sample,))], reader, FusionConfig())[Draw(0, (0,))].branches[0].answers
    )
    assert said == "0.5 to 1.8"
    line = write(sample, said, None)
    assert line["prediction"] == [1.5, 2.8]
    assert line["answer"] == (1.5, 2.75)
    assert write(replace(sample, answer=3), "3 times", None)["prediction"] == 3


@pytest.mark.parametrize("cache", [True, False])
def test_a_missing_video_is_one_sentence(tmp_path, cache):
    reader = ClipReader(replace(SETTINGS, cache=str(tmp_path / "cache") if cache else None), "coco17")
    with pytest.raises(
        (DataError, VideoError), match=r"expected .* video .*gone\.mp4, found (no such file|none)[:;] check"
    ):
        reader.frames(Clip(str(tmp_path / "gone.mp4"), None, 0.0, 1.0, ()))


def test_a_text_file_named_mp4_is_one_sentence(tmp_path):
    (tmp_path / "a.mp4").write_text("no video at all")
    with pytest.raises(VideoError, match=r"a\.mp4 is not a readable video .*give a video file"):
        ClipReader(SETTINGS, "coco17").frames(Clip(str(tmp_path / "a.mp4"), None, 0.0, 1.0, ()))


def test_a_missing_skeleton_is_one_sentence(tmp_path, reader):
    with pytest.raises(
        RecordError, match=r"expected a skeleton file at .*gone\.npz, found none; check the path or extract"
    ):
        reader.skeleton(Clip(None, str(tmp_path / "gone.npz"), 0.0, 1.0, ()))


def test_a_skeleton_of_another_layout_is_one_sentence(tmp_path, reader, body):
    convert(body(1, 1.0), "h36m17").save(tmp_path / "a.npz")
    with pytest.raises(
        DataError, match=r"of layout coco17 in .*a\.npz, found h36m17: convert it .* or set encoder\.layout"
    ):
        reader.skeleton(Clip(None, str(tmp_path / "a.npz"), 0.0, 1.0, ()))


@pytest.fixture
def decoded(monkeypatch):
    """The clips' videos that were decoded, in order."""
    seen, real = [], clips_module.sample_frames
    monkeypatch.setattr(
        clips_module, "sample_frames", lambda path, *rest, **more: (seen.append(path), real(path, *rest, **more))[1]
    )
    return seen


def test_cached_frames_equal_decoded_ones_and_are_decoded_once(lighter, tmp_path, decoded):
    cached = ClipReader(replace(SETTINGS, cache=str(tmp_path / "cache")), "coco17")
    plain = ClipReader(SETTINGS, "coco17").frames(lighter)
    for _ in range(3):
        frames = cached.frames(lighter)
        assert np.array_equal(frames.images, plain.images)
        assert np.array_equal(frames.timestamps, plain.timestamps)
    assert len(decoded) == 2
    cached.frames(replace(lighter, start=0.5))
    ClipReader(replace(SETTINGS, cache=str(tmp_path / "cache"), size=28), "coco17").frames(lighter)
    ClipReader(replace(SETTINGS, cache=str(tmp_path / "cache"), frames=2), "coco17").frames(lighter)
    assert len(decoded) == 5
    assert len(list((tmp_path / "cache").iterdir())) == 4


def test_a_changed_video_is_decoded_again(lighter, tmp_path, decoded):
    path = tmp_path / "v.mp4"
    clip = replace(lighter, video=str(path), start=0.0, end=1.0)
    cached = ClipReader(replace(SETTINGS, cache=str(tmp_path / "cache")), "coco17")
    write_video(path, np.full((8, 64, 64, 3), 40, np.uint8), 8)
    assert abs(cached.frames(clip).images.mean() - 40) < 3
    before = path.stat()
    write_video(path, np.full((8, 64, 64, 3), 200, np.uint8), 8)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert abs(cached.frames(clip).images.mean() - 200) < 3
    assert len(decoded) == 2


def test_an_interrupted_writer_leaves_no_half_file(lighter, tmp_path, monkeypatch):
    cached = ClipReader(replace(SETTINGS, cache=str(tmp_path / "cache")), "coco17")
    real = np.save

    def interrupted(file, images):
        file.write(b"half")
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        cached.frames(lighter)
    assert list((tmp_path / "cache").iterdir()) == []
    monkeypatch.setattr(np, "save", real)
    # what a killed process leaves under a temporary name is never read
    (tmp_path / "cache" / f".{cached._cached(lighter).name}.1.partial").write_bytes(b"half")
    assert np.array_equal(cached.frames(lighter).images, ClipReader(SETTINGS, "coco17").frames(lighter).images)


LENGTHS = [3.0, 1.0, 2.0, 9.0, 4.0, 1.0, 7.0]


def drawn(sampler):
    return list(sampler)


@pytest.mark.parametrize("lengths", [[0.0] * 7, LENGTHS])
@pytest.mark.parametrize("start", [1, 5, 8, 13])
def test_a_resumed_sampler_draws_what_it_would_have_drawn(lengths, start):
    whole = drawn(StepSampler(lengths, 3, 20, seed=5))
    resumed = StepSampler(lengths, 3, 20, seed=5)
    resumed.start = start
    assert drawn(resumed) == whole[start:]
    assert len(whole) == len(resumed) == 20
    assert drawn(StepSampler(lengths, 3, 20, seed=6)) != whole


@pytest.mark.parametrize("lengths", [[0.0] * 7, LENGTHS])
def test_ranks_partition_the_batch_of_one(lengths):
    alone = drawn(StepSampler(lengths, 6, 10, seed=1))
    ranks = [drawn(StepSampler(lengths, 2, 10, 1, rank, 3)) for rank in range(3)]
    for step in range(10):
        together = [draw for rank in ranks for draw in rank[step]]
        assert len(together) == 6
        assert {draw.seed for draw in together} == {draw.seed for draw in alone[step]}
        assert sorted(draw.clip for draw in together) == sorted(draw.clip for draw in alone[step])
        assert len({draw.seed for draw in together}) == 6


@pytest.mark.parametrize("lengths", [[0.0] * 7, LENGTHS])
def test_every_clip_comes_once_an_epoch(lengths):
    """Seven clips in batches of seven, eight steps: eight epochs, in orders that differ."""
    draws = [draw for batch in StepSampler(lengths, 7, 8, seed=2) for draw in batch]
    assert np.bincount([draw.clip for draw in draws]).tolist() == [8] * 7
    numbered = [draw.clip for draw in sorted(draws, key=lambda draw: draw.seed)]
    epochs = [tuple(numbered[i : i + 7]) for i in range(0, 56, 7)]
    assert all(sorted(epoch) == list(range(7)) for epoch in epochs)
    assert len(set(epochs)) > 4
    assert len({draw.seed for draw in draws}) == 56


def test_clips_of_like_length_share_a_batch():
    lengths = np.arange(64.0)
    batches = drawn(StepSampler(lengths, 8, 8, seed=0))
    spread = [np.ptp([lengths[draw.clip] for draw in batch]) for batch in batches]
    assert max(spread) == 7
    assert [batch[0].clip for batch in batches] != sorted(batch[0].clip for batch in batches)


def test_no_clip_to_train_on_is_one_sentence():
    with pytest.raises(DataError, match=r"at least one training clip with an answer, found none: check data\.train"):
        StepSampler([], 2, 10, seed=0)


def test_a_training_row_is_the_same_for_the_same_draw(clips, tmp_path):
    reader = ClipReader(replace(SETTINGS, questions_per_sequence=2, cache=str(tmp_path)), "coco17")
    rows = TrainingRows(clips, reader, FusionConfig())
    first, again = rows[Draw(0, (1, 2))], rows[Draw(0, (1, 2))]
    assert first.branches == again.branches
    orders = {rows[Draw(0, (1, number))].branches for number in range(40)}
    assert len(first.branches) == 2
    assert len(orders) == 6  # every ordered pair of its three questions
    assert all(len(branch.answers) == 1 for branch in first.branches)


def test_either_modality_is_dropped_as_often_as_asked_and_never_both(clips, tmp_path):
    reader = ClipReader(replace(SETTINGS, frames=1, cache=str(tmp_path)), "coco17")
    rows = TrainingRows(clips, reader, FusionConfig(dropout_pose=0.3, dropout_video=0.2))
    dropped = [(row.skeleton is None, row.frames is None) for row in (rows[Draw(0, (0, n))] for n in range(400))]
    assert (True, True) not in dropped
    assert abs(dropped.count((True, False)) / 400 - 0.3) < 0.08
    assert abs(dropped.count((False, True)) / 400 - 0.2) < 0.07


def test_hidden_answers_are_not_trained_on(lighter):
    known = Sample(id="a", task="t", question="What?", start=1.0, end=3.0, answer="kick", video=lighter.video)
    clip = replace(lighter, samples=(replace(known, id="b", answer=None, question="hidden?"), known))
    row = TrainingRows([clip], ClipReader(replace(SETTINGS, questions_per_sequence=5), "coco17"), FusionConfig())[
        Draw(0, (0,))
    ]
    assert [branch.question for branch in row.branches] == ["What?"]


def test_events_come_to_the_clips_clock(lighter, reader, monkeypatch):
    def nod(start, end):
        return LimbEvent(person=0, limb="head", movement="nod", start=start, end=end)

    sample = Sample(id="a", task="t", question="What?", start=1.0, end=3.0, answer="kick", skeleton=lighter.skeleton)
    clips = [replace(lighter, samples=(sample,)), replace(lighter, skeleton=None, samples=(sample,))]
    rows = TrainingRows(clips, reader, FusionConfig(dropout_pose=0, dropout_video=0))
    assert rows[Draw(0, (0,))].events is None
    monkeypatch.setattr(reader, "events", {"v": [nod(0.0, 0.9), nod(0.5, 1.5), nod(2.0, 2.5), nod(3.0, 4.0)]})
    assert rows[Draw(0, (0,))].events == (nod(-0.5, 0.5), nod(1.0, 1.5))
    assert rows[Draw(1, (0,))].events is None


def test_looks_come_with_events_and_a_borrowed_pose_brings_its_own(lighter, clips, reader, monkeypatch):
    sample = Sample(
        id="a", task="t", question="What?", start=1.0, end=3.0, answer="kick", person=2, meta={"look": "red"}
    )
    clip = replace(lighter, samples=(sample,))
    assert reader.row(clip, ()).looks is None
    monkeypatch.setattr(reader, "events", {"v": []})
    assert reader.row(clip, ()).looks == {2: "red"}
    other = replace(clip, samples=())
    assert reader.row(other, (), pose_of=clip).looks == {2: "red"}
    assert reader.row(clip, (), pose_of=other).looks == {}


def test_no_frames_read_no_video(lighter):
    row = ClipReader(replace(SETTINGS, frames=0), "coco17").row(replace(lighter, video="missing.mp4"), ())
    assert row.frames is None


def test_validation_asks_every_question_with_all_its_options(clips, reader):
    batches = ValidationRows(clips, reader, 4)
    assert [len(batches[i].rows) for i in range(len(batches))] == [4, 2]
    batch = batches[1]
    assert batch.kind == "validate"
    assert [sample.id for sample in batch.samples] == [
        f"{n}_{task}" for n in (4, 5) for task in ("limb", "count", "when")
    ]
    assert [branch.answers for branch in batch.rows[0].branches] == [
        ("the left arm", "the right leg"),
        ("0",),
        ("0.4 to 1.5",),
    ]


def test_test_batches_ask_every_question_once(clips, reader):
    batches = EvalRows(clips, reader, 4)
    all_batches = [batches[i] for i in range(len(batches))]
    assert [batch.kind for batch in all_batches] == ["choose"] * 2 + ["write"] * 3
    asked = [sample.id for batch in all_batches for sample in batch.samples]
    assert sorted(asked) == sorted(sample.id for clip in clips for sample in clip.samples)
    assert all(len(row.branches) == 1 and row.branches[0].answers == () for row in all_batches[-1].rows)
    assert all_batches[0].rows[0].branches[0].answers == ("the left arm", "the right leg")


def same(first, second):
    return np.array_equal(first.keypoints, second.keypoints)


@pytest.mark.parametrize("probe", [None, "none", "shuffle", "no_video", "text_only"])
def test_probes_withhold_what_they_say(clips, reader, probe):
    rows = EvalRows(clips, reader, 4, probe)[0].rows
    for number, row in enumerate(rows):
        own = reader.skeleton(clips[number])
        assert (row.frames is None) == (probe in ("no_video", "text_only"))
        assert (row.skeleton is None) == (probe in ("none", "text_only"))
        if row.skeleton is not None:
            assert same(row.skeleton, own) == (probe != "shuffle")
        if row.frames is not None:
            assert np.array_equal(row.frames.images, reader.frames(clips[number]).images)
        assert row.branches == EvalRows(clips, reader, 4)[0].rows[number].branches


def test_shuffle_takes_the_pose_from_half_a_list_away(clips, reader):
    rows = EvalRows(clips, reader, 6, "shuffle")[0].rows
    assert all(same(row.skeleton, reader.skeleton(clips[(n + 3) % 6])) for n, row in enumerate(rows))


def test_shuffle_never_gives_a_clip_its_own_skeleton(clips, reader):
    """Two stretches of each video, so that half a list away is another stretch of the same one."""
    halves = [replace(clip, start=start, end=start + 1) for start in (0.0, 1.0) for clip in clips[:3]]
    for several in (halves, halves[:5], clips[:2], [*halves[::3], replace(clips[4], skeleton=None), clips[5]]):
        shuffled = EvalRows(several, reader, 1, "shuffle")
        assert all(
            donor.skeleton not in (None, own.skeleton)
            for own, donor in zip(several, shuffled.donors, strict=True)
            if own.skeleton is not None
        )


def test_shuffle_cuts_the_other_pose_to_the_clips_length(clips, reader):
    short = replace(clips[0], end=0.5)
    row = EvalRows([short, *clips[1:]], reader, 1, "shuffle")[0].rows[0]
    assert (row.seconds, row.skeleton.num_frames) == (0.5, 4)


def test_shuffle_leaves_a_clip_without_a_skeleton_alone(clips, reader):
    several = [replace(clips[0], skeleton=None), *clips[1:]]
    assert EvalRows(several, reader, 6, "shuffle")[0].rows[0].skeleton is None
    assert len(EvalRows([replace(clips[0], skeleton=None)], reader, 1, "shuffle")) == 3


def test_shuffle_needs_two_skeletons(clips, reader):
    for several in (clips[:1], [clips[0], replace(clips[0], start=0.5)], [clips[0], replace(clips[1], skeleton=None)]):
        with pytest.raises(
            DataError, match=r"two or more skeletons for the probe shuffle, found only .*0\.npz: test more"
        ):
            EvalRows(several, reader, 1, "shuffle")


def test_what_is_withheld_is_not_read(lighter, reader):
    sample = Sample(id="a", task="t", question="What?", start=1.0, end=3.0, options=("a", "b"), answer=0)
    unseen = replace(lighter, video="missing.mp4", samples=(sample,))
    unfelt = replace(lighter, skeleton="missing.npz", samples=(sample,))
    assert EvalRows([unseen], reader, 1, "no_video")[0].rows[0].skeleton is not None
    assert EvalRows([unfelt], reader, 1, "none")[0].rows[0].frames is not None
    assert TrainingRows([unseen], reader, FusionConfig(dropout_video=1, dropout_pose=0))[Draw(0, (0,))].frames is None
    assert TrainingRows([unfelt], reader, FusionConfig(dropout_video=0, dropout_pose=1))[Draw(0, (0,))].skeleton is None
