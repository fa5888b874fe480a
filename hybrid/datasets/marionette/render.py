"""Draws a scene with OpenCV: a plain wall and floor, and bodies of thick outlined limbs sorted by depth.

Left and right limbs have the same colours; what is on the far side of a body is darker. Everything that can be
computed for all frames at once is, since the drawing calls themselves take microseconds.
"""

import cv2
import numpy as np

from hybrid.datasets.marionette.body import SIDES
from hybrid.datasets.marionette.camera import Camera
from hybrid.datasets.marionette.scene import Person, Scene, Thing

SHIFT = 4  # sub-pixel bits of OpenCV's drawing functions
_ONE = 1 << SHIFT
LIMBS = (  # from, to, thickness in metres, colour
    ("hip", "knee", 0.155, "trousers"), ("knee", "ankle", 0.115, "trousers"), ("ankle", "toe", 0.085, "shoes"),
    ("shoulder", "elbow", 0.105, "shirt"), ("elbow", "hand", 0.085, "skin"),
)  # fmt: skip
SHOES = (48, 44, 44)
EDGE = 0.45  # brightness of outlines
FAR_SIDE = 0.34  # how much darker the far side of a body is, at most
WALL_Z = -1.6
GRAIN = 3.0  # standard deviation of the sensor's fixed pattern, in grey levels


def render(scene: Scene, rng: np.random.Generator) -> np.ndarray:
    """Frames uint8 [T, H, W, 3], RGB; the backdrop and the grain are drawn from `rng`."""
    camera, size, frames = scene.camera, scene.camera.size, len(scene.times)
    backdrop = _Backdrop(rng, camera, frames)
    bodies = [_Body(person, camera) for person in scene.persons]
    things = [_Thing(thing, camera) for thing in scene.things]
    grain = np.round(rng.normal(0, GRAIN, (size, size, 1))).astype(np.int16).repeat(3, axis=2)
    brighter, darker = grain.clip(0).astype(np.uint8), (-grain).clip(0).astype(np.uint8)
    images = np.empty((frames, size, size, 3), np.uint8)
    for t in range(frames):
        image = images[t]
        backdrop.draw(image, t)
        # a body is drawn as a whole, with the things near it sorted among its parts
        work = [(body.depth[t], body.parts(t)) for body in bodies]
        for thing in things:
            part = (thing.depth[t] - 0.06, thing.draw, t)
            near = min(work, key=lambda item: abs(item[0] - part[0]))
            if abs(near[0] - part[0]) < 0.6:
                near[1].append(part)
            else:
                work.append((part[0], [part]))
        for _, parts in sorted(work, key=lambda item: -item[0]):
            for _, draw, *arguments in sorted(parts, key=lambda part: -part[0]):
                draw(image, *arguments)
        cv2.add(image, brighter, dst=image)
        cv2.subtract(image, darker, dst=image)
    return images


class _Backdrop:
    """Wall, floor and a few pale panels on the wall, moving with the camera."""

    def __init__(self, rng: np.random.Generator, camera: Camera, frames: int) -> None:
        self.size = camera.size
        wall = np.clip(rng.uniform(150, 215) + rng.uniform(-14, 14, 3), 0, 255)
        floor = np.clip(rng.uniform(90, 150) + rng.uniform(-12, 12, 3), 0, 255)
        self.wall, self.floor = wall.tolist(), floor.tolist()
        corners, self.shades = [(-9, 0), (9, 0)], []
        for _ in range(int(rng.integers(0, 5))):
            x, y, w, h = rng.uniform((-3, 0.3, 0.3, 0.3), (3, 2.2, 1.3, 1.2))
            corners += [(x, y), (x + w, y), (x + w, y + h), (x, y + h)]
            shade = np.clip(wall + rng.uniform(-34, 26) + rng.uniform(-8, 8, 3), 0, 255)
            self.shades.append(shade.tolist())
        points = np.array([(*corner, WALL_Z) for corner in corners], float)
        self.pixels = _fixed_point(camera.project(np.tile(points, (frames, 1, 1)))[0])
        edge = camera.size * _ONE
        self.below = np.array([[edge, edge], [0, edge]], np.int32)

    def draw(self, image: np.ndarray, t: int) -> None:
        """Fill the image with the empty scene of frame t."""
        cv2.rectangle(image, (0, 0), (self.size, self.size), self.wall, -1)
        points = self.pixels[t]
        cv2.fillConvexPoly(image, np.concatenate([points[:2], self.below]), self.floor, cv2.LINE_AA, SHIFT)
        for i, shade in enumerate(self.shades):
            cv2.fillConvexPoly(image, points[2 + 4 * i : 6 + 4 * i], shade, cv2.LINE_8, SHIFT)


