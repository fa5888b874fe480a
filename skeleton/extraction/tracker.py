"""Links the persons of successive frames: one id for one body, kept over a few missed frames.

A detection and a track are compared by the mean of box IoU and object keypoint similarity (OKS, as COCO
defines it), after the track has been moved on by its own velocity, and matched by the Hungarian method. As in
ByteTrack (Zhang et al., ECCV 2022) sure detections are matched first; unsure ones only prolong a track.

It knows no appearance: after a cut, or when two bodies cross completely, ids may change.
"""

from dataclasses import dataclass

import numpy as np
from scipy.optimize import linear_sum_assignment


@dataclass(frozen=True)
class Persons:
    """The persons of one frame: boxes [N, 4], scores [N], keypoints [N, V, 2] px, confidence [N, V]."""

    boxes: np.ndarray
    scores: np.ndarray
    keypoints: np.ndarray
    confidence: np.ndarray

    def __len__(self) -> int:
        return len(self.boxes)

    def __getitem__(self, keep: np.ndarray) -> "Persons":
        """The chosen persons, by indices or a mask."""
        return Persons(self.boxes[keep], self.scores[keep], self.keypoints[keep], self.confidence[keep])


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes [N, 4] and [M, 4] -> [N, M]."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (first, second)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)


def oks(first: Persons, second: Persons, sigmas: np.ndarray, threshold: float) -> np.ndarray:
    """Object keypoint similarity [N, M] over the joints sure in both (0 where there is none).

    sigmas [V] are COCO's constants; the scale is the mean area of the two boxes.
    """
    shared = (first.confidence[:, None] >= threshold) & (second.confidence[None] >= threshold)
    squared = ((first.keypoints[:, None] - second.keypoints[None]) ** 2).sum(-1)
    areas = [(persons.boxes[:, 2:] - persons.boxes[:, :2]).prod(-1) for persons in (first, second)]
    area = (areas[0][:, None] + areas[1][None]) / 2
    per_joint = np.exp(-squared / (2 * (2 * sigmas) ** 2 * np.maximum(area, 1e-9)[..., None]))
    return (per_joint * shared).sum(-1) / np.maximum(shared.sum(-1), 1)


def without_duplicates(persons: Persons, sigmas: np.ndarray, threshold: float, limit: float = 0.8) -> Persons:
    """Drops a person whose pose is nearly (OKS > limit) that of one with a higher detection score."""
    persons = persons[np.argsort(-persons.scores, kind="stable")]
    alike = oks(persons, persons, sigmas, threshold) > limit
    kept: list[int] = []
    for index in range(len(persons)):
        if not alike[index, kept].any():
            kept.append(index)
    return persons[np.array(kept, dtype=np.int64)]


@dataclass
class _Track:
    identity: int
    seconds: float
    person: Persons
    velocity: np.ndarray

    def moved(self, seconds: float) -> Persons:
        """The person where its velocity puts it; for long gaps it is held back to a quarter of a second."""
        shift = self.velocity * min(seconds - self.seconds, 0.25)
        person = self.person
        return Persons(
            person.boxes + np.tile(shift, 2), person.scores, person.keypoints + shift, person.confidence
        )

    def follow(self, seconds: float, person: Persons, threshold: float) -> None:
        """Takes the new place; the velocity is that of the joints, since a box jumps when it is cut off."""
        shared = (self.person.confidence[0] >= threshold) & (person.confidence[0] >= threshold)
        if shared.any():
            steps = (person.keypoints[0] - self.person.keypoints[0])[shared]
            measured = np.median(steps, 0) / max(seconds - self.seconds, 1e-6)
            self.velocity = 0.5 * self.velocity + 0.5 * measured
        self.seconds, self.person = seconds, person


class Tracker:
    """Gives each person of each frame an id; ids count up from 1 in order of first appearance."""

    def __init__(
        self,
        sigmas: np.ndarray,
        start_score: float = 0.4,
        similarity: float = 0.2,
        unsure_similarity: float = 0.3,
        patience_seconds: float = 1.0,
        joint_threshold: float = 0.3,
    ):
        """start_score: detection score that opens a track; similarity: least mean of IoU and OKS for a match,
        unsure_similarity: the same for a detection below start_score;
        patience_seconds: how long a track waits unseen; joint_threshold: confidence of a joint in OKS.
        """
        self._sigmas = np.asarray(sigmas, dtype=np.float64)
        self._start_score = start_score
        self._similarity, self._unsure_similarity = similarity, unsure_similarity
        self._patience, self._joint_threshold = patience_seconds, joint_threshold
        self._tracks: list[_Track] = []
        self._next = 1

    def update(self, seconds: float, persons: Persons) -> np.ndarray:
        """Ids [N] of the persons at `seconds`; -1 for an unsure detection that continues no track."""
        self._tracks = [track for track in self._tracks if seconds - track.seconds <= self._patience]
        ids = np.full(len(persons), -1, dtype=np.int64)
        sure = persons.scores >= self._start_score
        free = list(self._tracks)
        for stage, least in ((sure, self._similarity), (~sure, self._unsure_similarity)):
            rows = np.flatnonzero(stage)
            for row, track in self._match(seconds, persons, rows, free, least):
                ids[row] = track.identity
                track.follow(seconds, persons[np.array([row])], self._joint_threshold)
                free.remove(track)
        for row in np.flatnonzero(sure & (ids < 0)):
            ids[row] = self._next
            self._tracks.append(_Track(self._next, seconds, persons[np.array([row])], np.zeros(2)))
            self._next += 1
        return ids

    def _match(
        self, seconds: float, persons: Persons, rows: np.ndarray, tracks: list[_Track], least: float
    ) -> list[tuple[int, _Track]]:
        if not len(rows) or not tracks:
            return []
        found = persons[rows]
        # Whoever stops is found at the old place, whoever goes on at the expected one.
        stayed = self._alike(found, [track.person for track in tracks])
        alike = np.maximum(stayed, self._alike(found, [track.moved(seconds) for track in tracks]))
        # Pairs below the limit count as nothing, so that a poor pair is never taken for the sake of another.
        chosen = linear_sum_assignment(np.where(alike >= least, alike, 0), maximize=True)
        return [(int(rows[i]), tracks[j]) for i, j in zip(*chosen, strict=True) if alike[i, j] >= least]

    def _alike(self, found: Persons, others: list[Persons]) -> np.ndarray:
        """The mean of box IoU and OKS [N, tracks]."""
        names = ("boxes", "scores", "keypoints", "confidence")
        expected = Persons(*(np.concatenate([getattr(one, name) for one in others]) for name in names))
        similar = oks(found, expected, self._sigmas, self._joint_threshold)
        return (box_iou(found.boxes, expected.boxes) + similar) / 2
