import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import skeleton.events.detectors
from skeleton.events.detectors import detect_events
from skeleton.events.detectors.signals import thresholds
from skeleton.events.vocabulary import flip_side
from skeleton.layouts.layout import get_layout
from tests.skeleton.events.detectors.bodies import SECONDS, TIMES, camera, joints, move, planar, solid

COCO = get_layout("coco17")
SIDED = [
    ("arm", "raise", {"direction": "up"}), ("arm", "raise", {"direction": "forward"}), ("arm", "raise", {"direction": "left"}),
    ("arm", "wave", {"count": 3, "end": 3.4}), ("arm", "circle", {"count": 2}), ("arm", "punch", {"count": 2, "end": 2.9}),
    ("arm", "touch", {"target": "the head"}), ("arm", "touch", {"target": "the shoulder"}),
    ("arm", "touch", {"target": "the belly"}), ("arm", "touch", {"target": "the hip"}),
    ("leg", "raise", {}), ("leg", "kick", {"count": 2}), ("leg", "swing", {"count": 2}), ("leg", "bend", {"count": 2}),
]  # fmt: skip
OTHERS = [
    ("head", "nod", {"count": 3, "end": 3.0}), ("head", "shake", {"count": 2}), ("head", "turn", {"direction": "left"}),
    ("head", "turn", {"direction": "up"}), ("head", "turn", {"direction": "down"}), ("head", "tilt", {"direction": "right"}),
    ("torso", "bow", {"count": 2}), ("torso", "lean", {"direction": "left"}), ("torso", "lean", {"direction": "forward"}),
    ("whole body", "squat", {"count": 2}), ("whole body", "squat", {"end": 4.5}), ("whole body", "jump", {"count": 2}),
    ("whole body", "step", {"direction": "left", "end": 2.0}), ("whole body", "step", {"direction": "back", "end": 2.0}),
    ("whole body", "sit", {"end": 4.5}), ("whole body", "kneel", {"end": 4.5}), ("whole body", "lie", {"end": 4.5}),
]  # fmt: skip
CASES = [(f"{side} {group}", name, more) for side in ("left", "right") for group, name, more in SIDED] + OTHERS
CASES += [("both arms", "raise", {"direction": "up"}), ("both arms", "wave", {"count": 3, "end": 3.4})]
FROM_SIDE = [
    case for case in OTHERS if case[1] == "nod" or case[2].get("direction") in ("forward", "back", "up", "down")
]
FROM_FRONT = [case for case in CASES if case[2].get("direction") not in ("forward", "back") or case[1] == "raise"]


def told(event):
    return event.limb, event.movement, event.direction, event.target, event.count


def overlap(event, other):
    return (min(event.end, other.end) - max(event.start, other.start)) / (
        max(event.end, other.end) - min(event.start, other.start)
    )


@pytest.mark.parametrize(("limb", "movement", "more"), CASES, ids=str)
def test_every_primitive_is_told_in_3d_and_nothing_else(limb, movement, more):
    made = move(limb, movement, **more)
    (found,) = detect_events(solid(joints([made])))
    assert told(found) == told(made.event)
    assert overlap(found, made.event) > 0.5 and found.observable


@pytest.mark.parametrize(("limb", "movement", "more"), FROM_FRONT, ids=str)
def test_what_the_front_shows_is_told_in_2d(limb, movement, more):
    made = move(limb, movement, **more)
    (found,) = detect_events(planar(joints([made])))
    assert told(found) == told(made.event) and overlap(found, made.event) > 0.4


@pytest.mark.parametrize(("limb", "movement", "more"), FROM_SIDE, ids=str)
@pytest.mark.parametrize("view", ["left", "right"])
def test_what_a_side_shows_is_told_in_2d(limb, movement, more, view):
    made = move(limb, movement, sagittal=True, **more)
    assert told(made.event) in [told(event) for event in detect_events(planar(joints([made], view)))]


