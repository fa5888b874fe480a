"""The One-Euro filter: the published formula, jitter at rest, delay in motion, gaps and missing joints."""

import math

import numpy as np
import pytest

from skeleton.extraction.smoothing import smooth
from skeleton.record import Skeleton

HEIGHT = 100.0


def record(x, seconds=None, visible=None):
    """One person whose joints all move along x [T] px; the box is 100 px high throughout."""
    x = np.asarray(x, dtype=np.float64)
    seconds = np.arange(len(x)) / 30 if seconds is None else np.asarray(seconds)
    keypoints = np.zeros((1, len(x), 17, 2))
    keypoints[0, :, :, 0] = x[:, None]
    visible = np.ones((1, len(x), 17), bool) if visible is None else visible
    boxes = np.tile([0.0, 0.0, 50.0, HEIGHT], (1, len(x), 1))
    return Skeleton(
        keypoints=keypoints,
        confidence=visible * 0.9,
        visible=visible,
        boxes=boxes,
        timestamps=seconds,
        track_ids=np.array([1]),
        layout="coco17",
        frame_size=(480, 640),
        source={},
    )


def one_euro(values, seconds, min_cutoff, beta, derivative_cutoff=1.0):
    """The algorithm of the paper for one number at a time."""

    def alpha(cutoff, step):
        return 1 / (1 + (1 / (2 * math.pi * cutoff)) / step)

    place, speed, result = None, 0.0, []
    for i, value in enumerate(values):
        if place is None:
            place = value
        else:
            step = seconds[i] - seconds[i - 1]
            share = alpha(derivative_cutoff, step)
            speed = share * (value - place) / step + (1 - share) * speed
            share = alpha(min_cutoff + beta * abs(speed), step)
            place = share * value + (1 - share) * place
        result.append(place)
    return result


@pytest.mark.parametrize(("min_cutoff", "beta"), [(1.0, 0.0), (0.5, 3.0), (2.0, 10.0)])
def test_equals_the_published_formula_at_uneven_times(min_cutoff, beta):
    rng = np.random.default_rng(3)
    seconds = np.cumsum(rng.uniform(0.01, 0.1, 80))
    x = 200 + np.cumsum(rng.normal(0, 4, 80))
    found = smooth(record(x, seconds), min_cutoff, beta).keypoints[0, :, 5, 0]
    np.testing.assert_allclose(found, one_euro(x, seconds, min_cutoff, beta / HEIGHT), atol=1e-3)


def test_jitter_at_rest_shrinks_and_fast_motion_is_not_late():
    rng = np.random.default_rng(4)
    still = 300 + rng.normal(0, 2, 300)
    found = smooth(record(still), 1.0, 5.0).keypoints[0, 30:, 0, 0]
    assert np.diff(found).std() < 0.35 * np.diff(still).std()
    moving = 300 * np.arange(60) / 30  # three heights a second
    behind = {beta: moving - smooth(record(moving), 1.0, beta).keypoints[0, :, 0, 0] for beta in (0, 5)}
    late = {beta: distance[30:].mean() / 300 for beta, distance in behind.items()}
    assert late[5] < 0.02, "seconds behind"
    assert late[0] > 4 * late[5]


def test_distance_does_not_matter():
    rng = np.random.default_rng(5)
    x = np.cumsum(rng.normal(0, 3, 50))
    near, far = record(4 * x), record(x)
    near = Skeleton(**{**vars(near), "boxes": 4 * near.boxes})
    found = [smooth(one, 1.0, 5.0).keypoints[..., 0] for one in (near, far)]
    np.testing.assert_allclose(found[0], 4 * found[1], atol=1e-3)


def test_invisible_joints_are_left_as_they_are_and_feed_nothing():
    visible = np.ones((1, 20, 17), bool)
    visible[0, 8:11, 3] = False
    x = np.linspace(0, 40, 20)
    clean, broken = record(x, visible=visible), record(x, visible=visible)
    keypoints = broken.keypoints.copy()
    keypoints[0, 8:11, 3] = np.nan
    broken = Skeleton(**{**vars(broken), "keypoints": keypoints})
    first, second = smooth(clean, 1.0, 1.0), smooth(broken, 1.0, 1.0)
    np.testing.assert_array_equal(first.keypoints[0, 8:11, 3], clean.keypoints[0, 8:11, 3])
    np.testing.assert_array_equal(first.keypoints[visible], second.keypoints[visible])
    seconds, kept = clean.timestamps[visible[0, :, 3]], x[visible[0, :, 3]]
    expected = one_euro(kept, seconds, 1.0, 1.0 / HEIGHT)
    np.testing.assert_allclose(first.keypoints[0, visible[0, :, 3], 3, 0], expected, atol=1e-3)


def test_a_long_gap_starts_anew():
    seconds = np.concatenate([np.arange(10) / 30, 1.0 + np.arange(10) / 30])
    x = np.concatenate([np.full(10, 50.0), np.full(10, 400.0)])
    found = smooth(record(x, seconds), 1.0, 1.0, gap=0.5).keypoints[0, :, 0, 0]
    np.testing.assert_allclose(found, x, atol=1e-4)
    through = smooth(record(x, seconds), 1.0, 1.0, gap=2.0).keypoints[0, :, 0, 0]
    assert through[10] < 390


def test_everything_but_the_keypoints_stays():
    before = record(np.arange(10.0))
    after = smooth(before, 1.0, 1.0)
    for name in ("confidence", "visible", "boxes", "timestamps", "track_ids"):
        np.testing.assert_array_equal(getattr(before, name), getattr(after, name))
    assert after.source == before.source


def test_nobody_is_no_error():
    empty = Skeleton(
        keypoints=np.zeros((0, 4, 17, 2)),
        confidence=np.zeros((0, 4, 17)),
        visible=np.zeros((0, 4, 17), bool),
        boxes=np.zeros((0, 4, 4)),
        timestamps=np.arange(4) / 10,
        track_ids=np.zeros(0),
        layout="coco17",
        frame_size=(10, 10),
        source={},
    )
    assert smooth(empty, 1.0, 1.0).num_persons == 0
