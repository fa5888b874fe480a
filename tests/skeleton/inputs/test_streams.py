"""The uniform clock, padding, and input streams."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from skeleton.errors import LayoutError, SkeletonError
from skeleton.inputs.batch import SkeletonBatch, collate
from skeleton.inputs.resampling import resample
from skeleton.inputs.streams import stream_channels, streams
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton

COCO = get_layout("coco17")


def record(times, persons: int = 1, seed: int = 0, layout: str = "coco17", coordinates: int = 2) -> Skeleton:
    rng, joints = np.random.default_rng(seed), len(get_layout(layout).joints)
    shape = (persons, len(times), joints)
    return Skeleton(
        keypoints=rng.uniform(0, 200, (*shape, coordinates)),
        confidence=rng.uniform(0.3, 1, shape),
        visible=rng.random(shape) > 0.2,
        boxes=np.tile(np.float32([1, 2, 30, 40]), (persons, len(times), 1)),
        timestamps=np.asarray(times),
        track_ids=np.arange(persons),
        layout=layout,
        frame_size=(200, 300),
        source={},
    )


def test_resample_takes_the_nearest_row():
    source = record(np.arange(30) / 30)
    dense = resample(source, 0.2, 0.7, 10)
    np.testing.assert_allclose(dense.timestamps, [0.2, 0.3, 0.4, 0.5, 0.6])
    np.testing.assert_array_equal(dense.keypoints, source.keypoints[:, [6, 9, 12, 15, 18]])
    np.testing.assert_array_equal(dense.visible, source.visible[:, [6, 9, 12, 15, 18]])
    # Denser than the source: every row has the nearest source row, half a source period away at most.
    denser = resample(source, 0.0, 1.0, 60)
    assert denser.num_frames == 60
    np.testing.assert_array_equal(denser.keypoints[:, ::2], source.keypoints)
    assert denser.visible.any((0, 2)).all()


@pytest.mark.parametrize(("end", "fps", "rows"), [(1.2, 10, 12), (0.7, 10, 7), (1.0, 3, 3), (1.01, 3, 4), (0.01, 5, 1)])
def test_resample_counts_rows_before_the_end(end, fps, rows):
    dense = resample(record(np.arange(60) / 30), 0.0, end, fps)
    assert dense.num_frames == rows
    assert dense.timestamps[-1] < end


def test_resample_claims_nothing_where_no_source_row_is_near():
    source = replace(record([0.0, 0.1, 0.2, 0.9, 1.0]), visible=np.ones((1, 5, 17), dtype=bool))
    dense = resample(source, 0.0, 1.5, 10)
    seen = dense.visible.all((0, 2))
    assert seen.tolist() == [True] * 4 + [False] * 4 + [True] * 4 + [False] * 3
    assert dense.visible.any((0, 2)).tolist() == seen.tolist()
    assert (dense.boxes[:, ~seen] == 0).all()
    assert (dense.confidence[:, ~seen] == 0).all()
    assert resample(record([0.5]), 0.0, 1.0, 10).visible.any((0, 2)).sum() == 3


def test_resample_of_nobody_and_of_nonsense():
    assert resample(Skeleton.empty([0.0, 0.5], (4, 5)), 0, 1, 8).keypoints.shape == (0, 8, 17, 2)
    for start, end, fps in ((1, 1, 5), (0, 1, 0), (0, float("nan"), 5)):
        with pytest.raises(SkeletonError, match="expected seconds start < end and fps > 0, found"):
            resample(record([0.0, 1.0]), start, end, fps)


def test_collate():
    long, crowd = record(np.arange(6) / 10, 1), record(2 + np.arange(4) / 10, 3, seed=1)
    visible = crowd.visible.copy()
    visible[1] = False
    visible[1, 0, 0] = True
    crowd = replace(crowd, visible=visible)
    batch = collate([long, None, crowd], [0.0, 0.0, 2.0], max_persons=2)
    assert batch.keypoints.shape == (3, 2, 6, 17, 2)
    assert batch.keypoints.dtype == batch.confidence.dtype == batch.times.dtype == torch.float32
    assert batch.frames.sum(1).tolist() == [6, 0, 4]
    np.testing.assert_allclose(batch.times[2], [0, 0.1, 0.2, 0.3, 0.3, 0.3], atol=1e-6)
    np.testing.assert_allclose(batch.aspect, [1.5, 1, 1.5])
    assert not batch.visible[1].any()
    assert not batch.visible[0, 1].any()
    assert not batch.visible[2, :, 4:].any()
    # The person with a single visible joint gives way; the others keep their order.
    for slot, person in enumerate((0, 2)):
        seen = crowd.visible[person]
        np.testing.assert_array_equal(batch.visible[2, slot, :4], seen)
        expected = np.where(seen[..., None], crowd.keypoints[person] / 200, 0)
        np.testing.assert_allclose(batch.keypoints[2, slot, :4], expected, rtol=1e-6)
        np.testing.assert_array_equal(batch.confidence[2, slot, :4], np.where(seen, crowd.confidence[person], 0))


def test_collate_of_nothing():
    batch = collate([None, Skeleton.empty([0.0, 0.1], (4, 8))], [0.0, 0.0], max_persons=3)
    assert batch.visible.shape == (2, 1, 2, 17)
    assert batch.frames.tolist() == [[False, False], [True, True]]
    assert collate([None], [0.0], 1).visible.shape == (1, 1, 1, 17)
    assert (streams(batch) == 0).all()


def test_collate_refuses_what_does_not_fit():
    a, b = record([0.0, 0.1]), record([0.0], layout="penn13")
    with pytest.raises(LayoutError, match="expected skeletons of layout coco17, found penn13; convert them"):
        collate([a, b], [0, 0], 2)
    with pytest.raises(SkeletonError, match=r"pixels \(C=2\) or metres \(C=3\) in one batch, found both"):
        collate([a, record([0.0], coordinates=3)], [0, 0], 2)
    with pytest.raises(SkeletonError, match="found 1 skeletons, 2 starts and 2"):
        collate([a], [0, 0], 2)


def test_batch_checks_its_shapes():
    batch = collate([record([0.0, 0.1])], [0.0], 1)
    with pytest.raises(SkeletonError, match=r"times must be \(1, 2\) beside visible \(1, 1, 2, 17\), found \(1, 3\)"):
        replace(batch, times=torch.zeros(1, 3))
    with pytest.raises(LayoutError, match="layout penn13 has 13 joints, found 17"):
        replace(batch, layout="penn13")
    assert batch.to("cpu").layout == "coco17"
    assert batch.to("meta").visible.device.type == "meta"


def standing(rows: int = 4, shift: float = 0.0, scale: float = 1.0) -> SkeletonBatch:
    """A person with a torso of 0.2 frame heights who moves right by 0.01 a row; all joints visible."""
    points = torch.zeros(1, 1, rows, 17, 2)
    for side, x in (("left", 0.05), ("right", -0.05)):
        for part, y in (
            ("shoulder", 0.3),
            ("elbow", 0.4),
            ("wrist", 0.5),
            ("hip", 0.5),
            ("knee", 0.7),
            ("ankle", 0.9),
        ):
            points[..., COCO.index(f"{side}_{part}"), :] = torch.tensor([x, y])
    points[..., :5, :] = torch.tensor([0.0, 0.2])
    points[..., 0] += 0.01 * torch.arange(rows)[:, None]
    points = points * scale + shift
    seen = torch.ones(1, 1, rows, 17, dtype=torch.bool)
    times, frames = torch.arange(rows)[None] / 10, torch.ones(1, rows, dtype=torch.bool)
    return SkeletonBatch(points, seen.float() * 0.9, seen, times, frames, torch.tensor([1.6]), "coco17")


def hide(batch: SkeletonBatch, rows, joint: str) -> SkeletonBatch:
    visible = batch.visible.clone()
    visible[:, :, rows, COCO.index(joint)] = False
    return replace(batch, visible=visible, keypoints=batch.keypoints * visible[..., None])


def test_streams_by_hand():
    batch = standing()
    joint, bone, motion, position = (streams(batch, (name,))[0, 0] for name in ("joint", "bone", "motion", "position"))
    torch.testing.assert_close(joint[:, COCO.index("left_knee"), :2], torch.tensor([[0.25, 1.0]]).expand(4, 2))
    torch.testing.assert_close(bone[:, COCO.index("left_knee"), :2], torch.tensor([[0.0, 1.0]]).expand(4, 2))
    assert (bone[:, COCO.index("nose"), :2] == 0).all()
    torch.testing.assert_close(motion[:3, :, :2], torch.tensor([0.5, 0.0]).expand(3, 17, 2))
    assert (motion[3, :, :2] == 0).all()
    torch.testing.assert_close(position[0, 0, :2], torch.tensor([-0.8, -0.3]))
    assert (joint[..., 2] == 0.9).all()
    every = streams(batch, ("joint", "bone", "motion", "position"))
    assert every.shape[-1] == stream_channels(("joint", "bone", "motion", "position")) == 9
    torch.testing.assert_close(every[0, 0, ..., 2:4], bone[..., :2])


def profile() -> SkeletonBatch:
    """The same person from the side, facing right, the left wrist ahead by a torso."""
    batch = standing()
    points = batch.keypoints.clone()
    points[..., 0] = 0.0
    points[..., COCO.index("nose"), 0] = 0.05
    points[..., COCO.index("left_wrist"), 0] = 0.2
    return replace(batch, keypoints=points)


def test_own_axes_by_hand():
    own = streams(standing(), ("own",))[0, 0]
    wrist, side = COCO.index("left_wrist"), 1.5 * 0.1 / 0.2  # as wide as the shoulders seem
    expected = side * (0.05 + 0.01 * torch.arange(4) - 0.015) / 0.2
    torch.testing.assert_close(own[:, wrist, 0], expected)
    assert (own[..., 1] == 0).all()
    torch.testing.assert_close(
        streams(profile(), ("own",))[0, 0, :, wrist, :2], torch.tensor([[0.0, 1.0]]).expand(4, 2)
    )


@pytest.mark.parametrize("batch", [standing(), profile()])
def test_own_axes_turn_with_the_person(batch):
    """From behind, or from the other side, the picture is reflected and left stays left."""
    points = batch.keypoints * torch.tensor([-1.0, 1.0]) + torch.tensor([1.6, 0.0])
    torch.testing.assert_close(streams(replace(batch, keypoints=points), ("own",)), streams(batch, ("own",)))


def test_own_axes_need_pixels_and_take_what_the_layout_has():
    metres = collate([record(np.arange(3) / 3, coordinates=3)], [0.0], 1)
    with pytest.raises(SkeletonError, match=r"expected pixels \(C=2\) for the stream own, found metres"):
        streams(metres, ("own",))
    kinect = collate([record(np.arange(30) / 30, layout="kinect20")], [0.0], 1, layout="kinect20")
    assert "nose" not in get_layout("kinect20").joints
    own = streams(kinect, ("own",))
    assert (own[..., 1] == 0).all() and (own[..., 0] != 0).any()


def test_size_and_place_change_the_position_only():
    names = ("joint", "bone", "motion", "own")
    torch.testing.assert_close(streams(standing(shift=0.3, scale=0.5), names), streams(standing(), names))
    assert not torch.allclose(streams(standing(shift=0.3), ("position",)), streams(standing(), ("position",)))


def test_invisible_joints_are_zero_and_never_read():
    batch = hide(standing(), [1], "left_wrist")
    moved = batch.keypoints.clone()
    moved[~batch.visible] = 77.0
    names = ("joint", "bone", "motion", "position")
    inputs, wrist = streams(batch, names)[0, 0], COCO.index("left_wrist")
    assert (inputs[1, wrist] == 0).all()
    assert (inputs[0, wrist, 4:6] == 0).all()  # no motion towards a row where the joint is missing
    assert (inputs[2, wrist, 4:6] != 0).any()
    torch.testing.assert_close(streams(replace(batch, keypoints=moved), names)[0, 0], inputs)
    child = hide(standing(), [1], "left_elbow")
    assert (streams(child, ("bone",))[0, 0, 1, wrist, :2] == 0).all()


def test_without_hips_the_mean_of_the_visible_joints_is_the_center():
    batch = hide(standing(), [2], "left_hip")
    joint = streams(batch, ("joint",))[0, 0, 2]
    seen = batch.visible[0, 0, 2]
    torch.testing.assert_close(joint[seen, :2].mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    # One row without hips does not change the unit of the clip.
    wrist, elbow = COCO.index("left_wrist"), COCO.index("left_elbow")
    torch.testing.assert_close(joint[wrist, 1] - joint[elbow, 1], torch.tensor(0.5))
    legs = standing()
    for name in COCO.joints[:11]:
        legs = hide(legs, range(4), name)
    joint = streams(legs, ("joint",))[0, 0, 0]
    torch.testing.assert_close(joint[COCO.index("left_ankle"), 1], torch.tensor(0.4 / 0.2))


def test_unit_is_bounded_and_the_median_of_the_clip():
    batch = standing(rows=5)
    points = batch.keypoints.clone()
    points[:, :, 0] *= 10  # one broken row
    torch.testing.assert_close(streams(replace(batch, keypoints=points))[:, :, 2:], streams(batch)[:, :, 2:])
    flat = standing()
    points = flat.keypoints.clone()
    points[..., COCO.index("left_shoulder"), :] = points[..., COCO.index("left_hip"), :]
    points[..., COCO.index("right_shoulder"), :] = points[..., COCO.index("right_hip"), :]
    joint = streams(replace(flat, keypoints=points), ("joint",))
    assert joint[..., :2].abs().max() <= 8


def test_streams_differentiate_and_stay_finite():
    batch = hide(standing(), [0, 1], "left_hip")
    points = batch.keypoints.clone().requires_grad_()
    streams(replace(batch, keypoints=points), ("joint", "bone", "motion", "position", "own")).square().sum().backward()
    assert torch.isfinite(points.grad).all()
    assert (points.grad[~batch.visible] == 0).all()
    assert (points.grad[batch.visible] != 0).any()
    empty = collate([None], [0.0], 1)
    points = empty.keypoints.clone().requires_grad_()
    streams(replace(empty, keypoints=points)).sum().backward()
    assert (points.grad == 0).all()


def test_unknown_stream():
    with pytest.raises(
        SkeletonError,
        match=r"streams among joint, bone, motion, bone_motion, trajectory, position, own, each once, found \['jont'\]",
    ):
        streams(standing(), ("jont",))
    with pytest.raises(SkeletonError, match="each once"):
        stream_channels(("joint", "joint"))
