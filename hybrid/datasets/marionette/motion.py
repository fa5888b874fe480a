"""Limb events -> joint angles over time: the primitives that move the body.

Every primitive eases in and out with the minimum-jerk profile 10x^3 - 15x^4 + 6x^5 (Flash and Hogan 1985).
A counted movement makes `count` equal cycles inside its event. Later moves are laid over earlier ones, so
postures come first. Targets of reach and handshake are given in the body frame, metres.
"""

from dataclasses import dataclass

import numpy as np

from hybrid.datasets.marionette.body import CHANNEL, REST, SIDES, Proportions, arm_angles, rest_pose
from skeleton.events.limb_event import LimbEvent
from skeleton.events.vocabulary import vocabulary

ARM = ("lift", "sweep", "fore_lift", "fore_sweep")
LONGEST_CYCLE_SECONDS = 1.5
RELEASE = 0.55  # of a throw's duration, when the object leaves the hand


@dataclass(frozen=True)
class Move:
    """An event and how it is carried out. sagittal: in the plane that a side view sees; aim [3]: target of the
    wrist in the body frame; turn: +1 or -1, the side to which a lying body falls; bend: of the elbow of a raised arm,
    from 0 straight to 1; level: of the upper arm of a waving one, from 0 low to 1 overhead."""

    event: LimbEvent
    rise: float = 0.35  # seconds to reach the held pose
    sagittal: bool = False
    aim: tuple[float, float, float] | None = None
    turn: int = 1
    bend: float = 0.0
    level: float = 0.3


def min_jerk(x: np.ndarray) -> np.ndarray:
    """0 for x <= 0, 1 for x >= 1, minimum-jerk in between."""
    x = np.clip(x, 0.0, 1.0)
    return x * x * x * (10 - 15 * x + 6 * x * x)


def is_kept(event: LimbEvent) -> bool:
    """Whether a posture event is kept, not repeated: a squat is both a posture and an exercise."""
    return event.count == 1 and event.end - event.start > LONGEST_CYCLE_SECONDS


def limb_sides(limb: str) -> tuple[str, ...]:
    """("left",), ("right",), both, or () for a limb without sides."""
    if limb.startswith("both"):
        return SIDES
    return tuple(side for side in SIDES if limb.startswith(side))


def animate(moves: list[Move], times: np.ndarray, body: Proportions, stance: np.ndarray = REST) -> np.ndarray:
    """Pose [T, K] (see body.CHANNELS) of a person who makes these moves out of a stance [K]; times [T] in seconds."""
    pose = rest_pose(len(times), stance)
    for move in sorted(moves, key=lambda move: vocabulary().movement(move.event.movement).posture is None):
        event = move.event
        envelope = min_jerk((times - event.start) / move.rise) * min_jerk((event.end - times) / move.rise)
        if event.group == "arm":
            for side in limb_sides(event.limb):
                _arm(pose, move, side, times, envelope, body)
        elif event.group == "leg":
            for side in limb_sides(event.limb):
                _leg(pose, move, side, times, envelope)
        elif event.group == "whole body":
            _whole_body(pose, move, times, envelope)
        else:
            _head_or_torso(pose, move, times, envelope)
    return pose


def _cycles(event: LimbEvent, times: np.ndarray, lead: float = 0.0) -> np.ndarray:
    """Progress in cycles, 0..count, between start + lead and end - lead."""
    x = (times - event.start - lead) / max(event.end - event.start - 2 * lead, 1e-6)
    return event.count * np.clip(x, 0.0, 1.0)


def _bumps(event: LimbEvent, times: np.ndarray, lead: float = 0.0) -> np.ndarray:
    """0 -> 1 -> 0 in each cycle."""
    return 0.5 - 0.5 * np.cos(2 * np.pi * _cycles(event, times, lead))


def _blend(pose: np.ndarray, channel: str, weight: np.ndarray, target: np.ndarray | float) -> None:
    column = CHANNEL[channel]
    pose[:, column] += weight * (target - pose[:, column])


