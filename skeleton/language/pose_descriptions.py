"""Words for the pose of one person at a moment: posture, arms, knees, head, as far as this view can tell.

Each aspect has a few words, and between their ranges lies a gap that is called nothing: an arm that is neither clearly
level nor clearly hanging is not described. A word must also hold for a while (STEADY_SECONDS each way), and every joint
it rests on must be trusted. In a picture a bone that points at the camera looks short and its angles lie, so angles
need bones that are seen at nearly their length; from a side only the nearer arm and leg are told. Left and right are
the person's own. An arm is told by its upper arm, against the trunk. After posecodes (PoseScript 2022), re-derived.

| aspect | words |
|---|---|
| posture | standing, sitting, kneeling, squatting, lying |
| trunk | upright, bent over |
| left arm, right arm | hanging, level, overhead |
| left reach, right reach (of a level arm) | to the side, across the body, to the front, to the back |
| left elbow, right elbow, left knee, right knee | bent, straight |
| head | turned left, turned right, raised, lowered; against how it is usually carried, so only where it differs |
"""

from collections.abc import Mapping

import numpy as np
from scipy.ndimage import minimum_filter1d

from skeleton.errors import SkeletonError
from skeleton.events.kinematics import SIDES, Kinematics

STEADY_SECONDS = 0.1
STEP_SECONDS = 0.1  # between the moments of `poses`
TRUSTED = 0.4  # of Kinematics.trust
HEIGHTS = {"hanging": (-9.0, -0.85), "level": (-0.4, 0.35), "overhead": (0.6, 9.0)}  # cosine of upper arm and trunk
REACH = {"far": 0.75, "across": -0.75}  # share of a level upper arm that points to a side
SIDEWAYS = (0.35, 0.65)  # share of its width between which a body is seen neither from the front nor from a side
BENT_DEGREES, STRAIGHT_DEGREES = 55.0, 25.0  # between the two bones of an arm or leg: more is bent, less is straight
BENT_LENGTH, STRAIGHT_LENGTH = 0.6, 0.8  # share of their lengths at which both bones must then be seen
TALL, LOW = 0.93, 0.64  # height of the hips over the ankles in legs: more when standing, less in a low posture
UPRIGHT, OVER, FLAT = 0.85, 0.6, 0.35  # cosine of the trunk and up: upright, bent over, lying
WHOLE = 0.75  # share of its length at which a trunk must be seen to be called bent over or lying
KNEEL_THIGH, KNEEL_SHANK = -0.8, -0.45  # cosines to up: thighs below, shanks above
SIT_THIGH = {"aside": (-0.5, 0.05), "ahead": (-0.65, -0.15)}  # thighs of who sits, seen from a side, from the front
SQUAT_THIGH = {"aside": 0.27, "ahead": 0.1}  # and above which they are of who squats
PROPPED = 0.45  # torsos that a hand is below the shoulders of who props up on it, as in a push-up: not lying
PROPPED_SECONDS = 1.0  # before and after which that counts too: down in a push-up the hands are at the shoulders
YAW_DEGREES, RAISED_DEGREES, LOWERED_DEGREES = 28.0, 35.0, 25.0  # of a head
NOSE_ASIDE = 0.06  # torsos from between the ears to the nose of a turned head, at least
ASPECTS = (
    "posture", "trunk", *(f"{side} {part}" for part in ("arm", "reach", "elbow", "knee") for side in SIDES), "head",
)  # fmt: skip
SAID = {"overhead": "raised overhead"}

Words = Mapping[str, str]  # aspect -> word; an aspect that is not there cannot be told


def poses(body: Kinematics) -> dict[float, dict[str, str]]:
    """{moment: words} at every tenth of a second of the body's clock at which anything can be told."""
    told, steady = states(body), STEADY_SECONDS + 0.5 / body.fps
    result = {}
    for moment in np.arange(np.ceil(body.times[0] / STEP_SECONDS), body.times[-1] / STEP_SECONDS + 1e-6):
        time = round(float(moment * STEP_SECONDS), 1)
        rows = np.abs(body.times - time) <= steady
        if not rows.any():
            continue
        words = {aspect: str(column[rows][0]) for aspect, column in told.items() if len(set(column[rows])) == 1}
        if words := {aspect: word for aspect, word in words.items() if word}:
            result[time] = words
    return result


