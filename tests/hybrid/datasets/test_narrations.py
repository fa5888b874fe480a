import json

import pytest

from hybrid.config.instruction import DataConfig
from hybrid.data.clips import Clip, ClipReader
from hybrid.datasets.narrations import EventsConfig, tell_records, told
from hybrid.errors import DataError
from skeleton.events.limb_event import load_events
from tests.skeleton.events.detectors.bodies import joints, move, planar


def test_records_are_told_in_every_form_and_a_bad_one_is_set_aside(tmp_path):
    source, output = tmp_path / "records", tmp_path / "told"
    source.mkdir()
    alone = planar(joints([move("left arm", "raise", direction="up")]))
    pair = planar(
        joints([move("right arm", "wave", count=3, end=3.4)], place=(-0.6, 0, 0)), joints([], place=(0.6, 0, 0))
    )
    alone.save(source / "alone.npz")
    pair.save(source / "pair.npz")
    (source / "bad.npz").write_bytes(b"not a record")
    config, steps = EventsConfig(str(source), str(output)), []
    info = tell_records(config, lambda *step: steps.append(step))
    assert (info["records"], info["events"], info["left_out"]) == (2, 2, 1) and steps[-1] == (3, 3)
    assert (
        told(info, config)[0].startswith("left out: bad.npz: ")
        and told(info, config)[-1] == "2 records, 2 events, 1 left out"
    )
    events = load_events(output / "events.jsonl")
    assert [(e.limb, e.movement, e.direction) for e in events["alone"]] == [("left arm", "raise", "up")]
    lines = [json.loads(line) for line in (output / "narrations.jsonl").read_text(encoding="utf-8").splitlines()]
    first, second = lines
    assert first["clip"] == "alone" and first["brief"] == "The person raises the left arm up."
    assert second["normal"].endswith("s the person on the left waves the right arm 3 times.")
    assert second["standard"].startswith(
        "There are two people: one on the left; one on the right. The person on the left waves"
    )
    assert set(second) == {"clip", "brief", "normal", "full", "standard"}


def test_nested_records_keep_their_folders(tmp_path):
    """As tools/extract.py leaves a folder of videos: two takes of one name, in folders of their own."""
    raises, waves = (
        planar(joints([move("left arm", "raise", direction="up")])),
        planar(joints([move("right arm", "wave", count=3, end=3.4)])),
    )
    for name, record in (("a/take", raises), ("b/take", waves), ("take", raises)):
        (tmp_path / "records" / name).parent.mkdir(parents=True, exist_ok=True)
        record.save(tmp_path / "records" / f"{name}.npz")
    (tmp_path / "records/b/bad.npz").write_bytes(b"not a record")
    config = EventsConfig(str(tmp_path / "records"), str(tmp_path / "told"))
    info = tell_records(config)
    assert (info["records"], info["left_out"]) == (3, 1) and info["reasons"][0].startswith("b/bad.npz: ")
    events = load_events(tmp_path / "told/events.jsonl")
    assert {clip: [e.movement for e in found] for clip, found in events.items()} == {
        "a/take": ["raise"], "b/take": ["wave"], "take": ["raise"],
    }  # fmt: skip
    lines = (tmp_path / "told/narrations.jsonl").read_text(encoding="utf-8").splitlines()
    assert sorted(json.loads(line)["clip"] for line in lines) == ["a/take", "b/take", "take"]
    reader = ClipReader(DataConfig(), "coco17")
    reader.events = events
    clips = [
        Clip(None, str(tmp_path / "records" / f"{name}.npz"), 0.0, 9.0, ()) for name in ("a/take", "b/take", "take")
    ]
    reader.check_events(clips)
    assert [reader.known_events(clip)[0].movement for clip in clips] == ["raise", "wave", "raise"]


def test_a_folder_without_records_is_an_error(tmp_path):
    with pytest.raises(DataError, match=r"expected records \(.npz\) in .*, found none: extract some"):
        tell_records(EventsConfig(str(tmp_path), str(tmp_path / "o")))
