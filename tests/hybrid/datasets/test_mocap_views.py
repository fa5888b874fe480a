"""Cameras of motion capture: on the right side, with everybody in sight, and faults at the given rate."""

from dataclasses import replace

import numpy as np
import pytest

from hybrid.datasets.marionette.body import rotate_y
from hybrid.datasets.marionette.camera import Camera
from hybrid.datasets.mocap_views import look, sides_shown, windows
from hybrid.errors import DataError
from skeleton.events.limb_event import LimbEvent
from skeleton.formats.bvh import read_bvh
from skeleton.layouts.conversion import convert
from skeleton.layouts.layout import get_layout
from tests.skeleton.formats.bvh_files import bvh_text, walk

SIZE = (480, 640)
COCO = {name: place for place, name in enumerate(get_layout("coco17").joints)}
RAISED = LimbEvent(person=0, limb="left arm", movement="raise", direction="left", start=0.5, end=2.0)


def truth_of(tmp_path, **options):
    (tmp_path / "w.bvh").write_text(walk(**options))
    return windows(read_bvh(tmp_path / "w.bvh"), 12, 30)[0]


def seen(truth, view, seed=0, swap=0.0):
    return look(truth, view, SIZE, swap, np.random.default_rng(seed), np.random.default_rng(seed))


def projected(truth):
    """Pixels [T, 17, 2] and depth of the clean joints, by what the truth's source says of its camera."""
    joints, told = convert(truth, "coco17").keypoints[0].astype(float), dict(truth.source["camera"])
    yaw, middle, frames = told.pop("yaw"), told.pop("middle"), len(joints)
    turned = rotate_y(joints.reshape(-1, 3), np.full(joints[..., 0].size, yaw)).reshape(joints.shape) - middle
    return Camera(truth.frame_size[1], **told, pan=np.zeros((frames, 2)), zoom=np.ones(frames)).project(turned)


@pytest.mark.parametrize("yaw", [0, 77, 200])
def test_sides_are_right_in_every_view(tmp_path, yaw):
    truth = truth_of(tmp_path, yaw=yaw)
    for view in ("front", "back", "left", "right"):
        for seed in range(6):
            estimate, true = seen(truth, view, seed)
            points, hips = estimate.keypoints[0], [COCO["left_hip"], COCO["right_hip"]]
            shoulders = points[:, COCO["left_shoulder"], 0] - points[:, COCO["right_shoulder"], 0]
            depth = projected(true)[1][:, hips].mean(0)
            forward = np.median(true.keypoints[0, :, 10:12] - true.keypoints[0, :, 7:9], axis=(0, 1))  # toes, ankles
            ahead = rotate_y(forward[None], np.array([true.source["camera"]["yaw"]]))[0]
            expected = {"front": (0, 1), "back": (0, -1), "right": (1, 0), "left": (-1, 0)}[view]
            assert ahead[[0, 2]] @ expected / np.linalg.norm(ahead[[0, 2]]) > np.cos(np.radians(21))
            if view in ("front", "back"):  # facing the camera, the left shoulder is at the picture's right
                assert ((shoulders > 0) == (view == "front")).mean() > 0.98
            else:
                assert ("left", "right")[int(depth.argmin())] == view
            assert sides_shown(true) == [view]


def test_everything_stays_in_the_picture_and_the_estimate_is_near(tmp_path):
    heights = []
    for metres in (0, 4, 12):
        truth = truth_of(tmp_path, metres=metres)
        for seed, view in enumerate(("front", "back", "left", "right") * 3):
            estimate, true = seen(truth, view, seed)
            pixels, known = projected(true)[0], convert(true, "coco17").visible[0]
            inside = (pixels >= 0.05 * np.array([640, 480])) & (pixels <= 0.95 * np.array([640, 480]))
            assert inside[known].all()
            error = np.linalg.norm(estimate.keypoints[0] - pixels, axis=-1)[known]
            tall = 1.7 * true.source["camera"]["focal"] / true.source["camera"]["distance"]
            assert 0.003 * tall < np.median(error) < 0.03 * tall
            assert 0.9 < estimate.visible[0][known].mean() < 1 and not estimate.visible[0][~known].any()
            heights.append(tall)
    assert min(heights) > 30 and 250 < max(heights) < 480
    assert (
        not estimate.visible[..., 1:5].any() and estimate.visible[..., 0].mean() > 0.5
    )  # no eyes and ears in captures


def test_the_head_is_guessed_from_behind(tmp_path):
    truth = truth_of(tmp_path)
    nose = {
        view: np.mean([seen(truth, view, seed)[0].confidence[..., 0].mean() for seed in range(4)])
        for view in ("front", "back")
    }
    assert nose["back"] < nose["front"] - 0.2


@pytest.mark.parametrize("share", [0.0, 0.1, 0.3])
def test_a_tenth_of_the_rows_has_left_and_right_exchanged(tmp_path, share):
    truth, exchanged = truth_of(tmp_path), []
    for seed in range(30):
        estimate, true = seen(truth, "front", seed, share)
        pixels = projected(true)[0]
        limbs = slice(COCO["left_shoulder"], None)
        straight, crossed = (
            np.linalg.norm((estimate.keypoints[0] - pixels[:, order])[:, limbs], axis=-1).mean(-1)
            for order in (np.arange(17), get_layout("coco17").mirror)
        )
        exchanged.append(crossed < straight)
    assert np.mean(exchanged) == pytest.approx(share, abs=0.012 + 0.02 * share)


def test_windows_and_rates(tmp_path):
    (tmp_path / "w.bvh").write_text(walk(frames=1200, fps=120.0, metres=6))
    fast = read_bvh(tmp_path / "w.bvh")
    parts = windows(fast, 4, 30)
    assert [part.num_frames for part in parts] == [100, 100, 100] and parts[1].timestamps[3] == 0.1
    for number, part in enumerate(parts):
        expected = fast.keypoints[0, 400 * number : 400 * (number + 1) : 4]
        start = expected[0, 1:3].mean(0) * (1, 0, 1)
        known = part.visible[0, 0]
        np.testing.assert_allclose(part.keypoints[0][:, known], (expected - start)[:, known], atol=1e-5)
    assert windows(fast, 12, 240)[0].num_frames == 1200
    assert [part.num_frames for part in windows(fast, 12, 50)] == [500]
    with pytest.raises(DataError, match="expected at least two rows at 120 a second, found 1"):
        windows(replace_rows(fast, 1), 12, 30)


def replace_rows(record, rows):
    return replace(
        record, keypoints=record.keypoints[:, :rows], confidence=record.confidence[:, :rows], visible=record.visible[:, :rows],
        boxes=record.boxes[:, :rows], timestamps=record.timestamps[:rows],
    )  # fmt: skip


def test_who_turns_shows_other_sides(tmp_path):
    yaw = np.concatenate([np.zeros(60), np.linspace(0, 180, 30), np.full(60, 180.0)])
    (tmp_path / "w.bvh").write_text(bvh_text(150, turns={"Hips": {"Y": yaw}}))
    true = seen(windows(read_bvh(tmp_path / "w.bvh"), 12, 30)[0], "front")[1]

    def during(start, end, **change):
        return sides_shown(true, replace(RAISED, start=start, end=end, **change))

    assert during(0.2, 1.8) == ["front"] and during(3.2, 4.8) == ["back"]
    assert set(during(0.5, 4.5)) == {"front", "back"}
    turn = {"limb": "whole body", "movement": "pivot", "direction": "left"}
    assert during(2.0, 3.0, **turn) == ["front"]