def states(body: Kinematics) -> dict[str, np.ndarray]:
    """aspect -> [T] words; "" where it cannot be told."""
    result = _posture(body) | {"head": _head(body)}
    for side in SIDES:
        result |= _arm(body, side)
        result[f"{side} knee"] = _bend(body, side, "thigh", "shank", "ankle")
    return {aspect: result[aspect] for aspect in ASPECTS}


def describe_pose(words: Words, name: str) -> str:
    """The words as a sentence about `name`, such as "the person is standing, the left upper arm raised overhead, the
    elbow bent"; aspects at rest (trunk upright) are left out. Raises SkeletonError without words."""
    clauses = ["the trunk bent over"] if words.get("trunk") == "bent over" else []
    arms = {side: arm_clause(words, side) for side in SIDES}
    knees = {side: words.get(f"{side} knee") for side in SIDES}
    if arms["left"] and arms["left"].replace("left", "right") == arms["right"]:
        clauses.append(arms["left"].replace("the left upper arm", "both upper arms").replace("the elbow", "the elbows"))
    else:
        clauses += filter(None, arms.values())
    if knees["left"] and knees["left"] == knees["right"]:
        clauses.append(f"both knees {knees['left']}")
    else:
        clauses += [f"the {side} knee {word}" for side, word in knees.items() if word]
    clauses += [f"the head {words['head']}"] if "head" in words else []
    if "posture" in words:
        return f"{name} is {', '.join([words['posture'], *clauses])}"
    if not clauses:
        raise SkeletonError(f"expected words of a pose of {name}, found {dict(words)}: choose another moment")
    return f"{name} has {', '.join(clauses)}"


def arm_clause(words: Words, side: str) -> str:
    """What can be told of one arm, such as "the left upper arm level to the side, the elbow straight", or ""."""
    height, bend = words.get(f"{side} arm"), words.get(f"{side} elbow")
    reach = f" {words[f'{side} reach']}" if f"{side} reach" in words and height == "level" else ""
    if height is None:
        return f"the {side} elbow {bend}" if bend else ""
    return f"the {side} upper arm {SAID.get(height, height)}{reach}" + (f", the elbow {bend}" if bend else "")


def _words(body: Kinematics, choices: Mapping[str, np.ndarray], known: np.ndarray | bool = True) -> np.ndarray:
    """[T] words: each where its condition holds and `known`; conditions must exclude each other."""
    result = np.full(len(body.times), "", dtype="<U16")
    for word, holds in choices.items():
        result[holds & known] = word
    return result


def _near(body: Kinematics, side: str) -> np.ndarray:
    """[T]: the limbs of this side are not behind the body; from a side they must be the nearer ones."""
    return body.lateral | (body.facing * (1 if side == "right" else -1) > 0) if body.planar else body.lateral | True


def _trusted(body: Kinematics, *joints: str) -> np.ndarray:
    return np.min([body.trust[joint] for joint in joints], axis=0) >= TRUSTED


def _arm(body: Kinematics, side: str) -> dict[str, np.ndarray]:
    upper = body.bones[side, "upper"]
    known = _near(body, side) & _trusted(body, f"{side}_shoulder", f"{side}_elbow")
    heights = {word: (upper[:, 1] > low) & (upper[:, 1] < high) for word, (low, high) in HEIGHTS.items()}
    out, ahead, reach = upper[:, 0] * (1 if side == "left" else -1), upper[:, 2], REACH
    across = np.abs(body.across)
    plain = (across < SIDEWAYS[0]) | (across > SIDEWAYS[1]) if body.planar else True
    directions = {
        "to the side": out > reach["far"], "across the body": out < reach["across"],
        "to the front": ahead > reach["far"], "to the back": ahead < -reach["far"],
    }  # fmt: skip
    return {
        f"{side} arm": _words(body, heights, known),
        f"{side} reach": _words(body, directions, known & heights["level"] & plain),
        f"{side} elbow": _bend(body, side, "upper", "fore", "wrist"),
    }


