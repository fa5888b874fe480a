"""The tracking bench: its clips are what they claim to be, and its figures are right."""

import numpy as np
import pytest

from hybrid.benches.tracking import (
    LEAST_SECONDS,
    MOST_SECONDS,
    TrackBench,
    draw_crossing,
    identities,
    measure,
    pictures,
    track,
)
from hybrid.errors import ConfigError


@pytest.fixture(scope="module")
def crossing():
    return draw_crossing(7, 0)


def perfect(crossing):
    return [np.where(owners >= 0, owners + 1, -1) for owners in crossing.owners]


def test_somebody_is_hidden_for_half_a_second_and_gives_no_detection(crossing):
    assert LEAST_SECONDS <= crossing.hidden_seconds <= MOST_SECONDS
    step = crossing.scene.times[1]
    longest = 0
    for m, share in enumerate(crossing.share):
        found = np.array([m in owners for owners in crossing.owners])
        assert not found[share < 0.25].any()
        runs = np.diff(np.flatnonzero(np.concatenate([[True], found, [True]])))
        longest = max(longest, runs.max() - 1)
    assert longest * step >= LEAST_SECONDS - 1e-9
    assert np.mean([len(persons) for persons in crossing.persons]) > 2


def test_the_same_seed_gives_the_same_clip(crossing):
    again = draw_crossing(7, 0)
    for one, other in zip(crossing.persons, again.persons, strict=True):
        np.testing.assert_array_equal(one.keypoints, other.keypoints)
    assert len(draw_crossing(7, 1).persons) != 0


def test_owners_name_the_body_under_the_detection(crossing):
    """Detected boxes overlap the silhouettes of their owners, but for a few poses taken from somebody else."""
    pixels = crossing.scene.camera.project(np.stack([p.joints["pelvis"] for p in crossing.scene.persons], 1))[0]
    inside = [
        (persons.boxes[i, 0] - 5 <= pixels[t, owner, 0] <= persons.boxes[i, 2] + 5)
        for t, (persons, owners) in enumerate(zip(crossing.persons, crossing.owners, strict=True))
        for i, owner in enumerate(owners.tolist())
        if owner >= 0
    ]
    assert np.mean(inside) > 0.9


def test_figures_by_hand(crossing):
    ids = perfect(crossing)
    best = identities(crossing, ids)
    assert best["agreed"] == best["detected"] == best["found"]
    assert best["switches"] == 0
    half = len(ids) // 2
    exchanged = ids[:half] + [np.where(some > 0, some % 3 + 1, some) for some in ids[half:]]
    worse = identities(crossing, exchanged)
    assert worse["switches"] == 3
    assert worse["found"] == best["found"]
    assert worse["agreed"] < 0.75 * best["agreed"]
    anew = [np.where(some > 0, 10 * t + some, some) for t, some in enumerate(ids)]
    assert identities(crossing, anew)["agreed"] <= 3


def test_a_tracker_that_swaps_is_seen(crossing):
    def by_place(seconds, persons, image):
        order = np.argsort(persons.boxes[:, 0])
        ids = np.empty(len(persons), np.int64)
        ids[order] = np.arange(1, len(persons) + 1)
        return ids

    found = track(crossing, by_place, [None] * len(crossing.persons))
    assert identities(crossing, found)["switches"] > 3


def test_pictures_show_the_clothes_where_the_body_is(crossing):
    images = list(pictures(crossing))
    assert (len(images), images[0].shape) == (len(crossing.persons), (360, 360, 3))
    again = list(pictures(crossing))
    np.testing.assert_array_equal(images[-1], again[-1])
    apart = []
    for m, person in enumerate(crossing.scene.persons):
        middle = (person.joints["left_shoulder"] + person.joints["right_hip"]) / 2
        pixels = crossing.scene.camera.project(middle)[0].astype(int)
        for t in np.flatnonzero(crossing.share[m] > 0.95)[::10]:
            column, row = pixels[t].clip(0, 359)
            apart.append(np.abs(images[t][row, column] - np.array(person.colours["shirt"], float)).mean())
    assert np.median(apart) < 45


def test_figures_of_a_few_clips():
    figures = measure(TrackBench(output="", clips=6, seed=3))
    assert figures["idf1"] > 0.9
    assert figures["idf1_worst_clip"] <= figures["idf1"] <= figures["idf1_ceiling"] <= 1
    assert figures["clips"] == 6
    assert figures["persons"] == 18
    assert figures["longest_occlusion_seconds"] >= LEAST_SECONDS
    assert figures["updates_per_second"] > 0


@pytest.mark.parametrize("wrong", [{"clips": 0}, {"patience_seconds": 0.0}])
def test_impossible_settings_are_refused(wrong):
    with pytest.raises(ConfigError, match="clips must be at least 1 and patience_seconds above 0"):
        TrackBench(output="x.json", **wrong).check()
