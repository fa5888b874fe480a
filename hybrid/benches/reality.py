"""Marionette held against reality: the same statistics of its truth and of motion capture, both in 3D, and of its
estimates and of what was extracted from real videos, both in 2D.

One instrument measures all four: `skeleton.events.kinematics`, `skeleton.events.detectors` and
`skeleton.events.denoising`. What they get wrong they get wrong alike, so columns are to be compared with each other
and not taken for lengths and angles. Captures count where somebody stays in place (Marionette's people do not walk);
records are thinned to about the rate of Marionette, because jitter from row to row depends on it.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from hybrid.benches.events import object_paths
from hybrid.config.datasets import PrepareConfig
from hybrid.config.loading import field
from hybrid.datasets.marionette.dataset import clip_generator, make_scene, skeletons, subjects_of
from hybrid.errors import ConfigError, DataError
from skeleton.events import kinematics
from skeleton.events.denoising import unswap
from skeleton.events.detectors import detect_events
from skeleton.events.detectors.arms import lifted
from skeleton.events.kinematics import BONES, SIDES, Kinematics
from skeleton.events.limb_event import LimbEvent
from skeleton.formats.mocap import read_captures, to_record
from skeleton.layouts.conversion import convert
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton

QUANTILES = (5, 50, 95)
PAIRS = (("marionette_3d", "captures"), ("marionette_2d", "records"))
TRAVEL = 1.5  # torsos that hips move at most while somebody stays in place
SMALLEST = 8.0  # pixels of a torso: below, an estimate says little
LEAST = 8  # values of a quantity, below which it is not compared
GROUPS = {"face": (0, 1, 2, 3, 4), "shoulders": (5, 6), "elbows": (7, 8), "wrists": (9, 10), "hips": (11, 12),
          "knees": (13, 14), "ankles": (15, 16)}  # of coco17  # fmt: skip
LIMBS = {"all": tuple(range(17)), "arms": (7, 8, 9, 10), "legs": (13, 14, 15, 16)}
Values = dict[str, list[float]]


@dataclass
class RealityBench:
    """Keys of `tools/bench.py reality`."""

    captures: str = field(".npz of motion capture, as bandai_namco.npz")
    records: str = field("folder of .npz records that tools/extract.py made from real videos")
    output: str = field("JSON file of the figures")
    clips: int = field("Marionette clips of the training split, made in memory", 300)
    seed: int = field("seed of these clips", 12)
    every: int = field("take every n-th capture only, for a quick look", 1)

    def check(self) -> None:
        for key in ("clips", "every"):
            if getattr(self, key) < 1:
                raise ConfigError(f"expected {key} to be at least 1, found {getattr(self, key)}: give a larger number")


def measure(config: RealityBench) -> dict[str, Any]:
    """{"quantities": {name: {source: [5 %, median, 95 %, number of values]}}, "differing": names by pair of sources,
    and how many clips, captures, records and persons there are}."""
    values: dict[str, Values] = {source: defaultdict(list) for pair in PAIRS for source in pair}
    prepare, persons = PrepareConfig(output="", seed=config.seed), dict.fromkeys(values, 0)
    for number in tqdm(range(config.clips), unit="clip"):
        scene = make_scene(prepare, "train", number)
        noisy, true = skeletons(scene, clip_generator(config.seed, "train", number, "noise"), str(number))
        rng = clip_generator(config.seed, "train", number, "objects")
        names = {subject.person: subject.name for subject in subjects_of(scene)}
        for source, record in (("marionette_3d", true), ("marionette_2d", noisy)):
            events = detect_events(record, object_paths(scene, source == "marionette_3d", rng), names)
            persons[source] += collect(values[source], record, events)
    travels = []
    for record in tqdm(_captures(config), unit="capture"):
        travels.append(bool(np.ptp(kinematics.measure(record, 0).root[:, [0, 2]], axis=0).max() > TRAVEL))
        if not travels[-1]:
            persons["captures"] += collect(values["captures"], record, detect_events(record))
    if not (files := sorted(Path(config.records).glob("*.npz"))):
        raise DataError(f"expected records (.npz) in {config.records}, found none: make them with tools/extract.py")
    for path in tqdm(files, unit="record"):
        record = thinned(Skeleton.load(path), prepare.fps)
        persons["records"] += collect(values["records"], record, detect_events(record))
    quantities = summarized(values)
    return {
        "clips": config.clips, "captures": len(travels), "captures_travelling": sum(travels), "records": len(files),
        **{f"persons_{source}": number for source, number in persons.items()},
        "differing": {f"{ours} {theirs}": differing(quantities, ours, theirs) for ours, theirs in PAIRS},
        "quantities": quantities,
    }  # fmt: skip


def _captures(config: RealityBench) -> Iterator[Skeleton]:
    captures = read_captures(config.captures)
    up = captures.up()
    for name, _, load in captures.clips[:: config.every]:
        yield to_record(load(), name, up=up, stand=True)


def thinned(record: Skeleton, fps: float) -> Skeleton:
    """Every n-th row, so that about `fps` are left of a second."""
    rate = 1.0 / float(np.median(np.diff(record.timestamps))) if record.num_frames > 1 else fps
    rows = slice(None, None, max(round(rate / fps), 1))
    parts = ("keypoints", "confidence", "visible", "boxes")
    return replace(
        record, timestamps=record.timestamps[rows], **{name: getattr(record, name)[:, rows] for name in parts}
    )


def summarized(values: Mapping[str, Values]) -> dict[str, dict[str, list[float]]]:
    """{quantity: {source: [5 %, median, 95 %, number]}} of lists of values; NaN is left out."""
    result: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for source, lists in values.items():
        for name, found in sorted(lists.items()):
            known = np.asarray(found, float)
            known = known[np.isfinite(known)]
            if len(known):
                result[name][source] = [*np.round(np.percentile(known, QUANTILES), 4).tolist(), len(known)]
    return dict(sorted(result.items()))


def differing(quantities: Mapping[str, Mapping[str, list[float]]], ours: str, theirs: str) -> list[str]:
    """The quantities of `ours` whose median is outside the 5 to 95 % of `theirs` or off by more than a quarter."""
    found = []
    for name, of in quantities.items():
        if ours in of and theirs in of and min(of[ours][3], of[theirs][3]) >= LEAST:
            low, usual, high, _ = of[theirs]
            median = of[ours][1]
            if not low <= median <= high or abs(median - usual) > 0.25 * abs(usual):
                found.append(name)
    return found


def collect(values: Values, record: Skeleton, events: list[LimbEvent]) -> int:
    """Adds what one record says to `values`; the number of persons measured."""
    measured = 0
    for row, person in enumerate(record.track_ids.tolist()):
        body = kinematics.measure(record, row)
        if body is None or len(body.times) < 12 or (body.planar and np.median(body.torso) < SMALLEST):
            continue
        measured += 1
        rest = resting(body)
        bones(values, body)
        motion(values, body, rest)
        posture(values, body, rest)
        acts(values, body, [event for event in events if event.person == person])
        if body.planar:
            noise(values, record, row, body, rest)
    return measured


def resting(body: Kinematics) -> np.ndarray:
    """[T] bool: stands on straight legs with both arms down and hips still."""
    rest = np.nan_to_num(body.height()) > 0.93
    for side in SIDES:
        for first, last in lifted(body, side, plainly=True):
            rest[max(first - 2, 0) : last + 3] = False
    return rest & (body.speed("hip") < 0.35)


def bones(values: Values, body: Kinematics) -> None:
    """Lengths in torsos; in 2D the 90th percentile of what is seen, of who faces the camera or turns the back."""
    lateral = not body.planar or np.median(np.abs(body.across)) > 0.7
    lengths = {bone: (f"left_{start}", f"left_{end}") for bone, (start, end) in BONES.items()}
    if lateral:
        lengths |= {f"{part}s": (f"left_{part}", f"right_{part}") for part in ("shoulder", "hip")}
        lengths |= (
            {"ears": ("left_ear", "right_ear"), "nose over shoulders": ("shoulder", "nose")} if body.planar else {}
        )
    for name, (one, other) in lengths.items():
        if len(found := (far := body.far(one, other))[np.isfinite(far)]) >= 5:
            values[f"length {name}"].append(float(np.percentile(found, 90 if body.planar else 50)))


def motion(values: Values, body: Kinematics, rest: np.ndarray) -> None:
    """Speeds, and how far limbs go."""
    values["speed hips"] += body.speed("hip")[::3].tolist()
    for joint in ("nose", "left_wrist", "right_wrist", "left_ankle", "right_ankle"):
        name = {"nose": "head"}.get(joint, f"{joint.rpartition('_')[2]}s")
        values[f"speed {name}"] += body.speed(joint, "hip")[::3].tolist()
    for side in SIDES:
        upper, fore, thigh, shank = (body.bones[side, bone] for bone in BONES)
        angles = {"upper arm": down(upper), "forearm": down(fore), "thigh": down(thigh), "knee": between(thigh, shank)}
        for name, angle in angles.items():
            spread(values, f"range {name}", angle)
        wrist = body.joints[f"{side}_wrist"] - body.joints[f"{side}_shoulder"]
        sway(values, "sway of a hanging hand", wrist / body.torso[:, None], rest, body.fps)
    spread(values, "range trunk", down(-body.trunk))
    sway(values, "sway of the hips", body.joints["hip"] / body.torso[:, None], rest, body.fps)


def spread(values: Values, name: str, angle: np.ndarray) -> None:
    """Degrees between the 5th and the 95th percentile of an angle."""
    known = angle[np.isfinite(angle)]
    if len(known) > 0.5 * len(angle):
        values[name].append(float(np.subtract(*np.percentile(known, (95, 5)))))


def sway(values: Values, name: str, path: np.ndarray, rest: np.ndarray, fps: float) -> None:
    """Spread in torsos of path [T, C] within the seconds of rest."""
    length = round(fps)
    for start in range(0, len(path) - length, length):
        rows = slice(start, start + length)
        if rest[rows].all() and np.isfinite(path[rows]).all():
            values[name].append(float(np.linalg.norm(path[rows].std(0))))


def posture(values: Values, body: Kinematics, rest: np.ndarray) -> None:
    """How somebody stands while nothing is done, in degrees, the feet in torsos."""
    if rest.sum() < 5:
        return

    def at(angle: np.ndarray) -> float:
        known = angle[rest & np.isfinite(angle)]
        return float(np.median(known)) if len(known) else np.nan

    lifts = []
    for side in SIDES:
        upper, fore, thigh, shank = (body.bones[side, bone] for bone in BONES)
        lifts.append(at(down(upper)))
        angles = {"upper arm": down(upper), "forearm": down(fore), "elbow": between(upper, fore)}
        for name, angle in (angles | {"knee": between(thigh, shank)}).items():
            values[f"rest {name}"].append(at(angle))
    values["rest left against right arm"].append(abs(lifts[0] - lifts[1]))
    values["rest trunk"].append(at(down(-body.trunk)))
    if not body.planar or np.median(np.abs(body.across)) > 0.7:
        values["rest feet apart"].append(at(body.far("left_ankle", "right_ankle")))


def acts(values: Values, body: Kinematics, events: list[LimbEvent]) -> None:
    """Raised and waving hands, as they are detected."""
    for event in events:
        if event.movement not in ("raise", "wave", "greet") or event.group != "arm":
            continue
        kind = "raise" if event.movement == "raise" else "wave"
        name = f"{kind} {event.direction}" if kind == "raise" and event.direction == "up" else kind
        rows = slice(*np.searchsorted(body.times, [event.start, event.end]))
        if rows.stop - rows.start < 4 or rows.start == 0 or rows.stop >= len(body.times) - 1:
            continue  # cut by the clip
        middle = slice(rows.start + (rows.stop - rows.start) // 4, rows.stop - (rows.stop - rows.start) // 4)
        for side in [side for side in SIDES if side in event.limb or event.limb == "both arms"]:
            upper, fore = (body.bones[side, bone][middle] for bone in ("upper", "fore"))
            moving = body.speed(f"{side}_wrist", "hip")[rows]
            values[f"{name}: seconds"].append(event.end - event.start)
            values[f"{name}: peak speed"].append(float(np.nanmax(moving, initial=0.0)))
            values[f"{name}: upper arm"].append(float(np.nanmedian(down(upper))))
            values[f"{name}: elbow"].append(float(np.nanmedian(between(upper, fore))))
        if kind == "wave" and event.count > 1:
            values["wave: a second"].append(event.count / (event.end - event.start))


def down(vectors: np.ndarray) -> np.ndarray:
    """[T] degrees from pointing down; up alone decides, so it holds where a view hides an axis."""
    return np.degrees(np.arccos(np.clip(-vectors[:, 1], -1, 1)))


def between(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """[T] degrees between two bones, of what the view shows."""
    known = np.isfinite(one[:, 1]) & np.isfinite(other[:, 1])
    one, other = np.nan_to_num(one), np.nan_to_num(other)
    length = np.maximum(np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1), 1e-6)
    return np.where(known, np.degrees(np.arccos(np.clip((one * other).sum(1) / length, -1, 1))), np.nan)


def noise(values: Values, record: Skeleton, row: int, body: Kinematics, rest: np.ndarray) -> None:
    """Faults of an estimate: jitter in torsos, confidence, missing joints, exchanged sides; and the view."""
    coco = convert(record, "coco17")
    start = int(np.searchsorted(record.timestamps, body.times[0]))
    rows = slice(start, start + len(body.times))
    visible, points = coco.visible[row, rows], coco.keypoints[row, rows].astype(float)
    confidence = coco.confidence[row, rows]
    present = visible.any(1)
    side, oblique = np.abs(body.across) < 0.5, np.abs(np.abs(body.across) - 0.5) < 0.25
    front, back = ~side & (body.across > 0), ~side & (body.across < 0)
    for name, rows_of in (("person missed", ~present), ("side", side), ("front", front), ("back", back),
                          ("between front and side", oblique)):  # fmt: skip
        values[f"share of rows: {name}"].append(float(rows_of.mean()))
    known = np.where(visible[..., None], points, np.nan)
    for name, places in GROUPS.items():
        bend = np.linalg.norm(np.diff(known[:, places], 2, axis=0), axis=-1) / np.sqrt(12) / body.torso[1:-1, None]
        still = rest[1:-1] if rest.sum() > 5 else np.zeros(len(bend), bool)
        values[f"jitter {name}"] += bend[still].ravel().tolist()
        values[f"confidence {name}"] += confidence[:, places][visible[:, places]][::3].tolist()
        for place in places:  # stretches of False that begin and end inside
            apart = np.diff(np.flatnonzero(visible[:, place] | ~present))
            values["rows of a miss"] += (apart[apart > 1] - 1).tolist()
        values[f"missed {name}"] += [float((~visible[present][:, place]).mean()) for place in places]
    everything = np.arange(17)
    for name, places in LIMBS.items():
        mirror = np.where(np.isin(everything, places), get_layout("coco17").mirror, everything)
        moved = np.nan_to_num(unswap(known, mirror) - known).any((1, 2))
        values[f"exchanged sides: {name}"].append(float(min(moved.mean(), 1 - moved.mean())))
