"""Figures of one record, exact; and of each reason to look at it a record that gives it and one that does not."""

from collections import Counter

import numpy as np
import pytest

from hybrid.summary.checks import measure, sizes
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton

COCO = get_layout("coco17")
STANDING = np.array(  # a body 100 px high, arms hanging
    [
        [50, 5], [52, 3], [48, 3], [55, 5], [45, 5], [62, 22], [38, 22], [65, 40], [35, 40], [66, 55], [34, 55], [58, 55],
        [42, 55], [58, 78], [42, 78], [58, 100], [42, 100],
    ],
    np.float32,
)  # fmt: skip


def make(persons=1, rows=40, fps=20.0, change=lambda points, visible, times: None, source=None):
    """Persons side by side who sway a little; `change` edits keypoints [M, T, V, 2], visible and timestamps in place."""
    points = np.tile(STANDING, (persons, rows, 1, 1)) + np.arange(persons)[:, None, None, None] * [120, 0]
    points = points + (5 * np.sin(np.arange(rows) / 3))[:, None, None]
    visible, times = np.ones(points.shape[:3], bool), np.arange(rows) / fps
    change(points, visible, times)
    seen = visible[..., None]
    there = visible.any(-1, keepdims=True)
    low, high = (
        np.where(there, f(np.where(seen, points, fill), 2), 0) for f, fill in ((np.min, np.inf), (np.max, -np.inf))
    )
    return Skeleton(
        keypoints=points, confidence=np.ones(points.shape[:3]), visible=visible, boxes=np.concatenate((low, high), -1),
        timestamps=times, track_ids=np.arange(persons) + 1, layout="coco17", frame_size=(240, 640), source=source or {},
    )  # fmt: skip


def kinds(skeleton):
    return {reason.kind: reason for reason in measure(skeleton).reasons}


def test_a_clean_record_has_figures_and_no_reasons():
    dropped = [{"track_id": 9, "reason": "seen too briefly"}, {"track_id": 8, "reason": "seen too briefly"}]
    facts = measure(make(2, source={"sha256": "abc", "dropped_persons": dropped}))
    assert (facts.frames, facts.seconds, facts.fps, facts.layout, facts.tracks) == (
        40,
        2.0,
        pytest.approx(20),
        "coco17",
        2,
    )
    assert (facts.dropped, facts.sha256, facts.reasons) == (Counter({"seen too briefly": 2}), "abc", ())
    assert facts.persons.tolist() == [0, 0, 40] and facts.present == 80 and (facts.visible == 80).all()


def test_rates_count_the_rows_in_which_a_person_is_there():
    def change(points, visible, times):
        visible[1, 10:] = False  # gone
        visible[0, :, COCO.index("nose")] = np.arange(40) < 30

    facts = measure(make(2, change=change))
    assert facts.persons.tolist() == [0, 30, 10] and facts.present == 50
    assert facts.visible[COCO.index("nose")] / facts.present == 0.8
    assert facts.visible[COCO.index("left_wrist")] / facts.present == 1.0


def test_one_frame_and_nobody_at_all():
    facts = measure(Skeleton.empty(np.zeros(1), (48, 64)))
    assert (facts.frames, facts.seconds, facts.fps, facts.present) == (1, 0.0, None, 0)
    assert [reason.kind for reason in facts.reasons] == ["nobody"]


def test_sizes_hold_for_somebody_who_lies_and_for_hidden_legs():
    skeleton = make()
    lying = make(change=lambda points, visible, times: points.__setitem__(slice(None), points[..., ::-1].copy()))
    assert sizes(skeleton, np.ones((1, 40), bool)) == pytest.approx(sizes(lying, np.ones((1, 40), bool)), rel=0.01)
    assert 97 <= sizes(skeleton, np.ones((1, 40), bool))[0] <= 98


def seen_until(row):
    return lambda points, visible, times: visible[0].__setitem__(slice(row, None), False)


def hide(joints, rate):
    def change(points, visible, times):
        visible[0, round(rate * len(times)) :, joints] = False

    return change


