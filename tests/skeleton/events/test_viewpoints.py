"""Which side of a person is seen."""

import numpy as np
import pytest

from skeleton.events.viewpoints import VIEWS, facing, view_of
from skeleton.formats.bvh import read_bvh
from tests.skeleton.formats.bvh_files import bvh_text


def test_facing_is_where_the_toes_point(tmp_path):
    yaw = np.array([0.0, 90, 180, -90, 30, -100])
    (tmp_path / "a.bvh").write_text(bvh_text(len(yaw), turns={"Hips": {"Y": yaw}}))
    skeleton = read_bvh(tmp_path / "a.bvh")
    np.testing.assert_allclose(np.cos(facing(skeleton)[0] - np.radians(yaw)), 1, atol=1e-6)
    toes = skeleton.keypoints[0, :, 10] - skeleton.keypoints[0, :, 7]  # left foot and ankle
    np.testing.assert_allclose(
        np.degrees(np.arctan2(toes[:, 0], toes[:, 2]) - facing(skeleton)[0]) % 360 % 359.999, 0, atol=0.01
    )


@pytest.mark.parametrize(
    ("degrees", "view"), [(0, "front"), (90, "right"), (180, "back"), (-90, "left"), (44, "front"), (-136, "back")]
)
def test_views_are_named_by_the_side_that_is_seen(degrees, view):
    """Who looks to the right of the picture shows the right side."""
    assert view_of(np.radians(degrees)) == view_of(np.radians(degrees + 360)) == view
    assert set(VIEWS) == {"front", "right", "back", "left"}
