"""Changes of batches: each keeps what it should and changes what it says."""

from dataclasses import replace

import pytest
import torch

from skeleton.errors import SkeletonError
from skeleton.inputs.augmentation import (
    CORRUPTIONS,
    behind,
    crop,
    drop_frames,
    face,
    jitter,
    mirror,
    miss_joints,
    scale,
    swap_sides,
    turn,
)
from skeleton.layouts.layout import get_layout
from tests.skeleton.encoders.batches import make


def random(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_turning_keeps_lengths_and_heights():
    batch = make(size=4, coordinates=3)
    turned = turn(batch, 180, 0, random())
    torch.testing.assert_close(turned.keypoints[..., 1], batch.keypoints[..., 1])
    torch.testing.assert_close(turned.keypoints.norm(dim=-1), batch.keypoints.norm(dim=-1))
    angles = [
        torch.atan2(*turned.keypoints[i, 0, 0, :, [0, 2]].T) - torch.atan2(*batch.keypoints[i, 0, 0, :, [0, 2]].T)
        for i in range(4)
    ]
    seen = batch.visible[:, 0, 0]
    spread = [torch.stack((one[s].cos(), one[s].sin())).std(1).max() for one, s in zip(angles, seen, strict=True)]
    assert max(spread) < 1e-4  # one angle a sample
    assert len({round(one[s][0].cos().item(), 3) for one, s in zip(angles, seen, strict=True)}) > 1
    tilted = turn(batch, 0, 20, random())
    assert (tilted.keypoints[..., 1] - batch.keypoints[..., 1]).abs().max() > 0.05
    torch.testing.assert_close(tilted.keypoints.norm(dim=-1), batch.keypoints.norm(dim=-1))


def test_turning_needs_metres():
    with pytest.raises(SkeletonError, match=r"expected metres \(C=3\) to turn people about the vertical, found pixels"):
        turn(make(), 10, 0, random())


def test_from_behind_sides_are_exchanged_and_facing_turns():
    batch, layout = make(size=3, missing=0.0, coordinates=3), get_layout("coco17")
    seen = behind(batch, 1.0, random())
    left, right = layout.index("left_wrist"), layout.index("right_wrist")
    torch.testing.assert_close(
        seen.keypoints[..., left, :], batch.keypoints[..., right, :] * torch.tensor([-1.0, 1.0, -1.0])
    )
    torch.testing.assert_close(behind(seen, 1.0, random()).keypoints, batch.keypoints)
    # What a camera takes for the front looks, once it is faced, as if the sides alone had been exchanged and turned to face.
    exchanged = face(swap_sides(batch, 1.0, random()))
    torch.testing.assert_close(face(seen).keypoints, exchanged.keypoints, atol=1e-4, rtol=0)
    some = behind(make(size=200, coordinates=3), 0.25, random()).keypoints != make(size=200, coordinates=3).keypoints
    assert 0.15 < some.flatten(1).any(1).float().mean() < 0.35
    with pytest.raises(SkeletonError, match=r"expected metres \(C=3\) for clips as from behind, found pixels"):
        behind(make(), 0.5, random())


def test_scaling_is_one_factor_for_each_axis_of_a_sample():
    batch = make(size=3, missing=0.0)
    factors = scale(batch, 0.2, random()).keypoints / batch.keypoints
    assert (factors.flatten(1, 3).std(1) < 1e-4).all()
    assert 0.8 <= factors.min() < factors.max() <= 1.2
    assert factors.std() > 0.01


def test_cropping_shows_a_part_of_the_time_in_all_rows():
    batch = make(size=40, frames=30, missing=0.0)
    batch.frames[:20, 21:] = False  # 21 rows, the rest is padding
    batch.visible[:20, :, 21:] = False
    number = torch.arange(30.0).view(1, 1, 30, 1, 1).expand_as(batch.keypoints)
    cropped = crop(replace(batch, keypoints=number), 0.5, random())
    assert torch.equal(cropped.times, batch.times) and torch.equal(cropped.visible, batch.visible)
    for some, rows in ((slice(20), 21), (slice(20, 40), 30)):
        shown = cropped.keypoints[some, 0, :rows, 0, 0]
        steps = shown.diff(dim=1)
        assert ((steps == 0) | (steps == 1)).all()
        parts = (shown[:, -1] - shown[:, 0]) / (rows - 1)
        assert 0.45 < parts.min() < 0.6 and 0.9 < parts.max() <= 1
        assert shown.min() == 0 and shown.max() >= rows - 2  # parts lie anywhere
    whole = crop(batch, 1.0, random())
    assert torch.equal(whole.keypoints, batch.keypoints) and torch.equal(whole.confidence, batch.confidence)


@pytest.mark.parametrize("coordinates", [2, 3])
def test_mirroring_exchanges_sides_and_keeps_the_rest(coordinates):
    batch = make(coordinates=coordinates)
    flipped = mirror(batch, 1.0, random())
    left, right = (get_layout("coco17").index(f"{side}_wrist") for side in ("left", "right"))
    edge = 1.5 if coordinates == 2 else 0.0
    seen = batch.visible[..., left]
    torch.testing.assert_close(flipped.visible[..., right], seen)
    torch.testing.assert_close(flipped.confidence[..., right], batch.confidence[..., left])
    torch.testing.assert_close(flipped.keypoints[..., right, 0][seen], edge - batch.keypoints[..., left, 0][seen])
    torch.testing.assert_close(flipped.keypoints[..., right, 1:][seen], batch.keypoints[..., left, 1:][seen])
    assert (flipped.keypoints[~flipped.visible] == 0).all()
    again = mirror(flipped, 1.0, random())
    torch.testing.assert_close(again.keypoints, batch.keypoints)
    torch.testing.assert_close(mirror(batch, 0.0, random()).keypoints, batch.keypoints)


def test_jitter_moves_what_is_visible():
    batch = make()
    moved = jitter(batch, 0.01, random()).keypoints - batch.keypoints
    assert (moved[~batch.visible] == 0).all()
    assert moved[batch.visible].std().item() == pytest.approx(0.01, rel=0.1)


def test_missed_joints_and_dropped_rows():
    batch = make(size=8, missing=0.0)
    missed, dropped = miss_joints(batch, 0.3, random()), drop_frames(batch, 0.3, random())
    for spoilt in (missed, dropped):
        assert (~spoilt.visible).float().mean().item() == pytest.approx(0.3, abs=0.08)
        assert (spoilt.keypoints[~spoilt.visible] == 0).all()
        assert (spoilt.confidence[~spoilt.visible] == 0).all()
        torch.testing.assert_close(spoilt.times, batch.times)
    rows = dropped.visible.flatten(3).any(-1)
    assert (dropped.visible.all(-1) == rows).all()
    assert (rows == rows[:, :1]).all()  # of all persons
    assert (missed.visible.all(-1) != missed.visible.any(-1)).any()


def test_exchanged_sides_stay_where_they_are():
    batch = make(size=8, missing=0.1)
    order = torch.as_tensor(get_layout("coco17").mirror.copy())
    swapped = swap_sides(batch, 0.5, random())
    rows = (swapped.keypoints != batch.keypoints).flatten(3).any(-1).any(1)
    assert 0.3 < rows.float().mean() < 0.7
    expected = torch.where(rows[:, None, :, None, None], batch.keypoints[..., order, :], batch.keypoints)
    torch.testing.assert_close(swapped.keypoints, expected)
    torch.testing.assert_close(
        swapped.visible, torch.where(rows[:, None, :, None], batch.visible[..., order], batch.visible)
    )


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_nothing_is_spoilt_at_zero_and_the_batch_itself_never(name):
    batch = make()
    before = batch.keypoints.clone()
    unspoilt = CORRUPTIONS[name](batch, 0.0, random())
    torch.testing.assert_close(unspoilt.keypoints, batch.keypoints)
    CORRUPTIONS[name](batch, 0.5, random())
    torch.testing.assert_close(batch.keypoints, before)
    one, two = (CORRUPTIONS[name](replace(batch), 0.5, random(3)) for _ in range(2))
    torch.testing.assert_close(one.keypoints, two.keypoints)


@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_faced_clips_are_alike_from_every_side(missing):
    batch = make(size=4, coordinates=3, missing=missing)
    faced = face(batch)
    torch.testing.assert_close(face(turn(batch, 180, 0, random())).keypoints, faced.keypoints, atol=1e-5, rtol=1e-5)
    assert (faced.keypoints - batch.keypoints).abs().max() > 0.1
    torch.testing.assert_close(faced.keypoints[..., 1], batch.keypoints[..., 1])
    torch.testing.assert_close(faced.keypoints.norm(dim=-1), batch.keypoints.norm(dim=-1))


def test_faced_persons_have_their_left_at_larger_x():
    batch = make(size=2, persons=1, coordinates=3, missing=0.0)
    layout, points = get_layout("coco17"), batch.keypoints.clone()
    for row, (x, z) in enumerate(((0.0, 1.0), (-0.6, 0.8))):  # from the right shoulder and hip to the left ones
        for name in ("shoulder", "hip"):
            points[row, :, :, layout.index(f"left_{name}")] = torch.tensor([x, 0.5, z])
            points[row, :, :, layout.index(f"right_{name}")] = torch.tensor([0.0, 0.5, 0.0])
    faced = face(replace(batch, keypoints=points)).keypoints[:, 0, :, layout.index("left_hip")]
    torch.testing.assert_close(faced, torch.tensor([1.0, 0.5, 0.0]).expand_as(faced), atol=1e-6, rtol=0)


def test_facing_needs_a_sight_of_the_trunk_and_metres():
    batch, trunk = make(coordinates=3), [get_layout("coco17").index(f"left_{name}") for name in ("shoulder", "hip")]
    unseen = batch.visible.clone()
    unseen[..., trunk] = False
    torch.testing.assert_close(face(replace(batch, visible=unseen)).keypoints, batch.keypoints)
    late = batch.visible.clone()
    late[:, :, : batch.frames.shape[1] // 2, trunk] = False  # the whole clip says it
    late = replace(batch, visible=late)
    torch.testing.assert_close(face(turn(late, 180, 0, random())).keypoints, face(late).keypoints, atol=1e-5, rtol=1e-5)
    with pytest.raises(SkeletonError, match="found pixels: set data.face=false"):
        face(make())
