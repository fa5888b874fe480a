from dataclasses import replace

import numpy as np
import pytest

from skeleton.errors import SkeletonError
from skeleton.events.denoising import bridge, unswap, without_flicker
from skeleton.events.kinematics import camera_shift, measure
from skeleton.layouts.conversion import convert
from skeleton.layouts.layout import get_layout
from tests.skeleton.events.detectors.bodies import TIMES, joints, move, planar, solid

COCO = get_layout("coco17")


@pytest.mark.parametrize(
    ("view", "across", "facing"), [("front", 1, None), ("back", -1, None), ("left", 0, -1), ("right", 0, 1)]
)
def test_the_view_follows_from_shoulders_and_nose(view, across, facing):
    body = measure(planar(joints([], view)), 0)
    assert body.view() == view and body.planar
    np.testing.assert_allclose(body.across, across, atol=0.2)
    assert facing is None or (body.facing == facing).all()
    assert body.lateral.all() == (view in ("front", "back")) and (body.sagittal == ~body.lateral).all()
    assert measure(solid(joints([], view)), 0).view() is None


def test_directions_are_the_persons_own_in_every_view():
    arm = [move("left arm", "raise", direction="left", start=0.0, end=5.0)]
    for view in ("front", "back"):
        upper = measure(planar(joints(arm, view)), 0).bones["left", "upper"]
        assert upper[40, 0] > 0.9 and np.isnan(upper[:, 2]).all() and abs(upper[40, 1]) < 0.45
    ahead = [move("left arm", "raise", direction="forward", start=0.0, end=5.0)]
    for view in ("left", "right"):
        upper = measure(planar(joints(ahead, view)), 0).bones["left", "upper"]
        assert upper[40, 2] > 0.9 and np.isnan(upper[:, 0]).all()
    for view in ("front", "back", "left", "right"):
        upper = measure(solid(joints(ahead, view)), 0).bones["left", "upper"]
        np.testing.assert_allclose(upper[40], (0, -0.1, 1), atol=0.2)
        np.testing.assert_allclose(np.linalg.norm(upper, axis=1), 1, atol=1e-6)


def test_units_are_torsos_whatever_the_size_of_the_picture():
    record = planar(joints([move("right arm", "wave", count=3)]))
    small, large = (measure(replace(record, keypoints=record.keypoints * scale), 0) for scale in (0.5, 3.0))
    np.testing.assert_allclose(large.torso, 6 * small.torso, rtol=1e-5)
    for name in ("root", "head", "trunk", "across"):
        np.testing.assert_allclose(getattr(small, name), getattr(large, name), atol=1e-3)
    np.testing.assert_allclose(small.between("hip", "right_wrist"), large.between("hip", "right_wrist"), atol=1e-4)
    rows = slice(10, 20)
    np.testing.assert_array_equal(small.between("hip", "nose", rows=rows), small.between("hip", "nose")[rows])
    np.testing.assert_array_equal(small.far("nose", "hip", rows), small.far("nose", "hip")[rows])


@pytest.mark.parametrize(
    ("direction", "axis", "sign"), [("left", 0, 1), ("right", 0, -1), ("up", 1, 1), ("down", 1, -1)]
)
def test_a_head_is_measured_against_how_it_is_usually_carried(direction, axis, sign):
    head = [move("head", "turn", direction=direction, start=2.0, end=3.4)]
    for record in (solid(joints(head)), planar(joints(head))):
        angles = measure(record, 0).head
        assert 25 < sign * angles[43, axis] < 95 and np.abs(angles[:24]).max() < 8


def test_another_layout_is_read_by_the_names_of_its_joints():
    record = solid(joints([move("left arm", "raise", direction="up")]))
    expected = measure(record, 0).bones["left", "upper"]
    for layout in ("halpe26", "openpose25"):
        np.testing.assert_allclose(measure(convert(record, layout), 0).bones["left", "upper"], expected, atol=1e-5)


def test_somebody_cut_off_at_the_waist_is_measured_all_the_same():
    record = planar(joints([move("left arm", "raise", direction="up")]))
    whole = measure(record, 0)
    visible = record.visible.copy()
    visible[..., 11:] = False
    half = measure(replace(record, visible=visible), 0)
    np.testing.assert_allclose(half.bones["left", "upper"][:, 1], whole.bones["left", "upper"][:, 1], atol=0.25)
    assert half.bones["left", "upper"][30, 1] > 0.6 and np.isnan(half.bones["left", "thigh"]).all()


def test_somebody_of_whom_one_side_is_annotated_is_seen_from_that_side():
    record = planar(joints([], "right"))
    visible = record.visible.copy()
    visible[..., [i for i, name in enumerate(COCO.joints) if name.startswith("left")]] = False
    body = measure(replace(record, visible=visible), 0)
    assert body.view() == "right" and np.isfinite(body.bones["right", "thigh"][:, 1:]).all()


def test_nobody_is_none_and_an_unknown_row_is_an_error():
    record = planar(joints([]))
    assert measure(replace(record, visible=np.zeros_like(record.visible)), 0) is None
    with pytest.raises(SkeletonError, match="expected a person row below 1, found 1: count from 0"):
        measure(record, 1)


def test_the_common_motion_of_three_is_the_cameras():
    shift = np.stack([20 * TIMES, 5 * np.sin(TIMES)], axis=1)
    people = [joints([], place=(x, 0, 0)) for x in (-0.7, 0.0, 0.7)]
    moved = planar(*people)
    moved = replace(moved, keypoints=moved.keypoints + shift[None, :, None])
    np.testing.assert_allclose(camera_shift(moved), shift - shift[0], atol=1e-2)
    assert not camera_shift(planar(*people[:2])).any() and not camera_shift(solid(*people)).any()


def test_bridges_are_short_and_straight():
    points = np.tile(np.arange(12.0)[:, None, None], (1, 1, 2))
    points[[2, 3, 6, 7, 8]] = np.nan
    filled = bridge(points, 2)
    np.testing.assert_allclose(filled[[2, 3], 0, 0], [2, 3])
    assert np.isnan(filled[6:9]).all()


def test_flicker_is_left_out():
    points = np.zeros((40, 2, 2))
    points[::2, 1] = np.nan
    kept = without_flicker(points, 10, 0.6)
    assert np.isfinite(kept[:, 0]).all() and np.isnan(kept[6:-6, 1]).all()


def test_exchanged_rows_are_found():
    truth = (
        planar(joints([move("left arm", "raise", direction="up"), move("right leg", "kick")]))
        .keypoints[0]
        .astype(float)
    )
    broken = truth.copy()
    rows = [5, 20, 21, 22, 40, 41]
    broken[rows] = truth[rows][:, COCO.mirror]
    np.testing.assert_array_equal(unswap(broken, COCO.mirror), truth)
    np.testing.assert_array_equal(unswap(truth, COCO.mirror), truth)