def _arm(pose: np.ndarray, move: Move, side: str, times: np.ndarray, envelope: np.ndarray, body: Proportions) -> None:
    event, size = move.event, move.event.size
    plane = 80.0 if move.sagittal else 5.0
    if event.movement == "circle":
        turn = 360.0 * _cycles(event, times)
        inside = (times > event.start) & (times < event.end)
        for name in ("lift", "fore_lift"):
            column = CHANNEL[f"{side}_{name}"]
            pose[inside, column] = REST[column] + turn[inside]
        for name in ("sweep", "fore_sweep"):
            _blend(pose, f"{side}_{name}", envelope, plane)
        return
    if event.movement == "raise":
        target = _raised(move, side)
    elif event.movement in ("wave", "greet"):
        swing = np.sin(2 * np.pi * _cycles(event, times, move.rise))
        highest = 75 if event.count > 1 else 40  # one sway of an arm overhead is no wave
        target = (62 + highest * move.level, plane, 150 + 18 * move.level + (16 + 24 * size) * swing, plane)
    elif event.movement == "punch":
        guard, out = np.array([35.0, 60.0, 150.0, 90.0]), np.array([90.0, 84.0, 90.0, 90.0])
        reach = _bumps(event, times, move.rise)[:, None]
        target = (guard + reach * (out - guard)).T
    elif event.movement == "hold":
        target = (25, 70 if move.sagittal else 10, 105, 90 if move.sagittal else 35)
    elif event.movement == "throw":
        target = _thrown(event, times, plane)
    else:
        target = arm_angles(*_aim(pose, move, side, body))
        if event.movement == "handshake":
            shake = 14 * np.sin(2 * np.pi * 3 * np.clip((times - event.start) / (event.end - event.start), 0, 1))
            target = (target[0], target[1], target[2] + shake, target[3])
    for name, value in zip(ARM, target, strict=True):
        _blend(pose, f"{side}_{name}", envelope, value)


def _raised(move: Move, side: str) -> tuple[float, float, float, float]:
    """A bent elbow points the forearm further up; raised up, the upper arm need not be higher than level then."""
    direction, size, bend = move.event.direction, move.event.size, move.bend
    if direction == "up":
        upper = 132 + 30 * size - 45 * bend
        return upper, 15, min(upper + 6 + 75 * bend, 178), 20 + 70 * bend
    if direction == "forward":  # seen from the front, the hand of a bent arm would be at the head
        return 70 + 18 * size, 90, 72 + 18 * size + (30 if move.sagittal else 18) * bend, 90
    if direction == side:
        return 72 + 20 * size, 5, 73 + 20 * size + 30 * bend, 5
    return 66 + 16 * size, 118, 72 + 16 * size, 172  # across the chest


def _thrown(event: LimbEvent, times: np.ndarray, plane: float) -> tuple:
    x = (times - event.start) / (event.end - event.start)
    swing = min_jerk((x - 0.45) / 0.25)
    lift = 160 - 95 * swing
    fore = 225 - 145 * swing
    return lift, plane, fore, plane


def _aim(pose: np.ndarray, move: Move, side: str, body: Proportions):
    """Arguments of arm_angles: the wrist's target relative to the shoulder, in the (upright) torso's frame."""
    sign = 1 if side == "left" else -1
    shoulder = np.array([sign * body.shoulder, body.trunk - 0.04, 0.0])
    if move.event.movement != "touch":
        pelvis = 0.08 + body.shank + body.thigh
        hint = (0.5, -0.8, 0.0)
        return np.array(move.aim) - shoulder - [0, pelvis, 0], side, body, hint
    points = {
        "the head": ((sign * 0.10, body.trunk + 0.24 * body.head, 0.03), (0.9, 0.1, 0.3)),
        "the shoulder": ((-sign * 0.8 * body.shoulder, body.trunk - 0.04, 0.13), (0.3, -0.9, 0.4)),
        "the belly": ((-sign * 0.02, 0.30 * body.trunk, 0.15), (0.9, -0.4, -0.2)),
        "the hip": ((sign * (body.hip + 0.06), 0.28 * body.trunk, 0.0), (0.9, 0.1, -0.3)),
    }
    if move.sagittal:  # a side view sees an elbow that points back
        points["the hip"] = (points["the hip"][0], (0.1, 0.2, -0.9))
    point, hint = points[move.event.target]
    return np.array(point) - shoulder, side, body, hint


def _leg(pose: np.ndarray, move: Move, side: str, times: np.ndarray, envelope: np.ndarray) -> None:
    event, size = move.event, move.event.size
    if event.movement == "raise":
        _blend(pose, f"{side}_hip", envelope, 65 + 28 * size)
        _blend(pose, f"{side}_knee", envelope, 70 + 25 * size)
        return
    bump = _bumps(event, times) * ((times > event.start) & (times < event.end))
    if event.movement == "kick":
        _blend(pose, f"{side}_hip", bump, 66 + 24 * size)  # less is not seen from the front
        _blend(pose, f"{side}_knee", bump, 0.0)
        _blend(pose, f"{side}_knee", 4 * bump * (1 - bump), 35.0)
    elif event.movement == "swing":
        _blend(pose, f"{side}_open", bump, 30 + 18 * size)
    else:  # bend
        _blend(pose, f"{side}_knee", bump, 85 + 35 * size)


