"""The persons of one frame, and how alike two of them are."""

from dataclasses import dataclass

import numpy as np

from skeleton.layouts.layout import get_layout

_USUAL_SIGMA = 0.079  # of a shoulder, for joints without a published one


@dataclass(frozen=True)
class Detections:
    """The persons of one frame, best first: boxes [N, 4] float32 x1 y1 x2 y2 pixels, scores [N] float32."""

    boxes: np.ndarray
    scores: np.ndarray


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

    def towards(self, other: "Persons", share: float) -> "Persons":
        """The persons on a straight way to themselves in another frame, `share` of it gone."""
        return Persons(
            *(
                ((1 - share) * one + share * two).astype(one.dtype)
                for one, two in zip(_arrays(self), _arrays(other), strict=True)
            )
        )


def joined(first: Persons, second: Persons) -> Persons:
    """The persons of both."""
    return Persons(*(np.concatenate(both) for both in zip(_arrays(first), _arrays(second), strict=True)))


def _arrays(persons: Persons) -> tuple[np.ndarray, ...]:
    return persons.boxes, persons.scores, persons.keypoints, persons.confidence


def box_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of boxes [N, 4] and [M, 4] -> [N, M]."""
    low = np.maximum(first[:, None, :2], second[None, :, :2])
    high = np.minimum(first[:, None, 2:], second[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(-1) for boxes in (first, second)]
    return shared / np.maximum(areas[0][:, None] + areas[1][None] - shared, 1e-9)


def suppress(boxes: np.ndarray, scores: np.ndarray, limit: float) -> list[int]:
    """Indices of boxes that no better one overlaps by more than `limit`, best first."""
    overlap = box_iou(boxes, boxes) > limit
    kept: list[int] = []
    for index in np.argsort(-scores, kind="stable").tolist():
        if not overlap[index, kept].any():
            kept.append(index)
    return kept


def oks_sigmas(layout: str) -> np.ndarray:
    """OKS constants [V] for linking: the layout's own, else those of Halpe-26's joints of the same names."""
    body = get_layout(layout)
    if body.sigmas is not None:
        return np.array(body.sigmas)
    halpe = get_layout("halpe26")
    known = dict(zip(halpe.joints, halpe.sigmas, strict=True))
    return np.array([known.get(joint, _USUAL_SIGMA) for joint in body.joints])


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
