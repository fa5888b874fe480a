"""The 3D body: joint angles with limits -> joint positions by forward kinematics, for all frames at once.

Body frame: x to the person's left, y up, z forward, metres; angles in degrees. A pose is an array [T, K] with
the columns CHANNELS. An arm is given by the lift (0 hanging, 90 level, 180 overhead) and the sweep (0 outward,
90 forward, 180 across) of upper arm and forearm; a leg by hip flexion, hip opening and knee flexion. The
pelvis is never animated up or down: the lowest point of the body rests on the floor, plus `hop`.
"""

from dataclasses import dataclass

import numpy as np

SIDES = ("left", "right")
_LIMITS = {
    "bend": (-40, 100), "lean": (-45, 45), "twist": (-60, 60),
    "head_pitch": (-50, 50), "head_yaw": (-80, 80), "head_tilt": (-40, 40),
    "roll": (-95, 95), "pitch": (-95, 95), "shift_left": (-1.5, 1.5), "shift_forward": (-1.5, 1.5), "hop": (0, 0.7),
}  # fmt: skip
for _side in SIDES:
    _LIMITS |= {
        f"{_side}_lift": (-3700, 3700), f"{_side}_sweep": (-180, 180),  # an arm may go round more than once
        f"{_side}_fore_lift": (-3700, 3700), f"{_side}_fore_sweep": (-180, 180),
        f"{_side}_hip": (-45, 125), f"{_side}_open": (-30, 60), f"{_side}_knee": (0, 150),
    }  # fmt: skip
CHANNELS = tuple(_LIMITS)
CHANNEL = {name: i for i, name in enumerate(CHANNELS)}
LOWEST, HIGHEST = (np.array([_LIMITS[name][i] for name in CHANNELS], float) for i in (0, 1))
REST = np.zeros(len(CHANNELS))
for _side in SIDES:
    for _name, _value in (("lift", 12), ("sweep", 25), ("fore_lift", 24), ("fore_sweep", 75), ("open", 1)):
        REST[CHANNEL[f"{_side}_{_name}"]] = _value


@dataclass(frozen=True)
class Proportions:
    """Lengths of one body in metres."""

    trunk: float
    shoulder: float  # half the width
    hip: float  # half the width
    upper_arm: float
    forearm: float
    thigh: float
    shank: float
    head: float  # scale of the head, 1 = 0.22 m high
    girth: float  # scale of limb thickness

    @property
    def height(self) -> float:
        """Standing height in metres."""
        return 0.08 + self.shank + self.thigh + self.trunk + 0.30 * self.head


def rest_pose(frames: int, stance: np.ndarray = REST) -> np.ndarray:
    """[T, K]: standing, arms hanging, the same in every row."""
    return np.tile(stance, (frames, 1))


def draw_stance(rng: np.random.Generator) -> np.ndarray:
    """[K]: how one person stands with nothing to do: feet, knees, trunk and arms, left not quite as right."""
    stance = REST.copy()
    usual = {"lift": (12, 3), "sweep": (25, 12), "fore_lift": (24, 5), "fore_sweep": (75, 10), "open": (0.5, 1.6),
             "knee": (6, 3)}  # fmt: skip
    for name, (middle, spread) in usual.items():
        shared = rng.normal(middle, spread)
        for side in SIDES:
            stance[CHANNEL[f"{side}_{name}"]] = shared + rng.normal(0, 0.5 * spread)
    for side in SIDES:
        lift, fore, knee = (CHANNEL[f"{side}_{name}"] for name in ("lift", "fore_lift", "knee"))
        stance[lift], stance[knee] = np.clip(stance[lift], 5, 20), np.clip(stance[knee], 1, 18)
        stance[fore] = np.clip(stance[fore], stance[lift] + 3, 34)
        stance[CHANNEL[f"{side}_hip"]] = stance[knee] / 2  # the foot stays below the hip
    stance[CHANNEL["bend"]], stance[CHANNEL["lean"]] = rng.normal(2, 1.2), rng.normal(0, 0.8)
    return stance


