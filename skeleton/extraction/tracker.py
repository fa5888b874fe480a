"""Links the persons of successive frames: one id for one body, kept while it is hidden for a second or two.

Every detection is weighed against every track by a score that acts as a log-likelihood, and the Hungarian method takes
the best pairs of the frame at once. It asks where the joints lie (a track is expected where its velocity carries it
or where it was left; the longer nobody saw it, the wider and the less telling is the place), how well box (IoU)
and pose (OKS, as COCO defines it) agree, which counts for a moment only, and, if the frame is given, which colours the
joints have. As in ByteTrack (Zhang et al., ECCV 2022) an unsure detection may continue a track and never begins one.

Who comes out from behind somebody is seldom seen well enough to be named at once. So colours are compared again
after a few clear views, and two tracks that were taken for each other exchange their ids from then on.

A moving camera moves whoever is seen, and the median of that moves whoever is not. After a cut ids begin anew. Of
persons dressed alike who are hidden together only place and speed tell who is who.
"""

from dataclasses import dataclass, fields

import numpy as np
from scipy.optimize import linear_sum_assignment

from skeleton.extraction.persons import Persons, box_iou, oks

RESPONSE_SECONDS = 0.15  # in which a velocity follows a change
COASTING_SECONDS = 0.7  # in which somebody unseen is expected to slow down
SUDDEN = 2.0  # sizes a second: a change of velocity beyond is the fault of a half hidden pose
# The score of a pair. Lengths are in sizes, the side of a square with the area of the box.
SPREAD, SPREAD_PER_SECOND = 0.08, 0.35  # how far from the expected place a body is found: at once, each second unseen
TAIL, VAGUENESS, LEFT_BEHIND = 1.5, 1.5, 0.7  # of the place: weight, loss as the spread grows, loss for not going on
POSE, POSE_SECONDS = 4.0, 0.3  # weight of IoU and OKS, and in what time it fades
COLOUR, DIFFERENT = 5.0, 50.0  # weight of colours, and the difference (of 255) from which they are as unlike as can be
LEAST = -9.0  # score of a pair
SURE_REACH, UNSURE_REACH = 6.0, 2.5  # spreads: a detection farther from both places continues nothing
# The second look
CLEAR_VIEWS, CLEAR_JOINTS = 5, 3  # so many frames in a row, so many joints that no body nearer to the camera may cover
ALIKE, MARGIN = 25.0, 12.0  # greatest difference from the other track's colours, and how much nearer they must be
NEIGHBOUR = 1.0  # sizes, and sizes for each second unseen: how far off the other track may be
INWARDS = 0.4  # colours are taken this far from a joint to the middle of the body: on the limb, not beside it
MEMORY_SECONDS = 1.0  # in which remembered colours follow a change of light


@dataclass
class _Tracks:
    """The state of M tracks, joints and boxes as last seen. Lengths in px, times in seconds."""

    ids: np.ndarray  # [M]
    seen: np.ndarray  # [M] when
    size: np.ndarray  # [M]
    boxes: np.ndarray  # [M, 4]
    keypoints: np.ndarray  # [M, V, 2]
    sure: np.ndarray  # [M, V] bool
    velocity: np.ndarray  # [M, 2]
    path: np.ndarray  # [M, 2] gone since then at that velocity
    drift: np.ndarray  # [M, 2] moved since then with everybody else
    clear: np.ndarray  # [M] clear views in a row
    view: np.ndarray  # [M, V, 3] mean colours of those
    views: np.ndarray  # [M, V] how many
    memory: np.ndarray  # [M, V, 3] colours from before
    remembered: np.ndarray  # [M, V] bool

    def __getitem__(self, keep: np.ndarray) -> "_Tracks":
        return _Tracks(*(getattr(self, field.name)[keep] for field in fields(self)))

    def __add__(self, other: "_Tracks") -> "_Tracks":
        names = [field.name for field in fields(self)]
        return _Tracks(*(np.concatenate([getattr(self, name), getattr(other, name)]) for name in names))


