"""Linking persons: ids survive motion, crossing, missed frames and unsure detections."""

import numpy as np
import pytest

from skeleton.extraction.tracker import Persons, Tracker, box_iou, oks, without_duplicates
from skeleton.layouts import get_layout

SIGMAS = np.array(get_layout("coco17").sigmas)
RNG = np.random.default_rng(5)
POSE = RNG.random((17, 2)) * [0.6, 0.9] + [0.2, 0.05]


def people(places, scores=None, size=(80, 200), noise=0.0):
    """Persons of one shape whose boxes have their top left corners at `places` [N, 2]."""
    places = np.array(places, dtype=np.float64).reshape(-1, 2)
    keypoints = places[:, None] + POSE * size + RNG.normal(0, noise, (len(places), 17, 2))
    boxes = np.concatenate([places, places + size], 1)
    scores = np.full(len(places), 0.9) if scores is None else np.array(scores)
    return Persons(boxes, scores, keypoints, np.full((len(places), 17), 0.9))


def test_box_iou_by_hand():
    found = box_iou(
        np.array([[0, 0, 2, 2.0]]), np.array([[1, 1, 3, 3.0], [0, 0, 2, 2], [5, 5, 6, 6], [0, 0, 2, 1]])
    )
    np.testing.assert_allclose(found, [[1 / 7, 1, 0, 0.5]])


def test_oks_equals_pycocotools():
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth, guess = people([[10, 10]]), people([[10, 10]], noise=8)

    def entry(persons, **more):
        points = np.concatenate([persons.keypoints[0], np.full((17, 1), 2)], 1)
        x1, y1, x2, y2 = persons.boxes[0].tolist()
        box = {"bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)}
        return {
            "image_id": 1,
            "category_id": 1,
            "keypoints": points.ravel().tolist(),
            "num_keypoints": 17,
            **box,
            **more,
        }

    reference = COCO()
    reference.dataset = {
        "images": [{"id": 1}],
        "categories": [{"id": 1}],
        "annotations": [entry(truth, id=1, iscrowd=0)],
        "info": {},
    }
    reference.createIndex()
    evaluation = COCOeval(reference, reference.loadRes([entry(guess, score=1.0)]), "keypoints")
    evaluation._prepare()
    expected = evaluation.computeOks(1, 1)
    assert 0.2 < expected[0, 0] < 0.99
    np.testing.assert_allclose(oks(guess, truth, SIGMAS, 0.3), expected, rtol=1e-6)


def test_oks_counts_joints_sure_in_both():
    first, second = people([[0, 0]]), people([[0, 0]])
    second.keypoints[0, 3] += 500
    assert oks(first, second, SIGMAS, 0.3)[0, 0] < 0.95
    second.confidence[0, 3] = 0.1
    assert oks(first, second, SIGMAS, 0.3)[0, 0] == pytest.approx(1)
    second.confidence[:] = 0.1
    assert oks(first, second, SIGMAS, 0.3)[0, 0] == 0


def test_duplicates_keep_the_surer_one():
    persons = people([[0, 0], [300, 0], [3, 2]], scores=[0.5, 0.7, 0.8])
    kept = without_duplicates(persons, SIGMAS, 0.3)
    assert kept.scores.tolist() == [0.8, 0.7]


def test_two_walkers_cross_and_keep_their_ids():
    tracker = Tracker(SIGMAS)
    seen = []
    for step in range(60):
        ids = tracker.update(step / 30, people([[10 + 8 * step, 10], [490 - 8 * step, 60]], noise=1.5))
        seen.append(ids.tolist())
    assert seen == [[1, 2]] * 60


def test_order_of_detections_does_not_matter():
    tracker = Tracker(SIGMAS)
    assert tracker.update(0.0, people([[0, 0], [300, 0]])).tolist() == [1, 2]
    assert tracker.update(0.1, people([[302, 0], [2, 0]])).tolist() == [2, 1]


@pytest.mark.parametrize(("missed", "expected"), [(5, 1), (9, 1), (12, 2)])
def test_missed_frames_within_patience_keep_the_id(missed, expected):
    tracker = Tracker(SIGMAS, patience_seconds=1.0)
    for step in range(10):
        tracker.update(step / 10, people([[100 + step, 50]]))
    for step in range(10, 10 + missed):
        assert tracker.update(step / 10, people([])).tolist() == []
    step = 10 + missed
    assert tracker.update(step / 10, people([[100 + step, 50]])).tolist() == [expected]


def test_unsure_detections_prolong_but_never_begin():
    tracker = Tracker(SIGMAS, start_score=0.5)
    assert tracker.update(0.0, people([[0, 0], [300, 0]], scores=[0.9, 0.3])).tolist() == [1, -1]
    assert tracker.update(0.1, people([[1, 0], [300, 0]], scores=[0.3, 0.3])).tolist() == [1, -1]
    assert tracker.update(0.2, people([[2, 0], [300, 0]], scores=[0.9, 0.6])).tolist() == [1, 2]


def test_a_fast_walker_is_followed_by_velocity():
    tracker = Tracker(SIGMAS)
    places = np.cumsum([10, 25, 40, 55, 70, 85, 100, 100, 100])
    assert [tracker.update(t / 10, people([[x, 0]])).tolist() for t, x in enumerate(places)] == [[1]] * 9


def test_a_cut_off_box_before_a_gap_does_not_throw_the_track_away():
    tracker = Tracker(SIGMAS)
    for step in range(10):
        tracker.update(step / 30, people([[100, 50]]))
    cut = people([[100, 50]])
    cut.boxes[0, 3] -= 120
    assert tracker.update(10 / 30, cut).tolist() == [1]
    assert tracker.update(18 / 30, people([[100, 50]])).tolist() == [1]


def test_poses_tell_apart_what_boxes_confuse():
    tracker = Tracker(SIGMAS)
    first = people([[0, 0], [20, 0]])
    first.keypoints[1] = [20, 0] + POSE[::-1] * [80, 200]
    assert tracker.update(0.0, first).tolist() == [1, 2]
    swapped = Persons(
        first.boxes[::-1] * 0.6 + first.boxes * 0.4, first.scores, first.keypoints, first.confidence
    )
    assert tracker.update(0.1, swapped).tolist() == [1, 2]


def test_an_unsure_neighbour_does_not_take_the_track_over():
    tracker = Tracker(SIGMAS, start_score=0.5)
    poster = people([[40, 0]], scores=[0.3])
    assert tracker.update(0.0, people([[0, 0]])).tolist() == [1]
    assert box_iou(poster.boxes, people([[0, 0]]).boxes)[0, 0] / 2 < 0.3
    assert tracker.update(0.1, poster).tolist() == [-1]
    assert tracker.update(0.2, people([[2, 0]])).tolist() == [1]


def test_a_far_jump_is_another_person():
    tracker = Tracker(SIGMAS)
    assert tracker.update(0.0, people([[0, 0]])).tolist() == [1]
    assert tracker.update(0.1, people([[500, 0]])).tolist() == [2]
