"""Captions of a test held against the events of their clips: where these come from, and what reaches report.json."""

import json
from dataclasses import replace

import numpy as np
import pytest

import hybrid.runs.instruction_test as testing
import skeleton.events.detectors
from hybrid.config.instruction import DataConfig, TestConfig, TrainConfig
from hybrid.data.sample import Sample, read_samples, write_samples
from hybrid.runs.run_folder import RunFolder
from hybrid.scoring.claims.caption_metrics import caption_figures, events_of
from skeleton.events.limb_event import LimbEvent, save_events
from skeleton.jsonl import write_jsonl
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton

WAVE = LimbEvent(person=1, limb="left arm", movement="wave", count=2, start=3.0, end=4.0)
NOD = LimbEvent(person=1, limb="head", movement="nod", start=5.0, end=6.0)
OTHER = LimbEvent(person=2, limb="both arms", movement="clap", start=3.0, end=4.0)


def caption(identifier="c", skeleton=None, **more):
    values = {"answer": "the person waves.", "start": 0.0, "end": 8.0, "video": "clip.mp4"} | more
    return Sample(id=identifier, question="What does the person do?", task="caption", skeleton=skeleton, **values)


@pytest.fixture
def made(tmp_path):
    """A made data set: skeletons/one.npz, of which only the name is needed, and truth/events.jsonl."""
    (tmp_path / "truth").mkdir()
    save_events(tmp_path / "truth" / "events.jsonl", [("one", [WAVE, NOD, OTHER])])
    return str(tmp_path / "skeletons" / "one.npz")


def a_skeleton(path):
    count = len(get_layout("coco17").joints)
    seen = np.ones((1, 4, count), bool)
    points = np.random.default_rng(0).uniform(10, 90, (1, 4, count, 2)).astype(np.float32)
    boxes = np.tile(np.array([10, 10, 90, 90], np.float32), (1, 4, 1))
    Skeleton(
        keypoints=points, confidence=seen.astype(np.float32), visible=seen, boxes=boxes, timestamps=np.arange(4) / 10,
        track_ids=np.array([1]), layout="coco17", frame_size=(100, 100), source={"threshold": 0.3},
    ).save(path)  # fmt: skip
    return str(path)


def line(text, identifier="c", **more):
    return {"id": identifier, "text": text, "prediction": text, "probe": None} | more


def test_events_written_beside_a_made_set_are_used_and_not_computed(made, monkeypatch):
    monkeypatch.setattr(skeleton.events.detectors, "detect_events", lambda record: pytest.fail("computed"))
    assert events_of(caption(skeleton=made, meta={"clip": "one"})) == ([WAVE, NOD, OTHER], True)
    assert events_of(caption(skeleton=made, meta={"clip": "one"}, person=2)) == ([OTHER], True)
    figures = caption_figures(
        [line("The person waves twice.")], [caption(skeleton=made, meta={"clip": "one"}, person=1)]
    )
    assert figures["claims"]["precision"] == 1.0 and figures["claims"]["recall"] == 0.5


def test_seconds_are_those_of_the_sample(made):
    part = caption(skeleton=made, meta={"clip": "one"}, person=1, start=2.5, end=4.5)
    (moved,), _ = events_of(part)
    assert (moved.start, moved.end) == (0.5, 1.5)  # the nod comes later
    assert caption_figures([line("At 0.5 s he waves.")], [part])["claims"]["precision"] == 1.0
    assert caption_figures([line("At 3.0 s he waves.")], [part])["claims"]["precision"] == 0.0


def test_other_events_are_computed_from_the_skeleton(tmp_path, monkeypatch):
    path = a_skeleton(tmp_path / "one.npz")
    monkeypatch.setattr(
        skeleton.events.detectors, "detect_events", lambda record: [WAVE] if len(record.track_ids) else []
    )
    assert events_of(caption(skeleton=path)) == ([WAVE], False)
    claims = caption_figures([line("he throws a ball and waves")], [caption(skeleton=path)])["claims"]
    assert (claims["precision"], claims["cannot_tell"]) == (1.0, 1)  # nothing is known of things here


def test_a_known_set_has_no_thing_where_it_says_none(made):
    claims = caption_figures([line("he throws a ball")], [caption(skeleton=made, meta={"clip": "one"})])["claims"]
    assert (claims["precision"], claims["cannot_tell"]) == (0.0, 0)


def test_samples_without_events_are_left_out_and_counted(made, tmp_path):
    gone = str(tmp_path / "elsewhere" / "skeletons" / "gone.npz")
    samples = [caption("a"), caption("b", skeleton=gone), caption("c", skeleton=made, meta={"clip": "one"})]
    claims = caption_figures([line("he waves", name) for name in "abc"], samples)["claims"]
    assert (claims["without_events"], claims["n_captions"], claims["n_claims"]) == (2, 1, 1)


def test_a_missing_prediction_is_silence(made):
    samples = [caption(name, skeleton=made, meta={"clip": "one"}, person=1) for name in "ab"]
    claims = caption_figures([line("he waves", "a"), line("he nods", "b", probe="none")], samples)["claims"]
    assert (claims["silent"], claims["n_captions"], claims["coverage"]) == (1, 2, 0.25)


def test_nothing_is_said_where_no_caption_is_asked():
    other = replace(caption(), task="limb")
    choice = replace(caption(), options=("he waves", "he nods"), answer=0)
    assert caption_figures([line("he waves")], [other, choice]) is None


def test_captions_reach_the_report_and_leave_other_reports_alone(made, tmp_path):
    captions = [caption("c", skeleton=made, meta={"clip": "one"}, person=1)]
    others = [replace(caption("o"), task="limb", answer="the left arm")]
    reports = {}
    for name, samples in (("captions", captions), ("others", others)):
        write_samples(tmp_path / f"{name}.jsonl", samples)
        path = str(tmp_path / f"{name}.jsonl")
        config = TrainConfig(name=name, data=DataConfig(train=[path], val=[path], test=[path]), test=TestConfig())
        folder = RunFolder(tmp_path / "runs" / name)
        folder.path.mkdir(parents=True)
        write_jsonl(folder.predictions, [line("He waves, then nods.", sample.id) for sample in read_samples(path)])
        reports[name] = testing.report(config, folder)
        assert json.loads(folder.report.read_text())["n"] == 1
    assert "captions" not in reports["others"]
    claims = reports["captions"]["captions"]["claims"]
    assert {"precision", "recall", "order", "coverage", "n_claims", "n_captions", "silent"} <= set(claims)
    assert (claims["precision"], claims["recall"], claims["order"]) == (1.0, 1.0, 1.0)
    assert {key: value for key, value in reports["captions"].items() if key != "captions"}.keys() == reports[
        "others"
    ].keys()


def test_truth_is_read_again_when_it_changes(made, tmp_path):
    sample = caption(skeleton=made, meta={"clip": "one"})
    assert len(events_of(sample)[0]) == 3
    save_events(tmp_path / "truth" / "events.jsonl", [("one", [NOD])])
    assert events_of(sample)[0] == [NOD]
