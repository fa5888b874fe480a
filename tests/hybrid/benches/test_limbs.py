"""The bench of named limbs: who is the mover, what is shown, and a run on a made capture."""

from dataclasses import replace

import numpy as np
import pytest

from hybrid.benches.limbs import LimbsBench, measure, mover, shown
from hybrid.errors import DataError
from skeleton.events.limb_event import LimbEvent
from skeleton.layouts.layout import get_layout
from tests.skeleton.events.detectors.bodies import TIMES, joints, planar

LEFT = LimbEvent(person=0, limb="left arm", movement="raise", start=1.0, end=3.0)


def test_the_arm_that_moves_longer_is_the_mover():
    right = replace(LEFT, limb="right arm", start=1.0, end=1.5)
    assert mover([]) is None and mover([replace(LEFT, limb="left leg")]) is None
    assert mover([LEFT]) == mover([LEFT, right]) == "left" and mover([right]) == "right"
    assert mover([LEFT, replace(right, end=2.5)]) == mover([replace(LEFT, limb="both arms")]) == "both"


def test_an_arm_whose_wrist_is_behind_the_trunk_is_not_shown():
    record = planar(joints([]))
    assert shown(record, "both")
    confidence = record.confidence.copy()
    confidence[0, : len(TIMES) * 2 // 3, get_layout("coco17").index("left_wrist")] = 0.5
    hidden = replace(record, confidence=confidence)
    assert shown(hidden, "right") and not shown(hidden, "left") and not shown(hidden, "both")


def test_names_that_lie_are_told_from_those_that_do_not(captures, tmp_path):
    figures = measure(LimbsBench(file=str(captures), output=str(tmp_path / "o.json")))
    assert figures["clips"] == 3 and figures["right_3d"] == pytest.approx(2 / 3)
    assert figures["views"] + figures["views_unseen"] == 24 and figures["right_2d"] < 0.8
    assert all(right <= n <= 3 for right, n in figures["by_view"].values()) and len(figures["by_view"]) >= 6


def test_captures_without_named_limbs_are_an_error(captures, tmp_path):
    with np.load(captures) as file:
        arrays = dict(file)
    np.savez(tmp_path / "b.npz", **arrays | {"content": np.array(["walk"] * 4)})
    with pytest.raises(DataError, match="expected clips whose content is like raise-up-left-hand"):
        measure(LimbsBench(file=str(tmp_path / "b.npz"), output="o"))