def _head_or_torso(pose: np.ndarray, move: Move, times: np.ndarray, envelope: np.ndarray) -> None:
    event, size = move.event, move.event.size
    inside = (times > event.start) & (times < event.end)
    if event.movement == "nod":
        _blend(pose, "head_pitch", _bumps(event, times) * inside, 30 + 16 * size)
    elif event.movement == "bow":
        _blend(pose, "bend", _bumps(event, times) * inside, 55 + 25 * size)
    elif event.movement == "shake":
        swing = np.sin(2 * np.pi * _cycles(event, times))
        _blend(pose, "head_yaw", inside * 1.0, (38 + 22 * size) * swing)
    else:
        channel, value = {
            ("turn", "left"): ("head_yaw", 50 + 20 * size), ("turn", "right"): ("head_yaw", -50 - 20 * size),
            ("turn", "up"): ("head_pitch", -25 - 15 * size), ("turn", "down"): ("head_pitch", 25 + 18 * size),
            ("tilt", "left"): ("head_tilt", 22 + 15 * size), ("tilt", "right"): ("head_tilt", -22 - 15 * size),
            ("lean", "left"): ("lean", 20 + 14 * size), ("lean", "right"): ("lean", -20 - 14 * size),
            ("lean", "forward"): ("bend", 22 + 14 * size), ("lean", "back"): ("bend", -20 - 10 * size),
        }[event.movement, event.direction]  # fmt: skip
        _blend(pose, channel, envelope, value)


LEGS_OF_POSTURE = {  # hip flexion, hip opening, knee flexion, bend of the trunk
    "squat": (112, 16, 138, 28), "sit": (86, 6, 86, 2), "kneel": (4, 5, 97, 0), "lie": (4, 4, 6, 0),
}  # fmt: skip


def _whole_body(pose: np.ndarray, move: Move, times: np.ndarray, envelope: np.ndarray) -> None:
    event = move.event
    inside = (times > event.start) & (times < event.end)
    if event.movement == "jump":
        cycle = np.where(inside, _cycles(event, times) % 1.0, 0.0)
        crouch = np.sin(np.pi * np.clip(cycle / 0.4, 0, 1)) + 0.6 * np.sin(np.pi * np.clip((cycle - 0.8) / 0.2, 0, 1))
        _legs(pose, crouch, (50, 4, 75, 14))
        air = np.clip((cycle - 0.35) / 0.45, 0, 1)
        pose[:, CHANNEL["hop"]] += (0.16 + 0.18 * event.size) * 4 * air * (1 - air)
    elif event.movement == "step":
        axis = "shift_left" if event.direction in ("left", "right") else "shift_forward"
        sign = -1 if event.direction in ("right", "back") else 1
        x = (times - event.start) / (event.end - event.start)
        pose[:, CHANNEL[axis]] += sign * (0.25 + 0.2 * event.size) * min_jerk(x)
        for side, offset in zip(SIDES if sign > 0 else SIDES[::-1], (0.0, 0.5), strict=True):
            lift = np.sin(np.pi * np.clip((x - offset) / 0.5, 0, 1))
            _blend(pose, f"{side}_hip", lift, 38.0)
            _blend(pose, f"{side}_knee", lift, 55.0)
    elif event.movement == "squat" and not is_kept(event):
        _legs(pose, _bumps(event, times) * inside, LEGS_OF_POSTURE["squat"])
    else:
        _legs(pose, envelope, LEGS_OF_POSTURE[event.movement])
        if event.movement == "lie":
            channel, value = ("pitch", -88.0) if move.sagittal else ("roll", 88.0 * move.turn)
            _blend(pose, channel, envelope, value)


def _legs(pose: np.ndarray, weight: np.ndarray, target: tuple[float, float, float, float]) -> None:
    for side in SIDES:
        for name, value in zip(("hip", "open", "knee"), target[:3], strict=True):
            _blend(pose, f"{side}_{name}", weight, value)
    _blend(pose, "bend", weight, target[3])