@dataclass(frozen=True)
class _Found:
    """The N persons of a frame. sure [N, V]; colours [N, V, 3] where known [N, V] (nowhere without a picture)."""

    boxes: np.ndarray
    size: np.ndarray
    keypoints: np.ndarray
    sure: np.ndarray
    colours: np.ndarray
    known: np.ndarray


class Tracker:
    """Gives each person of each frame an id; ids count up from 1 in order of first appearance."""

    def __init__(
        self,
        sigmas: np.ndarray,
        start_score: float = 0.4,
        patience_seconds: float = 2.0,
        joint_threshold: float = 0.3,
    ):
        """sigmas [V]: COCO's constants of the layout; start_score: detection score that opens a track;
        patience_seconds: how long a track waits unseen; joint_threshold: confidence of a joint that counts.
        """
        self._sigmas = np.asarray(sigmas, dtype=np.float64)
        self._start_score, self._patience, self._joint_threshold = start_score, patience_seconds, joint_threshold
        self._tracks: _Tracks | None = None
        self._seconds, self._next = 0.0, 1

    def update(self, seconds: float, persons: Persons, image: np.ndarray | None = None) -> np.ndarray:
        """Ids [N] of the persons at `seconds`; -1 for an unsure detection that continues no track.

        Times must increase. image: the frame, uint8 [H, W, 3], for the colours; give it always or never.
        """
        ids = np.full(len(persons), -1, dtype=np.int64)
        sure = persons.scores >= self._start_score
        found = self._found(persons, image)
        if self._tracks is not None:
            self._tracks = tracks = self._tracks[seconds - self._tracks.seen <= self._patience]
            step = seconds - self._seconds
            tracks.velocity *= np.where(tracks.seen < self._seconds, np.exp(-step / COASTING_SECONDS), 1.0)[:, None]
            tracks.path += tracks.velocity * step
            if len(ids) and len(tracks.ids):
                # Pairs below the least score count as nothing: none of them is taken for the sake of another.
                score = np.maximum(self._score(tracks, seconds, found, sure) - LEAST, 0)
                rows, columns = linear_sum_assignment(score, maximize=True)
                good = score[rows, columns] > 0
                rows, columns = rows[good], columns[good]
                self._follow(tracks, seconds, rows, columns, found)
                _look(tracks, seconds, rows, columns, found)
                _look_again(tracks, seconds)
                tracks.seen[columns] = seconds
                ids[rows] = tracks.ids[columns]
        self._seconds = seconds
        new = np.flatnonzero(sure & (ids < 0))
        if len(new):
            ids[new] = self._next + np.arange(len(new))
            self._next += len(new)
            begun = _begin(ids[new], seconds, found, new)
            self._tracks = begun if self._tracks is None else self._tracks + begun
        return ids

    def _found(self, persons: Persons, image: np.ndarray | None) -> _Found:
        boxes, keypoints = persons.boxes.astype(np.float64), persons.keypoints.astype(np.float64)
        sure = persons.confidence >= self._joint_threshold
        size = np.sqrt(np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(-1), 1.0))
        if image is None or not len(boxes):
            colours, known = np.zeros((*sure.shape, 3), np.float32), np.zeros_like(sure)
        else:
            colours, known = _colours(image, boxes, keypoints, sure)
        return _Found(boxes, size, keypoints, sure, colours, known)

    def _score(self, tracks: _Tracks, seconds: float, found: _Found, sure: np.ndarray) -> np.ndarray:
        """How well detections, `sure` [N] or not, fit tracks, [N, M]: about 3 for a body a frame later, -5 for one that
        was hidden for a second."""
        gap = seconds - tracks.seen
        spread = SPREAD + SPREAD_PER_SECOND * gap
        both = found.sure[:, None] & tracks.sure
        middles = [(boxes[:, :2] + boxes[:, 2:]) / 2 for boxes in (found.boxes, tracks.boxes)]
        offset = _median(found.keypoints[:, None] - tracks.keypoints, both)
        offset = np.where(both.any(-1)[..., None], offset, middles[0][:, None] - middles[1])
        shifts = np.stack([tracks.path, tracks.drift])
        squared = ((offset - shifts[:, None]) ** 2).sum(-1) / (spread * tracks.size) ** 2
        place = -TAIL * np.log1p(squared) - np.array([0.0, LEFT_BEHIND])[:, None, None]
        pose = self._agreement(tracks, shifts, found)
        score = place.max(0) + POSE * np.exp(-gap / POSE_SECONDS) * pose.max(0) - VAGUENESS * np.log(spread / SPREAD)
        if found.known.any():
            difference = _difference(found.colours[:, None], found.known[:, None], tracks)
            score += COLOUR * (0.5 - np.minimum(difference, DIFFERENT) / DIFFERENT)
        # Of somebody half hidden the joints may lie on the body in front, but then the box does not.
        by_box = ((middles[0][:, None] - middles[1] - shifts[:, None]) ** 2).sum(-1) / (spread * tracks.size) ** 2
        near = np.minimum(squared, by_box).min(0) <= SURE_REACH**2
        return np.where(np.where(sure[:, None], near, squared.min(0) <= UNSURE_REACH**2), score, -np.inf)

    def _agreement(self, tracks: _Tracks, shifts: np.ndarray, found: _Found) -> np.ndarray:
        """The mean of IoU and OKS for each of the `shifts` [2, M, 2] that tracks may have made, [2, N, M]."""
        there = Persons(
            (tracks.boxes + np.tile(shifts, 2)).reshape(-1, 4),
            np.zeros(0),
            (tracks.keypoints + shifts[:, :, None]).reshape(-1, *tracks.keypoints.shape[1:]),
            np.tile(tracks.sure, (2, 1)).astype(np.float64),
        )
        here = Persons(found.boxes, np.zeros(0), found.keypoints, found.sure.astype(np.float64))
        both = (box_iou(here.boxes, there.boxes) + oks(here, there, self._sigmas, 0.5)) / 2
        return both.reshape(len(found.boxes), 2, -1).transpose(1, 0, 2)

    def _follow(self, tracks: _Tracks, seconds: float, rows: np.ndarray, columns: np.ndarray, found: _Found) -> None:
        """Takes the new places of matched tracks; the others drift as those move together."""
        both = found.sure[rows] & tracks.sure[columns]
        gap = np.maximum(seconds - tracks.seen[columns], 1e-6)[:, None]
        offset = _median(found.keypoints[rows] - tracks.keypoints[columns], both)
        offset = np.where(both.any(-1)[:, None], offset, tracks.path[columns])
        unseen = np.ones(len(tracks.ids), bool)
        unseen[columns] = False
        followed = offset[tracks.seen[columns] == self._seconds]
        # Half of those who are seen must agree, and with one more vote for a camera at rest.
        tracks.drift[unseen] += np.median(np.concatenate([followed, np.zeros((1, 2))]), 0)
        limit = SUDDEN * tracks.size[columns][:, None]
        change = np.clip(offset / gap - tracks.velocity[columns], -limit, limit)
        tracks.velocity[columns] += (1 - np.exp(-gap / RESPONSE_SECONDS)) * both.mean(-1)[:, None] * change
        tracks.path[columns] = tracks.drift[columns] = 0
        tracks.size[columns] += 0.1 * (found.size[rows] - tracks.size[columns])
        for name in ("boxes", "keypoints", "sure"):
            getattr(tracks, name)[columns] = getattr(found, name)[rows]


