"""The reality bench: known faults and lengths are measured as what they are, and what differs is named."""

import json
from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from hybrid.benches.reality import RealityBench, collect, differing, measure, summarized, thinned
from hybrid.benches.tables import compared
from hybrid.config.datasets import PrepareConfig
from hybrid.datasets.marionette.dataset import make_scene, skeletons
from hybrid.errors import ConfigError, DataError
from skeleton.events.limb_event import LimbEvent
from skeleton.record import Skeleton


@pytest.fixture(scope="module")
def made():
    """(estimate, truth, body) of a clip of one person seen from the front."""
    for number in range(100):
        scene = make_scene(PrepareConfig(output=""), "train", number)
        if len(scene.persons) == 1 and scene.persons[0].view == "front":
            return (*skeletons(scene, np.random.default_rng(0), "x"), scene.persons[0].body)
    raise AssertionError("no clip of one person from the front")


def measured(record, events=()):
    values = defaultdict(list)
    assert collect(values, record, list(events)) == record.num_persons
    return values


def test_lengths_are_those_of_the_body(made):
    _, truth, body = made
    torso = body.trunk - 0.04
    values = measured(truth)
    for name, length in (("upper", body.upper_arm), ("thigh", body.thigh), ("shoulders", 2 * body.shoulder)):
        assert values[f"length {name}"][0] == pytest.approx(length / torso, rel=0.02)


def test_speed_follows_the_clock(made):
    _, truth, _ = made
    slow = replace(truth, timestamps=truth.timestamps * 2)
    fast, half = (np.percentile(measured(record)["speed wrists"], 95) for record in (truth, slow))
    assert half == pytest.approx(fast / 2, rel=0.15)


def test_faults_of_an_estimate_are_counted(made):
    noisy, _, _ = made
    visible = noisy.visible.copy()
    visible[:] = True
    seen = replace(noisy, visible=visible)
    assert measured(seen)["missed wrists"] == [0, 0] and not measured(seen)["rows of a miss"]
    visible[0, 10:14, 9] = False
    missing = measured(replace(noisy, visible=visible))
    assert missing["rows of a miss"] == [4]
    assert missing["missed wrists"] == pytest.approx([4 / noisy.num_frames, 0])
    shaken = noisy.keypoints + np.random.default_rng(0).normal(0, 2, noisy.keypoints.shape)
    before, after = (np.median(measured(r)["jitter face"]) for r in (seen, replace(seen, keypoints=shaken)))
    assert after > 3 * before


def test_an_act_is_measured_where_it_lies_inside(made):
    _, truth, _ = made
    event = LimbEvent(person=int(truth.track_ids[0]), limb="left arm", movement="wave", start=1.0, end=3.0, count=3)
    values = measured(truth, [event])
    assert values["wave: seconds"] == [2.0] and values["wave: a second"] == [1.5]
    assert not measured(truth, [replace(event, end=float(truth.timestamps[-1]))])["wave: seconds"]


def test_rows_are_thinned_to_the_rate(made):
    noisy, _, _ = made
    rows = np.arange(noisy.num_frames)
    assert thinned(replace(noisy, timestamps=rows / 50.0), 16.0).timestamps[1] == pytest.approx(3 / 50)
    assert thinned(replace(noisy, timestamps=rows / 16.0), 16.0).num_frames == noisy.num_frames


def test_what_differs_is_named():
    def of(middle):
        return {"same": [middle] * 10, "few": [5 * middle] * 5, "wide": [0, middle, 9] * 5}

    found = summarized({"ours": of(1.0), "theirs": of(1.2)})
    assert found["same"]["theirs"] == [1.2, 1.2, 1.2, 10] and found["wide"]["ours"][1] == 1
    assert differing(found, "ours", "theirs") == ["same"]  # outside the range; "few" are too few
    assert differing(summarized({"ours": of(1.0), "theirs": of(1.4)}), "ours", "theirs") == ["same", "wide"]
    assert differing(summarized({"ours": of(1.0), "theirs": of(1.0)}), "ours", "theirs") == []


def test_the_table_shows_before_after_and_reality(tmp_path):
    for when, median in (("before", 0.5), ("after", 0.9)):
        quantities = {"length thigh": {"marionette_3d": [0.1, median, 2.0, 30], "captures": [0.8, 1.0, 1.1, 12]}}
        stars = {"marionette_3d captures": ["length thigh"] * (when == "before"), "marionette_2d records": []}
        environment = {"commit": "abcdef0123", "date": "2026-01-02T03:04", "cores": 2}
        data = {"quantities": quantities, "differing": stars, "environment": environment}
        (tmp_path / f"reality_{when}.json").write_text(json.dumps(data))
    expected = "| length thigh | 3D | 0.5 (0.1 to 2) * | 0.9 (0.1 to 2) | 1 (0.8 to 1.1) | 12 |"
    assert expected in compared("reality", tmp_path)


def test_wrong_input_is_told(tmp_path):
    with pytest.raises(ConfigError, match="expected clips to be at least 1, found 0"):
        RealityBench(captures="c", records="r", output="o", clips=0).check()
    names = ["Hips", "UpperArm_L", "UpperArm_R", "UpperLeg_L", "UpperLeg_R", "LowerLeg_L", "LowerLeg_R", "Foot_L",
             "Foot_R", "Head"]  # fmt: skip
    places = [(0, 0.9, 0), (0.2, 1.4, 0), (-0.2, 1.4, 0), (0.1, 0.9, 0), (-0.1, 0.9, 0), (0.1, 0.5, 0.02),
              (-0.1, 0.5, 0.02), (0.1, 0.1, 0), (-0.1, 0.1, 0), (0, 1.6, 0)]  # fmt: skip
    np.savez(
        tmp_path / "c.npz", xyz=np.tile(np.array(places), (30, 1, 1)), offset=[0, 30], name=["stand"],
        joint_names=names, parents=np.zeros(10, int),
    )  # fmt: skip
    config = RealityBench(captures=str(tmp_path / "c.npz"), records=str(tmp_path / "none"), output="o", clips=1)
    with pytest.raises(DataError, match=r"expected records \(.npz\) in .*none, found none"):
        measure(config)
    (tmp_path / "none").mkdir()
    Skeleton.empty(np.arange(20) / 16, (48, 64)).save(tmp_path / "none" / "r.npz")
    figures = measure(config)
    assert figures["captures"] == 1 and figures["persons_captures"] == 1 and figures["persons_records"] == 0
    assert figures["quantities"]["length thigh"]["captures"][1] == pytest.approx(0.8, abs=0.02)