@pytest.mark.parametrize(
    ("view", "limb", "movement", "more"),
    [
        ("front", "torso", "lean", {"direction": "forward"}), ("front", "whole body", "step", {"direction": "forward"}),
        ("left", "left leg", "swing", {"count": 2}), ("right", "head", "shake", {"count": 2}),
        ("left", "torso", "lean", {"direction": "left"}), ("back", "head", "nod", {"count": 2}),
        ("back", "head", "turn", {"direction": "left"}),
    ],
)  # fmt: skip
def test_what_a_view_cannot_tell_is_not_told(view, limb, movement, more):
    assert detect_events(planar(joints([move(limb, movement, **more)], view))) == []


@pytest.mark.parametrize(("limb", "movement", "more"), FROM_FRONT[::3], ids=str)
def test_a_mirrored_body_does_the_same_with_the_other_side(limb, movement, more):
    record = planar(joints([move(limb, movement, **more)]))
    turned = {"left": "right", "right": "left"}
    expected = [
        (flip_side(e.limb), e.movement, turned.get(e.direction, e.direction), e.target, e.count)
        for e in detect_events(record)
    ]
    assert expected and [told(event) for event in detect_events(record.mirrored())] == expected


@pytest.mark.parametrize("rows", [[20], [25, 26, 27], list(range(30, 38)), [5, 17, 29, 30, 51, 52]], ids=str)
def test_bursts_of_exchanged_sides_change_nothing(rows):
    record = planar(
        joints([move("left arm", "raise", direction="up"), move("right leg", "kick", count=2, start=3, end=4.2)])
    )
    keypoints = record.keypoints.copy()
    keypoints[:, rows] = keypoints[:, rows][:, :, COCO.mirror]
    expected = [told(event) for event in detect_events(record)]
    assert len(expected) == 2
    assert [told(event) for event in detect_events(replace(record, keypoints=keypoints))] == expected


def test_a_body_at_rest_and_nobody_do_nothing():
    record = planar(joints([]))
    assert detect_events(record) == []
    assert detect_events(replace(record, visible=np.zeros_like(record.visible))) == []
    few = record.visible & (np.arange(len(TIMES)) < 2)[:, None]
    assert detect_events(replace(record, visible=few)) == []


@pytest.mark.parametrize("share", [1.0, 0.7])
def test_a_limb_that_is_hardly_seen_is_not_told(share):
    record = planar(joints([move("left arm", "raise", direction="up"), move("right arm", "wave", count=2)]))
    visible = record.visible.copy()
    gone = np.random.default_rng(0).random(len(TIMES)) < share
    visible[:, gone, COCO.index("left_wrist")] = False
    events = detect_events(replace(record, visible=visible))
    assert [event.limb for event in events] == ["right arm"]


@pytest.mark.parametrize(
    ("confidence", "threshold", "told_too"), [(0.5, 0.3, True), (0.4, 0.3, False), (0.4, 0.2, True)]
)
def test_what_the_estimator_half_doubts_is_not_told_in_2d(confidence, threshold, told_too):
    record = planar(joints([move("left arm", "raise", direction="up"), move("right leg", "kick", start=3.0, end=4.0)]))
    doubted = record.confidence.copy()
    doubted[..., [COCO.index("left_elbow"), COCO.index("left_wrist")]] = confidence
    record = replace(record, confidence=doubted, source={"confidence_threshold": threshold})
    expected = ["left arm", "right leg"] if told_too else ["right leg"]
    assert [event.limb for event in detect_events(record)] == expected


def test_a_body_from_a_side_is_as_sure_as_its_better_half():
    record = planar(joints([move("whole body", "sit", end=4.5)], "left"))
    doubted = record.confidence.copy()
    doubted[..., [i for i, name in enumerate(COCO.joints) if name.startswith("right")]] = 0.35
    assert [event.movement for event in detect_events(replace(record, confidence=doubted))] == ["sit"]
    assert detect_events(replace(record, confidence=np.full_like(doubted, 0.35))) == []


