"""Puts a clip together: who stands where, wears what, does what, with which things.

World axes as in camera.py. Views are named by the side of the person that the camera sees; a person seen from
the right looks to the right of the image.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from hybrid.datasets.marionette.body import Proportions, draw_idle, draw_stance, forward_kinematics, rotate_y
from hybrid.datasets.marionette.camera import Camera, draw_camera
from hybrid.datasets.marionette.motion import RELEASE, Move, animate
from hybrid.datasets.marionette.script import Composer, Focus, fitting_view
from hybrid.datasets.marionette.splits import TROUSERS, draw_body, draw_shade, split_of_outfit
from skeleton.events.limb_event import LimbEvent
from skeleton.events.vocabulary import vocabulary

YAW = {"front": 0.0, "back": 180.0, "right": 90.0, "left": -90.0}
OBLIQUE, OBLIQUE_LYING = 35.0, 14.0  # degrees that a person is turned from its view at most
PERSON_PIXELS = {1: (62, 84), 2: (54, 68), 3: (50, 58)}  # standing height at 128 pixels, by number of persons
SKIN = ((236, 196, 168), (214, 166, 130), (176, 124, 88), (126, 84, 58), (92, 60, 44))
HAIR = ((30, 24, 22), (74, 48, 30), (150, 108, 56), (112, 108, 106))


@dataclass(frozen=True)
class Person:
    """One person: colours are RGB; joints are world positions [T, 3] by name."""

    track_id: int
    shirt: str
    colours: dict[str, tuple[int, int, int]]  # shirt, trousers, skin, hair
    body: Proportions
    view: str
    moves: tuple[Move, ...]
    joints: dict[str, np.ndarray]

    @property
    def name(self) -> str:
        return f"the person in {self.shirt}"


@dataclass(frozen=True)
class Thing:
    """An object: name as in event targets, path [T, 3] of its centre, stand: on a thin stand from the floor."""

    name: str
    colour: tuple[int, int, int]
    path: np.ndarray
    stand: bool

    @property
    def kind(self) -> str:
        return self.name.split()[-1]


@dataclass(frozen=True)
class Scene:
    """A whole clip before it is drawn. times [T] in seconds."""

    persons: tuple[Person, ...]
    things: tuple[Thing, ...]
    camera: Camera
    times: np.ndarray
    duration: float

    @property
    def events(self) -> list[LimbEvent]:
        """All events, times cut to the clip."""
        return [move.event for person in self.persons for move in person.moves]


def draw_scene(rng: np.random.Generator, split: str, foci: Sequence[Focus], size: int, fps: float) -> Scene:
    """A random scene of 4.5 to 6 s; everything follows from `rng`, `split` and the foci of up to three persons."""
    count = int(rng.choice([1, 2, 3], p=[0.55, 0.30, 0.15]))
    frames = int(rng.integers(round(4.5 * fps), round(6.0 * fps) + 1))
    times, duration = np.arange(frames) / fps, frames / fps
    scale = float(rng.uniform(*PERSON_PIXELS[count])) / 128 * size / 1.7
    camera = draw_camera(rng, split, size, scale, frames)
    views = [fitting_view(rng, foci[i]) for i in range(count)]
    places = _places(rng, count, size / scale)
    social = _draw_social(rng, split, count)
    if social is not None:
        pair = social[1:]
        left, right = sorted(pair)
        views[pair[0]] = "right" if pair[0] == left else "left"
        if social[0] == "handshake":
            views[pair[1]] = "right" if pair[1] == left else "left"
            middle, gap = (places[left, 0] + places[right, 0]) / 2, rng.uniform(0.46, 0.52)
            places[left], places[right] = (middle - gap, 0.0), (middle + gap, 0.0)
    track_ids = rng.permutation(count)
    shirts = [str(name) for name in rng.choice(vocabulary().shirt_colours, count, replace=False)]
    bodies = [draw_body(rng, split) for _ in range(count)]
    persons, things = [], []
    for i in range(count):
        faces_somebody = (views[i] == "right" and i < count - 1) or (views[i] == "left" and i > 0)
        composer = Composer(rng, split, views[i], int(track_ids[i]), duration, faces_somebody)
        held: tuple[Move, str] | None = None
        if social is not None and i in social[1:] and (social[0] == "handshake" or i == social[1]):
            other = social[2] if i == social[1] else social[1]
            half_distance = abs(places[i, 0] - places[other, 0]) / 2
            meeting = (0.0, 0.29 * (bodies[i].height + bodies[other].height), half_distance - 0.07)
            composer.around(_social_move(rng, social[0], composer, f"the person in {shirts[other]}", meeting))
        else:
            held = _solo(rng, composer, foci[i], bodies[i])
        _share_handshake_times(composer, persons, social, i)
        moves = tuple(composer.moves)
        most = OBLIQUE_LYING if any(move.event.movement == "lie" for move in moves) else OBLIQUE
        yaw = np.radians(YAW[views[i]] + (0 if social else rng.uniform(-most, most)))
        ground = np.array([places[i, 0], 0.0, places[i, 1]])
        pose = animate(list(moves), times, bodies[i], draw_stance(rng)) + draw_idle(rng, times)
        local = forward_kinematics(pose, bodies[i])
        joints = {name: rotate_y(point, np.full(frames, yaw)) + ground for name, point in local.items()}
        colours = _colours(rng, split, shirts[i])
        person = Person(int(track_ids[i]), shirts[i], colours, bodies[i], views[i], moves, joints)
        persons.append(person)
        things.extend(_things(rng, split, person, held, times, yaw, ground))
    return Scene(tuple(persons), tuple(things), camera, times, duration)


def _places(rng: np.random.Generator, count: int, width: float) -> np.ndarray:
    """Ground positions [M, 2] (x, z), from left to right, for an image `width` metres wide."""
    x = {1: [0.0], 2: [-0.24, 0.24], 3: [-0.33, 0.0, 0.33]}[count]
    jitter = rng.uniform(-1, 1, count) * (0.1, 0.04, 0.015)[count - 1]
    return np.stack([(np.array(x) + jitter) * width, rng.uniform(-0.25, 0.25, count)], axis=1)


def _draw_social(rng: np.random.Generator, split: str, count: int) -> tuple[str, int, int] | None:
    """(greet | handshake, who, with whom) or None; places count from the left."""
    if count == 1 or rng.random() > 0.42:
        return None
    who = int(rng.integers(count))
    neighbours = [other for other in (who - 1, who + 1) if 0 <= other < count]
    return str(rng.choice(["greet", "handshake"])), who, int(rng.choice(neighbours))


def _social_move(
    rng: np.random.Generator, kind: str, composer: Composer, target: str, meeting: tuple[float, float, float]
) -> Move:
    """A handshake at `meeting` (body frame), or a wave at somebody."""
    length, limb, count, rise = float(rng.uniform(1.4, 2.4)), "right arm", 1, 0.45
    if kind == "greet":
        limb, count = str(rng.choice(["left arm", "right arm"])), int(rng.integers(2, 4))
        length = 2 * rise + count * float(rng.uniform(0.5, 0.85))
    start = float(rng.uniform(0.3, composer.duration - length - 0.2))
    event = LimbEvent(
        person=composer.person, limb=limb, movement=kind, target=target, start=round(start, 3),
        end=round(start + length, 3), count=count,
    )  # fmt: skip
    return Move(event, rise, True, meeting if kind == "handshake" else None, level=float(rng.random()))


def _share_handshake_times(composer: Composer, persons: list[Person], social, i: int) -> None:
    """The second of two who shake hands takes the times of the first."""
    if social is None or social[0] != "handshake" or i != max(social[1:]):
        return
    first = next(move for person in persons for move in person.moves if move.event.movement == "handshake")
    for k, move in enumerate(composer.moves):
        if move.event.movement == "handshake":
            event = replace(move.event, start=first.event.start, end=first.event.end)
            composer.moves[k] = replace(move, event=event)


def _solo(rng: np.random.Generator, composer: Composer, focus: Focus, body: Proportions) -> tuple[Move, str] | None:
    """Fill the script of somebody who deals with no other person; (move, object) where an object is used."""
    if focus.script == "sequence":
        composer.sequence(focus=focus)
    elif focus.script == "repetitions":
        composer.repetitions(focus.count)
    elif focus.script == "posture":
        composer.posture(focus.movement)
    else:
        words = vocabulary()
        name = f"the {rng.choice(words.object_colours)} {rng.choice(words.object_kinds)}"
        move = _object_move(rng, composer, body, focus.movement, name)
        composer.around(move)
        return move, name
    return None


def _object_move(rng: np.random.Generator, composer: Composer, body: Proportions, movement: str, name: str) -> Move:
    side = str(rng.choice(["left", "right"]))
    sagittal = composer.view in ("left", "right")
    length = float(rng.uniform(1.2, 2.2)) if movement == "reach" else float(rng.uniform(1.0, 1.5))
    start = float(rng.uniform(0.3, composer.duration - length - 0.2))
    end, aim = start + length, None
    if movement == "hold":
        start, end = -1.0, composer.duration + 1.0
    if movement == "reach":
        sign, rise = (1 if side == "left" else -1), np.radians(rng.uniform(-15, 45))
        out = (0.25, np.sin(rise), np.cos(rise)) if sagittal else (np.cos(rise), np.sin(rise), 0.25)
        direction = np.array([sign * out[0], out[1], out[2]]) / np.linalg.norm(out)
        shoulder = np.array([sign * body.shoulder, 0.08 + body.shank + body.thigh + body.trunk - 0.04, 0.0])
        aim = tuple(shoulder + 0.96 * (body.upper_arm + body.forearm) * direction)
    event = LimbEvent(
        person=composer.person, limb=f"{side} arm", movement=movement, target=name, start=round(start, 3),
        end=round(end, 3),
    )  # fmt: skip
    return Move(event, 0.4 if movement != "throw" else 0.25, sagittal, aim)


def _things(
    rng: np.random.Generator, split: str, person: Person, held: tuple[Move, str] | None, times: np.ndarray,
    yaw: float, ground: np.ndarray,
) -> list[Thing]:  # fmt: skip
    """The object that the person uses, and at times another one that lies there unused."""
    things = []
    words = vocabulary()
    if held is not None:
        move, name = held
        side = move.event.limb.split()[0]
        sign = 1 if side == "left" else -1
        hand, wrist = person.joints[f"{side}_hand"], person.joints[f"{side}_wrist"]
        grip = hand + 0.5 * (hand - wrist)
        if move.event.movement == "reach":
            shoulder = np.array([sign * person.body.shoulder, move.aim[1], 0.0])
            out = np.array(move.aim) - [shoulder[0], shoulder[1], 0.0]
            point = np.array(move.aim) + 0.13 * out / np.linalg.norm(out)
            path = np.tile(rotate_y(point[None], np.array([yaw])) + ground, (len(times), 1))
        else:
            path = grip.copy()
        if move.event.movement == "throw":
            path = _flight(path, move, times, sign, yaw, rng)
        things.append(Thing(name, draw_shade(rng, split, name.split()[1]), path, move.event.movement == "reach"))
    if rng.random() < (0.5 if held else 0.12):
        used = held[1].split()[1:] if held else ("", "")
        colour = str(rng.choice([word for word in words.object_colours if word != used[0]]))
        kind = str(rng.choice([word for word in words.object_kinds if word != used[1]]))
        where = ground + np.array([rng.choice([-1, 1]) * rng.uniform(0.35, 0.55), 0.13, rng.uniform(0.1, 0.3)])
        path = np.tile(where, (len(times), 1))
        things.append(Thing(f"the {colour} {kind}", draw_shade(rng, split, colour), path, False))
    return things


def _flight(path: np.ndarray, move: Move, times: np.ndarray, sign: int, yaw: float, rng) -> np.ndarray:
    """The path [T, 3] of a thing that leaves the hand at RELEASE of the throw, flies and rests on the floor."""
    release = move.event.start + RELEASE * (move.event.end - move.event.start)
    gone = times >= release
    speed, up = rng.uniform(1.6, 2.6), rng.uniform(1.0, 2.0)
    velocity = np.array([[0.0, up, speed]]) if move.sagittal else np.array([[sign * speed, up, 0.2]])
    velocity = rotate_y(velocity, np.array([yaw]))
    first = int(np.argmax(gone))
    elapsed = (times[gone] - times[first])[:, None]
    flown = path[first] + velocity * elapsed - np.array([0, 4.9, 0]) * elapsed**2
    landed = flown[:, 1] < 0.12
    if landed.any():
        flown[landed] = flown[int(np.argmax(landed))]
        flown[landed, 1] = 0.12
    result = path.copy()
    result[gone] = flown
    return result


def _colours(rng: np.random.Generator, split: str, shirt: str) -> dict[str, tuple[int, int, int]]:
    legal = [name for name in TROUSERS if split_of_outfit(shirt, name) == split]
    trousers = np.array(TROUSERS[str(rng.choice(legal))]) * rng.uniform(0.85, 1.1)
    skin, hair = SKIN[int(rng.integers(len(SKIN)))], HAIR[int(rng.integers(len(HAIR)))]
    return {
        "shirt": draw_shade(rng, split, shirt), "trousers": tuple(int(value) for value in trousers),
        "skin": skin, "hair": hair,
    }  # fmt: skip