class _Body:
    """One person, projected into every frame."""

    def __init__(self, person: Person, camera: Camera) -> None:
        names = list(person.joints)
        index = {name: i for i, name in enumerate(names)}
        pixels, depth = camera.project(np.stack([person.joints[name] for name in names], axis=1))
        fixed = _fixed_point(pixels)
        middle = (depth[:, index["pelvis"]] + depth[:, index["neck"]]) / 2
        scale = camera.focal * camera.zoom / depth[:, index["pelvis"]]
        girth = person.body.girth * scale
        colours = {**person.colours, "shoes": SHOES}
        self.depth, self.middle = depth[:, index["pelvis"]].tolist(), middle.tolist()
        self.limbs = []
        for side in SIDES:
            for start, end, thickness, colour in LIMBS:
                a, b = index[f"{side}_{start}"], index[f"{side}_{end}"]
                far = (depth[:, a] + depth[:, b]) / 2
                shade = (1 - FAR_SIDE * np.clip((far - middle) / 0.22, 0, 1))[:, None] * np.array(colours[colour])
                width = np.maximum(np.round(thickness * girth), 2).astype(int)
                columns = (far, fixed[:, a], fixed[:, b], width, shade, EDGE * shade)
                self.limbs.append([column.tolist() for column in columns])
        corners = [index[name] for name in ("left_shoulder", "right_shoulder", "right_hip", "left_hip")]
        self.trunk = np.ascontiguousarray(fixed[:, corners])
        self.trunk_width = np.maximum(np.round(0.17 * girth), 3).astype(int).tolist()
        self.colours = {name: [float(value) for value in colour] for name, colour in colours.items()}

        self.head_depth = depth[:, index["head"]].tolist()
        self.facing = (depth[:, index["head"]] - depth[:, index["nose"]]).tolist()
        self.radius = (0.125 * person.body.head * scale).tolist()
        center, nose = pixels[:, index["head"]], pixels[:, index["nose"]]
        face = center + 0.55 * (nose - center) - 0.22 * (pixels[:, index["crown"]] - center)
        self.head = {
            "neck": fixed[:, index["neck"]].tolist(), "center": fixed[:, index["head"]].tolist(),
            "nose": fixed[:, index["nose"]].tolist(), "face": _fixed_point(face).tolist(),
            "eyes": fixed[:, [index[f"{side}_eye"] for side in SIDES]].tolist(),
        }  # fmt: skip

    def parts(self, t: int) -> list:
        """(depth, drawing function, arguments ...) of each part in frame t."""
        parts = [(limb[0][t], _limb, *(column[t] for column in limb[1:])) for limb in self.limbs]
        return [*parts, (self.middle[t], self._draw_trunk, t), (self.head_depth[t], self._draw_head, t)]

    def _draw_trunk(self, image: np.ndarray, t: int) -> None:
        points, width, shirt = self.trunk[t], self.trunk_width[t], self.colours["shirt"]
        edge = [EDGE * value for value in shirt]
        cv2.polylines(image, [points], True, edge, width + 2, cv2.LINE_AA, SHIFT)
        cv2.polylines(image, [points], True, shirt, width, cv2.LINE_AA, SHIFT)
        cv2.fillConvexPoly(image, points, shirt, cv2.LINE_8, SHIFT)
        right, left = points[2:].tolist()
        cv2.line(image, right, left, self.colours["trousers"], width, cv2.LINE_AA, SHIFT)

    def _draw_head(self, image: np.ndarray, t: int) -> None:
        """Neck, hair, and a face disc that slides towards the nose while the face is turned to the camera."""
        at = {name: points[t] for name, points in self.head.items()}
        radius, facing = self.radius[t], self.facing[t]
        hair, skin = self.colours["hair"], self.colours["skin"]
        cv2.line(image, at["neck"], at["center"], skin, max(round(0.8 * radius), 2), cv2.LINE_AA, SHIFT)
        _disc(image, at["center"], radius + 1, [EDGE * value for value in hair])
        _disc(image, at["center"], radius, hair)
        if facing < -0.03:
            return
        _disc(image, at["face"], 0.74 * radius, skin)
        if facing > 0.02:
            for eye in at["eyes"]:
                _disc(image, eye, 0.14 * radius, [0.25 * value for value in skin])
        _disc(image, at["nose"], 0.16 * radius, [0.6 * value for value in skin])


class _Thing:
    """One object, projected into every frame."""

    def __init__(self, thing: Thing, camera: Camera) -> None:
        pixels, depth = camera.project(thing.path)
        self.thing, self.pixels, self.depth = thing, pixels, depth.tolist()
        self.center = _fixed_point(pixels).tolist()
        self.floor = _fixed_point(camera.project(thing.path * [1, 0, 1])[0]).tolist()
        self.scale = (camera.focal * camera.zoom / depth).tolist()
        self.colour = [float(value) for value in thing.colour]

    def draw(self, image: np.ndarray, t: int) -> None:
        """A ball, a box, or a bottle (body and neck), outlined; on a stand where it has one."""
        edge, scale = [0.4 * value for value in self.colour], self.scale[t]
        if self.thing.stand:
            cv2.line(image, self.center[t], self.floor[t], (70, 70, 70), 1, cv2.LINE_AA, SHIFT)
        if self.thing.kind == "ball":
            _disc(image, self.center[t], 0.13 * scale + 1, edge)
            _disc(image, self.center[t], 0.13 * scale, self.colour)
            return
        boxes = [(0.12, -0.12, 0.12)] if self.thing.kind == "box" else [(0.07, -0.06, 0.18), (0.03, -0.2, -0.05)]
        x, y = self.pixels[t]
        for grow, colour in ((1, edge), (0, self.colour)):
            for half, top, bottom in boxes:
                left, right = x - half * scale - grow, x + half * scale + grow
                high, low = y + top * scale - grow, y + bottom * scale + grow
                corners = _fixed_point(np.array([(left, high), (right, high), (right, low), (left, low)]))
                cv2.fillConvexPoly(image, corners, colour, cv2.LINE_AA, SHIFT)


def _fixed_point(pixels: np.ndarray) -> np.ndarray:
    """Pixels as OpenCV's fixed-point integers, the same shape."""
    return np.round(pixels * _ONE).astype(np.int32)


def _limb(image: np.ndarray, start: list, end: list, width: int, colour: list, edge: list) -> None:
    cv2.line(image, start, end, edge, width + 2, cv2.LINE_AA, SHIFT)
    cv2.line(image, start, end, colour, width, cv2.LINE_AA, SHIFT)


def _disc(image: np.ndarray, center: list, radius: float, colour: list) -> None:
    cv2.circle(image, center, int(radius * _ONE), colour, -1, cv2.LINE_AA, SHIFT)