_IDLE = {"bend": 0.8, "lean": 0.7, "twist": 1.2, "head_pitch": 1.0, "head_yaw": 1.5, "head_tilt": 0.8,
         "shift_left": 0.007, "shift_forward": 0.007}  # fmt: skip
for _side in SIDES:
    _IDLE |= {f"{_side}_lift": 1.2, f"{_side}_fore_lift": 1.8}


def draw_idle(rng: np.random.Generator, times: np.ndarray) -> np.ndarray:
    """[T, K] to be added to a pose at `times` [T] seconds: nobody stands quite still. Each channel sums three slow
    waves; some people are calmer than others."""
    idle = np.zeros((len(times), len(CHANNELS)))
    lively = rng.uniform(0.5, 1.4)
    for name, spread in _IDLE.items():
        for frequency in rng.uniform(0.15, 0.9, 3):
            height, phase = rng.normal(0, 0.8 * lively * spread), rng.uniform(0, 2 * np.pi)
            idle[:, CHANNEL[name]] += height * np.sin(2 * np.pi * frequency * times + phase)
    return idle


def forward_kinematics(pose: np.ndarray, body: Proportions) -> dict[str, np.ndarray]:
    """Joint positions [T, 3] by name in the body frame of the person's starting place (floor at y = 0).

    pose [T, K] in degrees and metres (clipped to the joint limits); names: the COCO-17 joints, and pelvis,
    neck, crown, left_hand, right_hand, left_toe, right_toe.
    """
    values = np.clip(pose, LOWEST, HIGHEST)
    at = {name: values[:, i] for i, name in enumerate(CHANNELS)}
    angle = {name: np.radians(value) for name, value in at.items()}
    frames = len(pose)
    joints: dict[str, np.ndarray] = {"pelvis": np.zeros((frames, 3))}

    def torso(vector: np.ndarray) -> np.ndarray:
        turned = rotate_x(rotate_y(vector, angle["twist"]), angle["bend"])
        return rotate_z(turned, -angle["lean"])

    def head(vector: np.ndarray) -> np.ndarray:
        tilted = rotate_z(np.tile(np.multiply(vector, body.head), (frames, 1)), -angle["head_tilt"])
        return torso(rotate_y(rotate_x(tilted, angle["head_pitch"]), angle["head_yaw"]))

    def fixed(*vector: float) -> np.ndarray:
        return np.tile(vector, (frames, 1))

    joints["neck"] = torso(fixed(0, body.trunk, 0))
    head_points = {"nose": (0, 0.15, 0.11), "crown": (0, 0.30, 0), "head": (0, 0.17, 0.0)}
    for side, sign in zip(SIDES, (1, -1), strict=True):
        head_points |= {f"{side}_eye": (sign * 0.034, 0.19, 0.095), f"{side}_ear": (sign * 0.075, 0.16, 0.0)}
    for name, point in head_points.items():
        joints[name] = joints["neck"] + head(point)

    for side, sign in zip(SIDES, (1, -1), strict=True):
        joints[f"{side}_shoulder"] = torso(fixed(sign * body.shoulder, body.trunk - 0.04, 0))
        upper = _arm_direction(angle[f"{side}_lift"], angle[f"{side}_sweep"], sign)
        fore = _arm_direction(angle[f"{side}_fore_lift"], angle[f"{side}_fore_sweep"], sign)
        joints[f"{side}_elbow"] = joints[f"{side}_shoulder"] + torso(body.upper_arm * upper)
        joints[f"{side}_wrist"] = joints[f"{side}_elbow"] + torso(body.forearm * fore)
        joints[f"{side}_hand"] = joints[f"{side}_wrist"] + torso(0.09 * fore)

        hip, opening, knee = (angle[f"{side}_{name}"] for name in ("hip", "open", "knee"))
        joints[f"{side}_hip"] = fixed(sign * body.hip, 0, 0)
        joints[f"{side}_knee"] = joints[f"{side}_hip"] + body.thigh * _leg_direction(hip, opening, sign)
        shank = _leg_direction(hip - knee, opening, sign)
        joints[f"{side}_ankle"] = joints[f"{side}_knee"] + body.shank * shank
        foot = _leg_direction(hip - knee + np.radians(75), opening, sign)
        joints[f"{side}_toe"] = joints[f"{side}_ankle"] + 0.16 * foot

    joints = {name: rotate_x(rotate_z(point, angle["roll"]), angle["pitch"]) for name, point in joints.items()}
    clearances = {"ankle": 0.08, "knee": 0.06, "hip": 0.10, "shoulder": 0.06}
    lowest = np.min(
        [joints[f"{side}_{name}"][:, 1] - clearance for name, clearance in clearances.items() for side in SIDES], axis=0
    )
    offset = np.stack([at["shift_left"], at["hop"] - lowest, at["shift_forward"]], axis=1)
    return {name: point + offset for name, point in joints.items()}


