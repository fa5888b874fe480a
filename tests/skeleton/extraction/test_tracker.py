"""Linking persons: ids survive motion, crossing, missed frames and unsure detections."""

import numpy as np
import pytest

from skeleton.extraction.persons import Persons, box_iou, oks, without_duplicates
from skeleton.extraction.tracker import Tracker
from skeleton.layouts.layout import get_layout

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
    found = box_iou(np.array([[0, 0, 2, 2.0]]), np.array([[1, 1, 3, 3.0], [0, 0, 2, 2], [5, 5, 6, 6], [0, 0, 2, 1]]))
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
    swapped = Persons(first.boxes[::-1] * 0.6 + first.boxes * 0.4, first.scores, first.keypoints, first.confidence)
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


def walk(tracker, places, fps=30, images=None, start=0):
    """Ids frame by frame; places [T][N] of top left corners, None for a person nobody sees."""
    ids = []
    for t, row in enumerate(places):
        seen = [place for place in row if place is not None]
        found = tracker.update((start + t) / fps, people(seen), None if images is None else images[t]).tolist()
        ids.append([found.pop(0) if place is not None else None for place in row])
    return ids


@pytest.mark.parametrize("fps", [10, 25, 30, 50])
@pytest.mark.parametrize("hidden_seconds", [0.5, 1.0])
def test_a_walker_hidden_behind_another_keeps_the_id(fps, hidden_seconds):
    frames, begin = round(4 * fps), round(1.5 * fps)
    hidden = range(begin, begin + round(hidden_seconds * fps))
    places = [[(100 + 120 * t / fps, 50), None if t in hidden else (460 - 120 * t / fps, 50)] for t in range(frames)]
    ids = walk(Tracker(SIGMAS), places, fps)
    assert {row[0] for row in ids} == {1}
    assert {row[1] for row in ids} == {2, None}


@pytest.mark.parametrize("goes_on", [True, False])
def test_whoever_stops_or_turns_back_while_hidden_keeps_the_id(goes_on):
    places = []
    for t in range(120):
        x = 100 + 4 * min(t, 40) + (4 if goes_on else -4) * max(t - 65, 0)
        places.append([(260, 50), None if 40 <= t < 72 else (x, 50)])  # seen again a third of a box beside the other
    ids = walk(Tracker(SIGMAS), places)
    assert {row[1] for row in ids} == {2, None}


def test_the_camera_may_sweep_while_somebody_is_hidden():
    """Five persons stand, one is not seen for half a second while the camera turns by two body widths."""
    places = []
    for t in range(75):
        pan = 12.0 * min(max(t - 30, 0), 15)
        row = [(100 + 250 * m + pan, 50) for m in range(5)]
        places.append([None if m == 2 and 28 <= t < 45 else place for m, place in enumerate(row)])
    ids = walk(Tracker(SIGMAS), places)
    assert [{row[m] for row in ids} - {None} for m in range(5)] == [{1}, {2}, {3}, {4}, {5}]


def test_a_shaking_camera_changes_no_id():
    shake = np.random.default_rng(8).normal(0, 12, (90, 2))
    places = [[(100 + 250 * m + shake[t, 0], 50 + shake[t, 1]) for m in range(4)] for t in range(90)]
    ids = walk(Tracker(SIGMAS), places)
    assert ids == [[1, 2, 3, 4]] * 90


def painted(places, colours, size=(80, 200)):
    """A picture in which each person of `people` is a rectangle of one colour."""
    image = np.full((400, 800, 3), 128, np.uint8)
    for place, colour in zip(places, colours, strict=True):
        if place is not None:
            x, y = (int(value) for value in place)
            image[max(y, 0) : y + size[1], max(x, 0) : x + size[0]] = colour
    return image


def test_colours_tell_apart_who_was_hidden_together():
    """Two vanish and come back changed over, which place and speed would read the other way round."""
    red, blue = (220, 30, 30), (30, 40, 200)
    places = [[(200, 50), (300, 50)]] * 40 + [[None, None]] * 20 + [[(300, 50), (200, 50)]] * 40
    images = [painted(row, (red, blue)) for row in places]
    seen = walk(Tracker(SIGMAS), places, images=images)
    assert seen[-1] == [1, 2]
    without = walk(Tracker(SIGMAS), places)
    assert without[-1] == [2, 1], "nothing but the colours can tell"


def test_order_of_detections_does_not_matter_over_a_whole_clip():
    rng = np.random.default_rng(6)
    ordered, shuffled = Tracker(SIGMAS), Tracker(SIGMAS)
    for t in range(60):
        found = people([[50 + 5 * t, 20], [350 - 4 * t, 60], [150 + t, 40]], noise=2)
        order = rng.permutation(3) if t else np.arange(3)
        ids = ordered.update(t / 30, found)
        np.testing.assert_array_equal(shuffled.update(t / 30, found[order]), ids[order])


def test_rendered_crossings_keep_their_identities():
    from hybrid.benches.tracking import draw_crossing, identities, pictures, track

    total = {"agreed": 0, "true": 0, "found": 0}
    for number in range(6):
        crossing = draw_crossing(0, number)
        found = identities(crossing, track(crossing, Tracker(SIGMAS).update, pictures(crossing)))
        total = {key: value + found[key] for key, value in total.items()}
    assert 2 * total["agreed"] / (total["true"] + total["found"]) >= 0.95
