"""Detection every few frames: boxes in between, the frame in the middle where persons are lost, nothing else changes."""

import numpy as np
import pytest

from skeleton.extraction.persons import Detections
from skeleton.extraction.places import agree
from skeleton.extraction.streaming import Frame
from skeleton.extraction.topdown import TopDown

SIDE = 20


class Scripted:
    """Finds the boxes that a script has for the frame, whose number is in its first pixel."""

    def __init__(self, script):
        self.script, self.asked = script, []

    def __call__(self, images):
        numbers = [int(image[0, 0, 0]) for image in images]
        self.asked += numbers
        return [self.at(number) for number in numbers]

    def at(self, number):
        rows = self.script(number)
        boxes = np.array([[x, 10, x + SIDE, 10 + 2 * SIDE] for x, _ in rows], np.float32).reshape(-1, 4)
        return Detections(boxes, np.array([score for _, score in rows], np.float32))


class Corners:
    """Joints at the corners of the boxes, sure where `there(frame)` has a body within half its width."""

    layout = "coco17"

    def __init__(self, there):
        self.there, self.looked = there, 0

    def __call__(self, images, boxes):
        self.looked += sum(len(one) for one in boxes)
        return [self.at(int(image[0, 0, 0]), one) for image, one in zip(images, boxes, strict=True)]

    def at(self, number, boxes):
        places = np.array([x for x, _ in self.there(number)])
        sure = (np.abs(boxes[:, :1] - places) < SIDE / 2).any(1)
        return np.repeat(boxes[:, None, :2], 17, 1), np.repeat(sure[:, None], 17, 1).astype(np.float32)


class Shaking(Corners):
    """Joints that are elsewhere in every second pair of frames, in boxes that stay."""

    def at(self, number, boxes):
        points, scores = super().at(number, boxes)
        return points + 15 * (number % 4 > 1), scores


def run(script, frames, every, window=6, there=None, rate=None, estimator=Corners):
    source = TopDown(Scripted(script), estimator(there or script), every=every, rate=rate, window=window)
    stream = (Frame(n, n / 10, np.full((60, 200, 3), n, np.uint8)) for n in range(frames))
    return source, list(source.persons(stream))


@pytest.mark.parametrize("every", [1, 2, 4, 5, 9])
@pytest.mark.parametrize("frames", [1, 2, 5, 12, 23])
def test_walkers_stand_where_every_frame_detection_sees_them(every, frames):
    def script(n):
        return [(10 + 0.1 * n, 0.9), (150 - 0.1 * n, 0.8)]

    source, found = run(script, frames, every)
    assert [frame.number for frame, _ in found] == list(range(frames))
    for frame, persons in found:
        np.testing.assert_allclose(persons.boxes[:, 0], [10 + 0.1 * frame.number, 150 - 0.1 * frame.number], atol=1e-3)
        np.testing.assert_allclose(persons.keypoints[:, 0, 0], persons.boxes[:, 0])
    assert len(source.detector.asked) == len({n for n in range(frames) if n % every == 0} | {frames - 1})


def test_an_arrival_and_a_loss_are_found_to_the_frame():
    def script(n):
        return [(10, 0.9)] * (n < 14) + [(100, 0.9)] * (n >= 5)

    source, found = run(script, 24, every=8)
    present = [sorted(persons.boxes[:, 0].tolist()) for _, persons in found]
    assert present == [[10] * (n < 14) + [100] * (n >= 5) for n in range(24)]
    assert len(source.detector.asked) < 24
    assert len(source.detector.asked) == len(set(source.detector.asked)), "no frame is detected twice"


def test_an_unsure_box_where_nobody_was_is_not_looked_at():
    source, found = run(lambda n: [(10, 0.9)] + [(100, 0.3)] * (n % 8 == 0), 17, every=4)
    assert source.estimator.looked == 17
    assert [len(persons) for _, persons in found] == [1] * 17


def test_an_unsure_person_counts_where_one_was():
    _, found = run(lambda n: [(100, 0.9 if n < 3 else 0.3)], 12, every=1)
    assert [len(persons) for _, persons in found] == [1] * 12


@pytest.mark.parametrize("every", [1, 3])
def test_who_is_not_found_is_looked_for_a_moment_longer(every):
    """Not found from frame 4 on: three more frames (0.35 s) where the body stays, none where it has gone."""

    def script(n):
        return [(100, 0.9)] * (n < 4)

    _, stays = run(script, 12, every, there=lambda n: [(100, 1)])
    _, goes = run(script, 12, every)
    assert [len(persons) for _, persons in goes] == [1] * 4 + [0] * 8
    assert [len(persons) for _, persons in stays] == [1] * 7 + [0] * 5
    assert all(persons.scores[0] < 0.4 for _, persons in stays[4:7]), "it may continue a person, not begin one"


def test_fast_movers_are_detected_more_often():
    slow, _ = run(lambda n: [(10 + 0.1 * n, 0.9)], 17, every=8)
    fast, found = run(lambda n: [(10 + 6 * n, 0.9)], 17, every=8)
    assert len(fast.detector.asked) > len(slow.detector.asked)
    np.testing.assert_allclose([persons.boxes[0, 0] for _, persons in found], 10 + 6 * np.arange(17), atol=1e-3)


@pytest.mark.parametrize(("rate", "step"), [(None, 1), (10, 1), (6, 1), (5, 2), (3.3, 3), (1, 5)])
def test_joints_are_estimated_often_enough_and_stand_on_the_way_between(rate, step):
    """Ten frames a second; the frames of every fifth detection are always estimated."""
    source, found = run(lambda n: [(10 + 0.5 * n, 0.9)], 26, every=5, rate=rate)
    assert source.estimator.looked == len({n for n in range(26) if n % 5 % step == 0})
    np.testing.assert_allclose([p.keypoints[0, 0, 0] for _, p in found], 10 + 0.5 * np.arange(26), atol=1e-3)
    np.testing.assert_allclose([p.boxes[0, 0] for _, p in found], 10 + 0.5 * np.arange(26), atol=1e-3)


def test_joints_that_moved_are_estimated():
    source, found = run(lambda n: [(10, 0.9), (100, 0.9)], 17, every=8, rate=5, estimator=Shaking)
    assert source.estimator.looked == 2 * 17
    np.testing.assert_allclose([p.keypoints[0, 0, 0] for _, p in found], 10 + 15 * (np.arange(17) % 4 > 1))


def test_detection_in_every_frame_is_estimation_in_every_frame():
    source, _ = run(lambda n: [(10, 0.9)], 12, every=1, rate=1)
    assert source.estimator.looked == 12


def test_who_comes_between_two_estimates_is_estimated():
    _, found = run(lambda n: [(10, 0.9)] + [(100, 0.9)] * (n >= 5), 17, every=8, rate=2.5)
    assert [len(persons) for _, persons in found] == [1] * 5 + [2] * 12


def test_agreement_is_about_everybody_and_where_they_are():
    one = Detections(np.array([[0, 0, 10, 10.0]]), np.array([0.9]))
    nobody = Detections(np.zeros((0, 4)), np.zeros(0))
    unsure = Detections(one.boxes, np.array([0.3]))
    moved = Detections(one.boxes + np.array([2, 0, 2, 0]), one.scores)
    assert agree(nobody, nobody)
    assert agree(one, unsure), "found again, if unsurely"
    assert not agree(one, nobody)
    assert not agree(nobody, unsure)
    assert not agree(one, moved)
