"""The extraction bench: its measures are right, and it runs on real weights."""

import json
from dataclasses import replace

import numpy as np
import pytest

from hybrid.benches import equality, extraction, memory
from hybrid.benches.equality import EqualityBench, compare
from hybrid.benches.extraction import ExtractBench, mean_oks
from hybrid.benches.memory import MemoryBench, repeated
from hybrid.config.loading import load_config
from hybrid.errors import ConfigError
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton
from skeleton.video import read_frames, write_video

SIDE = 100.0


def record(keypoints, present=None):
    """A record of persons [M, T, 17, 2] whose boxes are SIDE wide and high."""
    persons, frames = keypoints.shape[:2]
    present = np.ones((persons, frames), bool) if present is None else present
    seen = np.repeat(present[..., None], 17, -1)
    corner = keypoints.min(2)
    return Skeleton(
        keypoints=keypoints.astype(np.float32),
        confidence=seen.astype(np.float32),
        visible=seen,
        boxes=np.concatenate([corner, corner + SIDE], -1).astype(np.float32) * present[..., None],
        timestamps=np.arange(frames) / 10,
        track_ids=np.arange(persons),
        layout="coco17",
        frame_size=(400, 400),
        source={},
    )


@pytest.fixture
def two_people():
    rng = np.random.default_rng(0)
    return record(rng.uniform(0, SIDE, (2, 5, 17, 2)) + np.array([0, 200])[:, None, None, None])


def test_mean_oks_is_one_for_the_same_in_any_order(two_people):
    assert mean_oks(two_people, two_people) == pytest.approx(1)
    assert mean_oks(two_people, replace(two_people, keypoints=two_people.keypoints[::-1])) == pytest.approx(1)


def test_mean_oks_counts_the_missed_as_nothing(two_people):
    one = record(two_people.keypoints[:1])
    assert mean_oks(two_people, one) == pytest.approx(0.5)
    assert mean_oks(one, two_people) == pytest.approx(1), "persons of ours alone are not counted"
    now_and_then = record(two_people.keypoints[:1], np.array([[True, False, False, False, True]]))
    assert mean_oks(one, now_and_then) == pytest.approx(0.4)


def test_mean_oks_follows_cocos_formula(two_people):
    sigmas = np.array(get_layout("coco17").sigmas)
    moved = replace(two_people, keypoints=two_people.keypoints + np.float32(6))
    expected = np.exp(-72 / (2 * (2 * sigmas) ** 2 * SIDE**2)).mean()
    assert mean_oks(two_people, moved) == pytest.approx(expected, rel=1e-4)


def test_comparison_is_about_the_same_detections(two_people):
    other = two_people.keypoints[:, :, :, :].copy()
    other[0, 3, 5, 0] += 2
    frames = [(two_people.boxes[:, t][::-1], other[:, t][::-1]) for t in range(5)]
    frames[4] = (frames[4][0] + [40, 0, 40, 0], frames[4][1])  # detected elsewhere
    found = compare(two_people, frames)
    assert (found["persons_mmpose"], found["persons_in_both"], found["joints"]) == (10, 8, 8 * 17)
    assert found["joints_beyond_half_a_pixel"] == 1
    assert found["pixels_apart_max"] == pytest.approx(2, abs=1e-4)


def test_a_video_without_persons_is_said(two_people):
    nobody = record(np.zeros((0, 5, 17, 2)))
    with pytest.raises(ConfigError, match="expected persons in the video"):
        mean_oks(nobody, two_people)
    with pytest.raises(ConfigError, match="found 10 of MMPose's and none in both"):
        compare(nobody, [(two_people.boxes[:, t], two_people.keypoints[:, t]) for t in range(5)])


def test_what_cannot_be_measured_is_said(tmp_path):
    with pytest.raises(ConfigError, match="expected video at .*none.mp4"):
        extraction.measure(ExtractBench(str(tmp_path / "none.mp4"), str(tmp_path), "out.json"))
    for bench, schema in ((equality, EqualityBench), (memory, MemoryBench)):
        with pytest.raises(ConfigError, match="expected video at .*none.mp4"):
            bench.measure(schema(str(tmp_path / "none.mp4"), str(tmp_path), "out.json"))
    for schema in (ExtractBench, EqualityBench):
        with pytest.raises(ConfigError, match="backend.*tf"):
            load_config(schema, ["video=v", "weights=w", "output=o", "backend=tf"])
    with pytest.raises(ConfigError, match="two lengths or more"):
        MemoryBench("v", "w", "o", frames=[5]).check()


def test_a_video_is_repeated_to_any_length(tmp_path):
    shades = [np.full((32, 32, 3), value, np.uint8) for value in (20, 120, 220)]
    write_video(tmp_path / "three.mp4", shades, fps=5)
    found = [round(image.mean() / 100 - 0.2) for image in repeated(str(tmp_path / "three.mp4"), 7)]
    assert found == [0, 1, 2, 0, 1, 2, 0]


@pytest.fixture
def ten_frames(shared, tmp_path):
    frames = (
        image for number, (_, image) in enumerate(read_frames(shared / "data/videos/arm_wrestling.mp4")) if number < 10
    )
    write_video(tmp_path / "ten.mp4", frames, fps=28)
    return [str(tmp_path / "ten.mp4"), str(shared / "data/weights"), str(tmp_path / "out.json")]


# onnxruntime's own arithmetic turns a few heatmaps whose highest cells are nearly equal
@pytest.mark.parametrize(("backend", "turned"), [("onnx", 0.01), ("torch", 0.0)])
def test_joints_of_every_frame_equal_mmposes_own(ten_frames, backend, turned):
    same = json.loads(json.dumps(equality.measure(EqualityBench(*ten_frames, backend))))
    assert same["persons_mmpose"] >= same["persons_in_both"] >= 0.85 * same["persons_mmpose"] > 20
    assert same["joints_beyond_half_a_pixel"] <= turned * same["joints"]


def test_the_bench_measures_all_that_it_promises(ten_frames):
    figures = json.loads(json.dumps(extraction.measure(ExtractBench(*ten_frames, "onnx", repeats=1))))
    assert figures["mean_oks"] > 0.9
    assert set(figures["stages"]) == {"decode", "detect", "estimate", "track"}
    assert min(figures[key] for key in ("speedup", "speedup_every_frame", "crops_per_second", "peak_memory_mb")) > 0
    assert figures["frames"] == 10


def test_memory_of_two_lengths(shared, tmp_path):
    video = shared / "data/videos/arm_wrestling.mp4"
    figures = memory.measure(
        MemoryBench(str(video), str(shared / "data/weights"), str(tmp_path / "out.json"), frames=[4, 8])
    )
    assert set(figures["peak_memory_mb"]) == {4, 8}
    assert figures["growth"] == pytest.approx(1, abs=0.2)