@pytest.mark.parametrize(("pixels", "told_too"), [(1.0, True), (8.0, False)])
def test_nothing_is_told_of_a_trunk_that_shakes_more_than_trunks_do(pixels, told_too):
    record = planar(joints([move("left arm", "raise", direction="up")]))
    noise = np.random.default_rng(0).normal(0, pixels, record.keypoints.shape)
    noise[..., [COCO.index(f"{side}_{part}") for side in ("left", "right") for part in ("elbow", "wrist")], :] = 0
    events = detect_events(replace(record, keypoints=record.keypoints + noise))
    assert [(event.limb, event.movement) for event in events] == [("left arm", "raise")] * told_too


def test_short_misses_do_not_hide_a_movement():
    record = planar(joints([move("left arm", "raise", direction="up")]))
    visible = record.visible.copy()
    visible[:, 24:29, [COCO.index("left_wrist"), COCO.index("left_elbow")]] = False
    assert [told(event)[:3] for event in detect_events(replace(record, visible=visible))] == [
        ("left arm", "raise", "up")
    ]


@pytest.mark.parametrize("record", [solid, planar])
def test_arms_that_hang_from_a_bowed_trunk_are_not_raised(record):
    body = joints([move("torso", "bow", count=1, end=2.6)], "left")
    for side in ("left", "right"):
        shoulder = body[:, COCO.index(f"{side}_shoulder")]
        body[:, COCO.index(f"{side}_elbow")] = shoulder - (0, 0.29, 0)
        body[:, COCO.index(f"{side}_wrist")] = shoulder - (0, 0.54, 0)
    assert [(event.limb, event.movement) for event in detect_events(record(body))] == [("torso", "bow")]


