"""What the splits must not share, they do not share."""

import itertools

import numpy as np
import pytest

from hybrid.config.datasets import PrepareConfig
from hybrid.datasets.marionette.dataset import make_scene
from hybrid.datasets.marionette.script import FOCI, focus_of
from hybrid.datasets.marionette.splits import KINDS, SPLITS, TROUSERS, draw_cell, split_of_outfit, split_of_pair
from skeleton.events.limb_event import LimbEvent
from skeleton.events.viewpoints import is_observable
from skeleton.events.vocabulary import vocabulary

CONFIG = PrepareConfig(output="unused", clips=1)


@pytest.fixture(scope="module")
def scenes():
    return {split: [make_scene(CONFIG, split, number) for number in range(60)] for split in SPLITS}


def test_composed_pairs_belong_to_the_split(scenes):
    for split, members in scenes.items():
        for scene in members:
            for person in scene.persons:
                events = sorted((move.event for move in person.moves), key=lambda event: event.start)
                kinds = [f"{event.group} {event.movement}" for event in events]
                pairs = [
                    (kinds[i], kinds[j])
                    for i, j in itertools.combinations(range(len(events)), 2)
                    if j == i + 1 and "sit kneel squat lie".find(events[i].movement) < 0
                ]
                assert all(split_of_pair(*pair) == split for pair in pairs)


def test_every_kind_composes_in_every_split():
    for split in SPLITS:
        for kind in KINDS[:18]:
            assert sum(split_of_pair(kind, other) == split for other in KINDS[:18]) >= 2
    assert split_of_pair("arm wave", "head nod") == split_of_pair("head nod", "arm wave")


def test_outfits_and_shades_are_disjoint(scenes):
    shades = {
        split: {(person.shirt, person.colours["shirt"]) for scene in members for person in scene.persons}
        for split, members in scenes.items()
    }
    plain = ("black", "white")
    shades = {split: {shade for name, shade in found if name not in plain} for split, found in shades.items()}
    assert not shades["train"] & shades["test"] and not shades["train"] & shades["val"]
    for shirt in vocabulary().shirt_colours:
        assert {split_of_outfit(shirt, trousers) for trousers in TROUSERS} == set(SPLITS)


def test_cells_are_disjoint():
    cells = {}
    for split in SPLITS:
        rng = np.random.default_rng(0)
        points = np.array([draw_cell(rng, split, 10) for _ in range(500)])
        cells[split] = {tuple(cell) for cell in (points * 10).astype(int)}
        assert len({cell[0] for cell in cells[split]}) == 10  # every split covers the range
    assert not cells["train"] & cells["test"] and not cells["train"] & cells["val"] and not cells["val"] & cells["test"]


def test_bodies_and_cameras_differ(scenes):
    for key in (lambda scene: scene.persons[0].body, lambda scene: (scene.camera.distance, scene.camera.elevation)):
        train, test = ({key(scene) for scene in scenes[split]} for split in ("train", "test"))
        assert len(train) > 50 and not train & test


def test_persons_of_a_clip_differ_in_shirt_and_script(scenes):
    crowds = [scene for members in scenes.values() for scene in members if len(scene.persons) > 1]
    assert 0.3 < len(crowds) / 180 < 0.6
    for scene in crowds:
        assert len({person.shirt for person in scene.persons}) == len(scene.persons)
        assert sorted(person.track_id for person in scene.persons) == list(range(len(scene.persons)))
        scripts = {tuple(move.event.phrase() for move in person.moves) for person in scene.persons}
        assert len(scripts) == len(scene.persons)
    left_first = [scene.persons[0].track_id == 0 for scene in crowds]
    assert 0.2 < np.mean(left_first) < 0.8


def test_every_focus_comes_up():
    seen = [focus_of(0, number, place) for number in range(len(FOCI)) for place in range(3)]
    assert all(seen.count(focus) == 3 * FOCI.count(focus) for focus in set(FOCI))


@pytest.mark.parametrize(
    ("limb", "movement", "direction", "seen"),
    [
        ("torso", "lean", "left", {"front", "back"}), ("torso", "lean", "forward", {"left", "right"}),
        ("left arm", "raise", "up", {"front", "back", "left", "right"}),
        ("left arm", "raise", "left", {"front", "back"}), ("left arm", "raise", "right", {"front"}),
        ("head", "nod", None, {"front", "left", "right"}),
        ("right leg", "swing", None, {"front", "back"}),
    ],
)  # fmt: skip
def test_observable(limb, movement, direction, seen):
    event = LimbEvent(person=0, limb=limb, movement=movement, direction=direction, start=0.0, end=1.0)
    assert {view for view in ("front", "back", "left", "right") if is_observable(event, view)} == seen


def test_nobody_waves_plainly_at_somebody_straight_ahead():
    """A wave with somebody straight ahead is a greeting: truth says so, or has no wave."""
    facing, waves = 0, 0
    for number in range(250):
        scene = make_scene(CONFIG, "train", number)
        places = {person.track_id: person.joints["pelvis"][0] for person in scene.persons}
        for person in scene.persons:
            left = person.joints["left_hip"][0] - person.joints["right_hip"][0]
            ahead = np.array([-left[2], left[0]]) / np.hypot(left[0], left[2])  # left x up, as (x, z)
            for other, place in places.items():
                way = (place - places[person.track_id])[[0, 2]]
                if other != person.track_id and person.view in ("left", "right") and ahead @ way > 0:
                    facing += 1
                    waves += sum(move.event.movement == "wave" for move in person.moves)
    assert facing > 40 and waves == 0