def brief(points, visible, times):
    """Person 0 stays; the others are there for ten rows each."""
    for m in range(1, len(points)):
        visible[m] = ((np.arange(len(times)) // 10) == m)[:, None]


def jump_at(*rows, by):
    def change(points, visible, times):
        for row in rows:
            points[0, row, COCO.index("right_elbow")] += (by, 0)

    return change


def swap_at(*rows, joint="wrist"):
    def change(points, visible, times):
        left, right = (COCO.index(f"{side}_{joint}") for side in ("left", "right"))
        for row in rows:
            points[0, row:, [left, right]] = points[0, row:, [right, left]]

    return change


def pause(seconds):
    return lambda points, visible, times: times.__setitem__(slice(20, None), times[20:] + seconds)


def still(points, visible, times):
    points[:] = points[:, :1]


LIMBS = [i for i, name in enumerate(COCO.joints) if name.endswith(("elbow", "wrist", "knee", "ankle"))]


@pytest.mark.parametrize(
    ("kind", "bad", "good", "text"),
    [
        ("nobody", make(change=seen_until(19)), make(change=seen_until(20)), "nobody in 52% of the frames"),
        ("hidden limbs", make(change=hide(LIMBS, 0.25)), make(change=hide(LIMBS, 0.35)), "hardly visible: person 1 25%"),
        ("short tracks", make(4, 41, change=brief), make(3, 41, change=brief), "3 of 4 persons seen for less than a second"),
        ("jump", make(change=jump_at(7, 20, by=54)), make(change=jump_at(7, 20, by=45)), "from one frame to the next 4 times"),
        ("jump", make(rows=400, change=jump_at(7, 50, by=60)), make(rows=401, change=jump_at(7, 50, by=60)), "4 times"),
        ("left/right", make(change=swap_at(9)), make(), "left and right wrists or ankles change places 1 time"),
        ("left/right", make(change=swap_at(9, 10, joint="ankle")), make(rows=101, change=swap_at(9)), "2 times"),
        ("time gap", make(change=pause(0.5)), make(change=pause(0.4)), "1 gap in time, the longest of 0.6 s at 0.9 s"),
        ("frozen", make(2, change=still), make(2), "no box moves: the video may be a still picture"),
    ],
)  # fmt: skip
def test_each_reason(kind, bad, good, text):
    found = kinds(bad)
    assert set(found) >= {kind} and text in found[kind].text and 0 < found[kind].share <= 1
    assert kind not in kinds(good)


def test_slow_records_are_not_judged_by_their_steps():
    assert set(kinds(make(fps=2, change=swap_at(9)))) == set()
    assert set(kinds(make(fps=1, change=jump_at(9, by=80)))) == set()


def test_a_person_seen_briefly_may_hide_the_limbs():
    def until(row):
        def change(points, visible, times):
            visible[1, :, LIMBS] = False
            visible[1, row:] = False

        return change

    assert set(kinds(make(2, change=until(4)))) == {"hidden limbs"}
    assert set(kinds(make(2, change=until(3)))) == set()


def test_hands_that_cross_are_not_swapped():
    def cross(points, visible, times):
        middle = points[0, :, [9, 10], 0].mean(0)
        for joint, side in ((9, 1), (10, -1)):
            points[0, :, joint, 0] = middle + side * 30 * np.cos(np.linspace(0, np.pi, len(times)))

    assert kinds(make(change=cross)) == {}


def test_a_fast_body_is_not_swapped():
    def run(points, visible, times):  # by the distance of the wrists in each row: one comes where the other was
        points[..., 0] += 32 * np.arange(len(times))[:, None]

    assert kinds(make(change=run)) == {}


def test_a_body_in_metres_is_judged_alike():
    def of(change):
        flat = make(change=change)
        points = np.concatenate((flat.keypoints / 60, np.zeros((*flat.keypoints.shape[:3], 1))), -1)
        return Skeleton(
            keypoints=points, confidence=flat.confidence, visible=flat.visible, boxes=np.zeros_like(flat.boxes),
            timestamps=flat.timestamps, track_ids=flat.track_ids, layout="coco17", frame_size=(240, 640), source={},
        )  # fmt: skip

    assert kinds(of(lambda *_: None)) == {}
    assert set(kinds(of(jump_at(7, by=60)))) == {"jump"}
    assert set(kinds(of(swap_at(9)))) == {"left/right"}
