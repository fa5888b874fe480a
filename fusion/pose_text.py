"""A skeleton as plain text: angles, positions and speeds of each limb over time, in numbers.

The baseline that joint tokens must beat: whatever a language model can read of a body without an encoder. So there are
no words for movements in it; recognising them is the reader's work. After posecodes and kinematic phrases (PoseScript
2022, Kinematic Phrases 2024), as numbers instead of classes. A header names units and columns once; a line is one limb
of one person in one stretch of time, the mean over it. What a view does not show is left out of the line, never
guessed. The step of time is the finest whose text fits into a budget of tokens; lines are never cut.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from skeleton.errors import SkeletonError
from skeleton.events.kinematics import Kinematics, measure
from skeleton.language.haic_captions import places
from skeleton.record import Skeleton

NOBODY = "No person is seen well enough to tell a pose."
HEADER = (
    "Pose in numbers. Each line: second from which it is the mean, limb, values. Angles in degrees, lengths in "
    "torsos, speeds in torsos a second. Up, left, forward, out (away from the middle) are the person's own; minus "
    "is the opposite. Elbow, knee: 180 is straight. Upper arm, thigh: above level, out, forward. Hand: from its "
    "shoulder. Foot: from its hip. Head: yaw left, pitch up, roll left. Trunk: 90 up is upright. Hips: from their "
    "first place. Across: 1 from the front, 0 from a side, -1 from behind."
)
EXAMPLE = (  # what lines look like
    "Person in the middle, seen from the front:",
    "Person on the left, seen from behind:",
    "Person on the right, seen from the left:",
    "0.5 head: yaw 12, pitch -3, roll 0, speed 0.1",
    "0.5 torso: trunk 88 up 2 left 5 forward, hips +0.1 left +0.0 up -0.3 forward, across 0.9, speed 0.2",
    *(f"0.5 {side} arm: elbow 160, upper arm 85 up 10 out 4 forward, hand +0.4 up +0.9 out -0.1 forward, speed 1.2"
      for side in ("left", "right")),
    *(f"0.5 {side} leg: knee 175, thigh -80 up 5 out 12 forward, foot -1.5 up +0.2 out +0.1 forward, speed 0.3"
      for side in ("left", "right")),
)  # fmt: skip
STEPS = tuple(
    round(unit * digit, 1)
    for unit in (0.1, 1, 10, 100, 1000)
    for digit in (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 8)
    if unit > 0.1 or digit == int(digit)
)  # seconds
KNOWN = 0.5  # share of a stretch's rows in which a quantity must be known to be told


@dataclass(frozen=True, eq=False)
class _Person:
    """One person: `limbs` says how lines are written, as {limb: [(name, [format of a number])]}; values [T, Q] are all
    numbers of `times` in that order, NaN where not known; row: in the record."""

    heading: str
    limbs: dict[str, list[tuple[str, list[str]]]]
    times: np.ndarray
    values: np.ndarray
    row: int


def pose_as_text(
    skeleton: Skeleton, start: float, end: float, budget_tokens: int, count_tokens: Callable[[str], int],
    max_persons: int | None = None,
) -> str:  # fmt: skip
    """The poses between the seconds `start` and `end` in at most `budget_tokens` tokens as `count_tokens` counts them.

    Persons of whom least is seen are left out beyond `max_persons`, and where not even one line for each limb fits.
    NOBODY where there is nobody. Raises SkeletonError unless start < end, and for a budget that is too small for one
    person.
    """
    if not start < end:
        raise SkeletonError(f"expected seconds start < end, found {start} and {end}: mend the times")
    rows = (skeleton.timestamps >= start) & (skeleton.timestamps < end)
    people = _measured(_cut(skeleton, rows), max_persons) if rows.any() else []
    steps = _steps(skeleton.timestamps[rows], end - start)
    least = NOBODY
    for count in range(len(people), 0, -1):
        told, fitting = sorted(people[:count], key=lambda person: person.row), None
        for step in steps:  # from coarse to fine: the last and longest text is at most about twice the budget
            least = _write(told, start, step)
            if count_tokens(least) > budget_tokens:
                break
            fitting = least
        if fitting is not None:
            return fitting
    if count_tokens(least) > budget_tokens:
        raise SkeletonError(
            f"expected a budget of at least {count_tokens(least)} tokens, which the coarsest text of one person takes, "
            f"found {budget_tokens}: give more"
        )
    return least


def _steps(times: np.ndarray, seconds: float) -> list[float]:
    """Steps from one that covers everything down to a tenth of a second, or to the rows' own rate where that is
    less."""
    period = float(np.median(np.diff(times))) if len(times) > 1 else 0.0
    most = next((step for step in STEPS if step >= seconds), max(STEPS[-1], seconds))
    return [most, *(step for step in reversed(STEPS) if period <= step < most)]


def _cut(skeleton: Skeleton, rows: np.ndarray) -> Skeleton:
    arrays = {name: getattr(skeleton, name)[:, rows] for name in ("keypoints", "confidence", "visible", "boxes")}
    return replace(skeleton, **arrays, timestamps=skeleton.timestamps[rows])


def _measured(skeleton: Skeleton, most: int | None) -> list[_Person]:
    """At most `most` persons whose hips and shoulders are seen, those of whom most is seen first."""
    where = places(skeleton)
    people: list[_Person] = []
    for row in np.argsort(-skeleton.visible.sum((1, 2)), kind="stable").tolist():
        body = measure(skeleton, row) if len(people) != most else None
        if body is None:
            continue
        view, track = body.view(), int(skeleton.track_ids[row])
        sight = {None: "", "back": ", seen from behind"}.get(view, f", seen from the {view}")
        limbs = _limbs(body)
        people.append(
            _Person(
                heading=f"Person {where.get(track, track)}{sight}:",
                limbs={
                    limb: [(name, [form for form, _ in part]) for name, part in parts] for limb, parts in limbs.items()
                },
                times=body.times,
                values=np.stack(
                    [column for parts in limbs.values() for _, part in parts for _, column in part], axis=1
                ),
                row=row,
            )
        )
    return people


def _limbs(body: Kinematics) -> dict[str, list[tuple[str, list[tuple[str, np.ndarray]]]]]:
    """{limb: [(name, [(format, values [T])])]} of everything that is told."""
    trunk = _tilt(body.trunk)
    limbs = {
        "head": [
            *((name, [("{:.0f}", body.head[:, axis])]) for axis, name in enumerate(("yaw", "pitch", "roll"))),
            ("speed", [("{:.1f}", body.speed("nose", "shoulder"))]),
        ],
        "torso": [
            (
                "trunk",
                [(f"{{:.0f}} {word}", trunk[:, axis]) for axis, word in ((1, "up"), (0, "left"), (2, "forward"))],
            ),
            (
                "hips",
                [(f"{{:+.1f}} {word}", body.root[:, axis]) for axis, word in enumerate(("left", "up", "forward"))],
            ),
            ("across", [("{:.1f}", body.across)] if body.planar else []),
            ("speed", [("{:.1f}", body.speed("hip"))]),
        ],
    }
    for limb, bone, name, chain, end in (
        ("arm", "upper", "upper arm", ("shoulder", "elbow", "wrist"), "hand"),
        ("leg", "thigh", "thigh", ("hip", "knee", "ankle"), "foot"),
    ):
        for side, outwards in (("left", 1.0), ("right", -1.0)):
            turned = np.array([outwards, 1.0, 1.0])
            first, _, last = parts = [f"{side}_{joint}" for joint in chain]
            tilt = _tilt(body.bones[side, bone]) * turned
            place = body.between(first, last, upright=limb == "leg") * turned
            axes = ((1, "up"), (0, "out"), (2, "forward"))
            limbs[f"{side} {limb}"] = [
                (chain[1], [("{:.0f}", body.angle(*parts))]),
                (name, [(f"{{:.0f}} {word}", tilt[:, axis]) for axis, word in axes]),
                (end, [(f"{{:+.1f}} {word}", place[:, axis]) for axis, word in axes]),
                ("speed", [("{:.1f}", body.speed(last, chain[0]))]),
            ]
    return limbs


def _write(people: list[_Person], start: float, step: float) -> str:
    """The text with one line a limb and stretch of `step` seconds."""
    lines = [HEADER]
    for person in people:
        lines.append(person.heading)
        stretch = np.floor((person.times - start) / step + 1e-6).astype(int)
        first = np.flatnonzero(np.diff(stretch, prepend=-1))  # rows where stretches begin
        known = np.isfinite(person.values)
        rows = np.diff(first, append=len(stretch))[:, None]
        count = np.add.reduceat(known.astype(int), first)
        total = np.add.reduceat(np.where(known, person.values, 0.0), first)
        means = np.where(count >= np.maximum(KNOWN * rows, 1), total / np.maximum(count, 1), np.nan)
        for number, row in zip(stretch[first], means, strict=True):
            second = f"{start + number * step:.2f}".rstrip("0").rstrip(".")
            values = iter(row.tolist())
            for limb, parts in person.limbs.items():
                told = [(name, [_number(form, next(values)) for form in forms]) for name, forms in parts]
                texts = [f"{name} {' '.join(filter(None, numbers))}" for name, numbers in told if any(numbers)]
                if texts:
                    lines.append(f"{second} {limb}: {', '.join(texts)}")
    return "\n".join(lines)


def _number(form: str, value: float) -> str:
    """The value as `form` says; empty where it is not known."""
    if not math.isfinite(value):
        return ""
    return form.format(round(value, 0 if ".0f" in form else 1) + 0.0)  # + 0.0: no minus before zero


def _tilt(vectors: np.ndarray) -> np.ndarray:
    """Components [T, 3] of unit vectors as angles in degrees against the plane across each axis."""
    return np.degrees(np.arcsin(np.clip(vectors, -1, 1)))