def _bend(body: Kinematics, side: str, first: str, second: str, end: str) -> np.ndarray:
    """[T]: whether two bones that follow each other are bent or straight."""
    one, two = (np.nan_to_num(body.bones[side, bone]) for bone in (first, second))
    lengths = np.linalg.norm(one, axis=1), np.linalg.norm(two, axis=1)
    cosine = (one * two).sum(1) / np.maximum(lengths[0] * lengths[1], 1e-9)
    degrees, seen = np.degrees(np.arccos(np.clip(cosine, -1, 1))), np.minimum(*lengths)
    joints = (f"{side}_elbow", f"{side}_wrist") if end == "wrist" else (f"{side}_knee", f"{side}_ankle")
    choices = {
        "bent": (degrees > BENT_DEGREES) & (seen > BENT_LENGTH),
        "straight": (degrees < STRAIGHT_DEGREES) & (seen > STRAIGHT_LENGTH),
    }
    return _words(body, choices, _near(body, side) & _trusted(body, *joints))


def _posture(body: Kinematics) -> dict[str, np.ndarray]:
    tall = body.height()
    thigh, shank = (sum(body.bones[side, bone][:, 1] for side in SIDES) / 2 for bone in ("thigh", "shank"))
    up, seen = body.trunk[:, 1], np.linalg.norm(np.nan_to_num(body.trunk), axis=1)
    aside = body.sagittal
    low = (tall < LOW) & (up > OVER)
    sit = [np.where(aside, SIT_THIGH["aside"][i], SIT_THIGH["ahead"][i]) for i in (0, 1)]
    squat = np.where(aside, SQUAT_THIGH["aside"], SQUAT_THIGH["ahead"])
    hands = np.fmin(*(body.joints[f"{side}_wrist"][:, 1] for side in SIDES)) - body.joints["shoulder"][:, 1]
    window = 2 * round(PROPPED_SECONDS * body.fps) + 1
    hands = minimum_filter1d(np.nan_to_num(hands / body.torso), window, mode="nearest")
    postures = {
        "standing": (tall > TALL) & (up > UPRIGHT),
        "sitting": low & (thigh > sit[0]) & (thigh < sit[1]) & (up > UPRIGHT - 0.1),
        "squatting": low & (thigh > squat),
        "kneeling": low & (thigh < KNEEL_THIGH) & (shank > KNEEL_SHANK),
        "lying": (up < FLAT) & (seen > WHOLE) & (hands > -PROPPED),
    }
    feet = _trusted(body, *(f"{side}_{part}" for side in SIDES for part in ("knee", "ankle")))
    trunk = {"upright": up > UPRIGHT, "bent over": (up < OVER) & (seen > WHOLE) & (tall > TALL)}
    return {"posture": _words(body, postures, feet), "trunk": _words(body, trunk)}


def _head(body: Kinematics) -> np.ndarray:
    """[T]: how the head is carried where that differs from the usual, and for turns also from straight ahead."""
    yaw, pitch, _ = body.head.T
    nose = body.between("ear", "nose")[:, 0]
    turned = {
        "turned left": (yaw > YAW_DEGREES) & (nose > NOSE_ASIDE),
        "turned right": (yaw < -YAW_DEGREES) & (nose < -NOSE_ASIDE),
    }
    aside = np.abs(np.nan_to_num(yaw)) > YAW_DEGREES
    tipped = {"raised": (pitch > RAISED_DEGREES) & ~aside, "lowered": (pitch < -LOWERED_DEGREES) & ~aside}
    return _words(body, turned | tipped, _trusted(body, "nose"))