def _begin(ids: np.ndarray, seconds: float, found: _Found, rows: np.ndarray) -> _Tracks:
    count, joints = len(rows), found.sure.shape[1]
    return _Tracks(
        ids=ids.copy(),
        seen=np.full(count, float(seconds)),
        **{name: getattr(found, name)[rows] for name in ("size", "boxes", "keypoints", "sure")},
        **{name: np.zeros((count, 2)) for name in ("velocity", "path", "drift")},
        clear=np.zeros(count, np.int64),
        view=np.zeros((count, joints, 3), np.float32),
        views=np.zeros((count, joints), np.int64),
        memory=np.zeros((count, joints, 3), np.float32),
        remembered=np.zeros((count, joints), bool),
    )


def _colours(
    image: np.ndarray, boxes: np.ndarray, keypoints: np.ndarray, sure: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Colours [N, V, 3] near the joints, and where they are known: in the picture, on sure joints, and outside the
    boxes of whoever stands nearer, which is whose box ends lower."""
    middle = (keypoints * sure[..., None]).sum(1) / np.maximum(sure.sum(1), 1)[:, None]
    points = keypoints + INWARDS * (middle[:, None] - keypoints)
    inside = ((points[:, :, None] >= boxes[:, :2]) & (points[:, :, None] <= boxes[:, 2:])).all(-1)
    covered = (inside & (boxes[:, 3] > boxes[:, 3, None])[:, None]).any(-1)
    column, row = np.round(np.nan_to_num(points)).astype(np.int64).transpose(2, 0, 1)
    height, width = image.shape[:2]
    known = sure & ~covered & (column >= 0) & (row >= 0) & (column < width) & (row < height)
    return image[row.clip(0, height - 1), column.clip(0, width - 1)].astype(np.float32), known


def _difference(colours: np.ndarray, known: np.ndarray, tracks: _Tracks) -> np.ndarray:
    """Median difference of colours [..., 1, V, 3] from the memories of M tracks, [..., M]; where too few joints can be
    compared half of DIFFERENT, which speaks neither for nor against."""
    both = known & tracks.remembered
    apart = np.abs(colours - tracks.memory).mean(-1)
    return np.where(both.sum(-1) >= CLEAR_JOINTS, _median(apart[..., None], both)[..., 0], DIFFERENT / 2)


def _look(tracks: _Tracks, seconds: float, rows: np.ndarray, columns: np.ndarray, found: _Found) -> None:
    """Counts clear views in a row and averages their colours; memory follows only after a second look."""
    clear = found.known[rows].sum(1) >= CLEAR_JOINTS
    count = np.zeros_like(tracks.clear)
    count[columns] = np.where(clear, tracks.clear[columns] + 1, 0)
    tracks.clear = count
    tracks.views[count == 0] = 0
    known = found.known[rows] & clear[:, None]
    tracks.views[columns] += known
    share = known / np.maximum(tracks.views[columns], 1)
    tracks.view[columns] += share[..., None] * (found.colours[rows] - tracks.view[columns])
    share = 1 - np.exp(-(seconds - tracks.seen[columns]) / MEMORY_SECONDS)
    known &= (count[columns] > CLEAR_VIEWS)[:, None]
    share = np.where(tracks.remembered[columns], share[:, None], 1.0) * known
    tracks.memory[columns] += share[..., None] * (found.colours[rows] - tracks.memory[columns])
    tracks.remembered[columns] |= known


def _look_again(tracks: _Tracks, seconds: float) -> None:
    """Exchanges ids where, after enough clear views, another track's memory fits far better than the own one."""
    for index in np.flatnonzero(tracks.clear == CLEAR_VIEWS):
        viewed = tracks.views[index] > 0
        difference = _difference(tracks.view[index], viewed, tracks)
        comparable = (viewed & tracks.remembered).sum(-1) >= CLEAR_JOINTS
        middles = [np.median(tracks.keypoints[index], 0), np.median(tracks.keypoints, 1) + tracks.path]
        near = np.abs(middles[0] - middles[1]).max(-1) < NEIGHBOUR * (1 + seconds - tracks.seen) * tracks.size
        unsettled = comparable & near & (tracks.clear <= CLEAR_VIEWS) & (np.arange(len(near)) != index)
        candidates = np.where(unsettled & (difference < ALIKE), difference, np.inf)
        other = int(np.argmin(candidates))
        if comparable[index] and candidates[other] + MARGIN < difference[index]:
            for values in (tracks.ids, tracks.memory, tracks.remembered):
                values[[index, other]] = values[[other, index]]
        seen = (tracks.views[index] > 0) & ~tracks.remembered[index]
        tracks.memory[index][seen] = tracks.view[index][seen]
        tracks.remembered[index] |= seen


def _median(values: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Median of values [..., V, C] over the V that are known [..., V]; infinite where none is."""
    ordered = np.sort(np.where(known[..., None], values, np.inf), axis=-2)
    count = known.sum(-1)[..., None, None]
    low, high = (np.take_along_axis(ordered, (count - odd) // 2, -2)[..., 0, :] for odd in (1, 0))
    return (low + high) / 2