def arm_angles(
    target: np.ndarray, side: str, body: Proportions, elbow_hint: tuple[float, float, float] = (0.7, -0.7, -0.1)
) -> tuple[float, float, float, float]:
    """Inverse kinematics of one arm: (lift, sweep, fore_lift, fore_sweep) in degrees that bring the wrist to
    `target` [3], given relative to the shoulder in the torso frame (metres); a target out of reach is
    approached as far as the arm goes. `elbow_hint`: outward, up, forward part of where the elbow points."""
    sign = 1 if side == "left" else -1
    reach = float(np.linalg.norm(target))
    upper, fore = body.upper_arm, body.forearm
    length = float(np.clip(reach, abs(upper - fore) + 0.02, upper + fore - 0.005))
    along = np.asarray(target, float) / max(reach, 1e-6)
    hint = np.array([sign * elbow_hint[0], elbow_hint[1], elbow_hint[2]])
    hint = hint - along * (hint @ along)
    hint = hint / max(float(np.linalg.norm(hint)), 1e-6)
    a = (upper**2 - fore**2 + length**2) / (2 * length)
    elbow = a * along + np.sqrt(max(upper**2 - a**2, 0.0)) * hint
    first, second = elbow / upper, (length * along - elbow) / fore
    angles = []
    for vector in (first, second):
        angles.append(float(np.degrees(np.arccos(np.clip(-vector[1], -1, 1)))))
        angles.append(float(np.degrees(np.arctan2(vector[2], sign * vector[0]))))
    return angles[0], angles[1], angles[2], angles[3]


def _arm_direction(lift: np.ndarray, sweep: np.ndarray, sign: int) -> np.ndarray:
    return np.stack([sign * np.sin(lift) * np.cos(sweep), -np.cos(lift), np.sin(lift) * np.sin(sweep)], axis=1)


def _leg_direction(flexion: np.ndarray, opening: np.ndarray, sign: int) -> np.ndarray:
    return np.stack(
        [sign * np.sin(opening), -np.cos(opening) * np.cos(flexion), np.cos(opening) * np.sin(flexion)], axis=1
    )


def rotate_x(vector: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Rotation about x by radians [T]: positive tips up towards forward."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y, z = vector.T
    return np.stack([x, cos * y - sin * z, sin * y + cos * z], axis=1)


def rotate_y(vector: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Rotation about y by radians [T]: positive turns forward towards left."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y, z = vector.T
    return np.stack([cos * x + sin * z, y, cos * z - sin * x], axis=1)


def rotate_z(vector: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """Rotation about z by radians [T]: positive tips left towards up, and up towards right."""
    cos, sin = np.cos(angle), np.sin(angle)
    x, y, z = vector.T
    return np.stack([cos * x - sin * y, sin * x + cos * y, z], axis=1)