def test_objects_make_reach_hold_and_throw():
    reached = move("left arm", "reach", target="the red ball", aim=(0.55, 1.35, 0.35), end=3.0)
    held = move("right arm", "hold", target="the blue box", start=-1.0, end=SECONDS + 1)
    for made, side in ((reached, "left"), (held, "right")):
        body = joints([made])
        wrist = body[:, COCO.index(f"{side}_wrist")]
        path = (
            np.tile(wrist[len(TIMES) * 2 // 5], (len(TIMES), 1)) if made is reached else wrist + np.array((0, 0, 0.1))
        )
        (found,) = detect_events(solid(body), {made.event.target: path})
        assert (found.limb, found.movement, found.target) == (f"{side} arm", made.event.movement, made.event.target)
        assert "the" not in [event.target for event in detect_events(solid(body))]
        assert all(event.movement not in ("reach", "hold") for event in detect_events(solid(body)))


def test_a_thing_that_flies_off_was_thrown():
    body = joints([move("right arm", "throw", target="the red ball", end=2.2)])
    path = body[:, COCO.index("right_wrist")] + (0, 0.02, 0.05)
    gone = TIMES > 1.66
    path[gone] = path[gone][0] + (TIMES[gone] - 1.66)[:, None] * (0, 0.5, 4.0)
    (found,) = detect_events(solid(body), {"the red ball": path})
    assert (found.movement, found.target) == ("throw", "the red ball")


@pytest.mark.parametrize("record", [solid, planar])
def test_two_shake_hands_and_each_is_the_target_of_the_other(record):
    made = [move("right arm", "handshake", target="somebody", sagittal=True, aim=(0.0, 0.98, 0.42), end=3.0)]
    pair = record(joints(made, "right", (-0.5, 0, 0)), joints(made, "left", (0.5, 0, 0)))
    events = detect_events(pair, names={0: "the person in red"})
    assert [(e.person, e.limb, e.movement, e.target) for e in events] == [
        (0, "right arm", "handshake", "person 1"), (1, "right arm", "handshake", "the person in red"),
    ]  # fmt: skip


@pytest.mark.parametrize("record", [solid, planar])
def test_a_wave_at_somebody_ahead_greets_them(record):
    wave = move("left arm", "wave", count=3, end=3.4, sagittal=True)
    ahead = record(joints([wave], "right", (-0.6, 0, 0)), joints([], "front", (0.6, 0, 0)))
    behind = record(joints([wave], "left", (-0.6, 0, 0)), joints([], "front", (0.6, 0, 0)))
    assert [(e.movement, e.target) for e in detect_events(ahead)] == [("greet", "person 1")]
    assert [(e.movement, e.target) for e in detect_events(behind)] == [("wave", None)]


def test_a_shaken_camera_makes_nobody_walk_or_jump():
    people = planar(*(joints([], place=(x, 0, 0)) for x in (-0.7, 0.0, 0.7)))
    shake = np.stack([30 * TIMES, 14 * np.sin(9 * TIMES)], axis=1)
    shaken = replace(people, keypoints=people.keypoints + shake[None, :, None])
    assert detect_events(shaken) == []


def test_a_thing_in_a_shaken_picture_is_followed():
    held = move("right arm", "hold", target="the red ball", start=-1.0, end=SECONDS + 1)
    bodies = [joints([held]), joints([], place=(-0.7, 0, 0)), joints([], place=(0.7, 0, 0))]
    path = camera().project(bodies[0][:, [COCO.index("right_wrist")]])[0][:, 0] + 3
    shake = np.stack([-80 * TIMES, 14 * np.sin(9 * TIMES)], axis=1)
    people = planar(*bodies)
    shaken = replace(people, keypoints=people.keypoints + shake[None, :, None])
    assert [told(event)[:2] for event in detect_events(shaken, {"the red ball": path + shake})] == [
        ("right arm", "hold")
    ]


@pytest.mark.parametrize(("speed", "movement"), [(1.2, "walk"), (3.2, "run")])
@pytest.mark.parametrize(("sign", "direction"), [(1, "forward"), (-1, "back")])
def test_travel_is_walked_or_run(speed, movement, sign, direction):
    body = joints([])
    swing = 0.35 * np.sin(2 * np.pi * speed * TIMES)
    for side, phase in (("left", 1), ("right", -1)):
        body[:, COCO.index(f"{side}_ankle"), 2] += phase * swing
        body[:, COCO.index(f"{side}_knee"), 2] += 0.5 * phase * swing
    body[..., 2] += sign * speed * TIMES[:, None]
    assert [told(event)[:3] for event in detect_events(solid(body))] == [("whole body", movement, direction)]


@pytest.mark.parametrize("direction", ["left", "right"])
def test_a_turn_of_the_body_is_told_in_3d(direction):
    from hybrid.datasets.marionette.body import rotate_y

    sign = 1 if direction == "left" else -1
    angle = sign * np.radians(120) * np.clip((TIMES - 1.5) / 1.2, 0, 1)
    turned = np.stack([rotate_y(point, angle) for point in joints([]).transpose(1, 0, 2)], axis=1)
    assert [told(event)[:3] for event in detect_events(solid(turned))] == [("whole body", "pivot", direction)]


def test_every_threshold_is_used_and_explained():
    folder = Path(skeleton.events.detectors.__file__).parent
    code = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.py"))
    for entries in json.loads((folder / "thresholds.json").read_text(encoding="utf-8")).values():
        for name, (value, meaning) in entries.items():
            assert f'"{name}"' in code and len(meaning) > 10 and np.isfinite(value), name
    assert thresholds()["arm"]["raise_up"] == 0.5


def test_the_camera_of_these_tests_sees_the_left_arm_at_the_right():
    pixels, _ = camera().project(joints([]))
    assert (pixels[:, COCO.index("left_wrist"), 0] > pixels[:, COCO.index("right_wrist"), 0]).all()
