"""Where persons may be: boxes that detections give, and what is known of them between and after detections."""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment

from skeleton.extraction.persons import Detections, box_iou, suppress

DUPLICATE = 0.5  # IoU above which the worse of two boxes is taken for the same person
FOLLOWED = 0.3  # IoU from which two boxes, at different times, may be one person
STEADY = 0.85  # IoU from which a box need not be looked for between two detections
CARRIED_SECONDS = 0.35  # how long somebody who is not found is looked for at the old place


@dataclass(frozen=True)
class Boxes:
    """Where joints are to be estimated: boxes [N, 4], scores [N], carried [N] bool: nobody was found there just now."""

    boxes: np.ndarray
    scores: np.ndarray
    carried: np.ndarray

    def __getitem__(self, keep: np.ndarray) -> "Boxes":
        """The chosen ones, by indices or a mask."""
        return Boxes(self.boxes[keep], self.scores[keep], self.carried[keep])


class Memory:
    """Who was where at the last detections."""

    def __init__(self, start_score: float, patience_seconds: float):
        self._start_score, self._patience = start_score, patience_seconds
        self._boxes, self._scores, self._seen = np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0)

    def places(self, seconds: float, found: Detections) -> Boxes:
        """The boxes found that are worth the estimator's time, and those of persons who were there a moment ago.

        A box below the start score is worth it where it is the best one for somebody who was there.
        """
        recent = seconds - self._seen <= self._patience
        boxes, scores, seen = self._boxes[recent], self._scores[recent], self._seen[recent]
        keep = found.scores >= self._start_score
        keep[matched(found.boxes, boxes, FOLLOWED)[0]] = True
        lost = ~(box_iou(found.boxes[keep], boxes) >= FOLLOWED).any(0)
        carried = lost & (seconds - seen <= CARRIED_SECONDS)
        # Somebody looked for may continue a person, but not begin one.
        unsure = np.minimum(scores, 0.99 * self._start_score)
        self._boxes = np.concatenate([found.boxes[keep], boxes[lost]])
        self._scores = np.concatenate([found.scores[keep], unsure[lost]])
        self._seen = np.concatenate([np.full(keep.sum(), seconds), seen[lost]])
        return Boxes(
            np.concatenate([found.boxes[keep], boxes[carried]]),
            np.concatenate([found.scores[keep], unsure[carried]]),
            np.repeat([False, True], [keep.sum(), carried.sum()]),
        )


def matched(first: np.ndarray, second: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows of boxes [N, 4] and [M, 4] that may be one person: the best pairs of an IoU of at least `least`."""
    return pairs(box_iou(first, second), least)


def pairs(alike: np.ndarray, least: float) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of `alike` [N, M] that go together, each at most once: the best pairs of at least `least`."""
    rows, columns = linear_sum_assignment(np.where(alike >= least, alike, 0), maximize=True)
    good = alike[rows, columns] >= least
    return rows[good], columns[good]


def agree(first: Detections, second: Detections) -> bool:
    """Whether every person of either frame is found again, nearly unmoved, in the other."""
    rows, _ = matched(first.boxes, second.boxes, STEADY)
    return len(rows) == len(first.boxes) == len(second.boxes)


def between(first: Boxes, second: Boxes, share: float) -> Boxes:
    """Where persons are on the way from one frame to another, `share` of it gone.

    Who is on one side only stands there all the way, and is looked for as those who are not found.
    """
    rows, columns = matched(first.boxes, second.boxes, FOLLOWED)
    alone = [np.setdiff1d(np.flatnonzero(~side.carried), used) for side, used in ((first, rows), (second, columns))]

    def joined(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        moving = (1 - share) * one[rows] + share * other[columns]
        return np.concatenate([moving, one[alone[0]], other[alone[1]]]).astype(np.float32)

    boxes, scores = joined(first.boxes, second.boxes), joined(first.scores, second.scores)
    carried = np.ones(len(boxes), bool)
    carried[: len(rows)] = first.carried[rows] & second.carried[columns]
    return Boxes(boxes, scores, carried)[suppress(boxes, scores, DUPLICATE)]
