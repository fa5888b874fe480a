import pytest

from skeleton.errors import SkeletonError
from skeleton.events.limb_event import EventError, LimbEvent, event_from_json, event_to_json, load_events, save_events

WAVE = {"person": 3, "limb": "left arm", "movement": "wave", "start": 0.5, "end": 2.0}
RAISE = WAVE | {"movement": "raise"}


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (WAVE | {"limb": "left leg"}, r"expected a limb of \('arm',\) for the movement 'wave', found 'left leg'"),
        (WAVE | {"movement": "flap"}, "found 'flap'"),
        (RAISE | {"direction": "down"}, r"expected a direction of \('up', .* found 'down'"),
        (RAISE | {"frame_of_reference": "room"}, "expected frame_of_reference .* found 'room'"),
        (WAVE | {"end": 0.5}, "expected finite start < end in seconds, found start=0.5, end=0.5"),
        (WAVE | {"end": float("nan")}, "found start=0.5, end=nan"),
        (WAVE | {"size": 0.0}, r"expected a size in \(0, 1\], found 0.0"),
        (WAVE | {"count": 0}, "expected a count of at least 1 for 'wave', found 0"),
        (RAISE | {"count": 2}, "expected a count of 1 for 'raise', found 2"),
        (WAVE | {"target": "the head"}, "expected no target for 'wave', found 'the head'"),
        (WAVE | {"movement": "hold"}, r"expected a target \(object\) for 'hold', found None"),
    ],
)
def test_impossible_events(fields, message):
    with pytest.raises(SkeletonError, match=message):
        LimbEvent(**fields)


def test_phrase_and_group():
    event = LimbEvent(**RAISE, direction="up")
    assert event.group == "arm"
    assert event.phrase() == "raise the left arm up"
    assert event.phrase("gerund", with_direction=False) == "raising the left arm"


def test_json_round_trip(tmp_path):
    clips = {
        "a": [LimbEvent(**WAVE, count=4), LimbEvent(**RAISE, direction="left", observable=False)],
        "b": [LimbEvent(**WAVE | {"movement": "touch"}, target="the hip")],
        "c": [],
    }
    assert [event_from_json(event_to_json(event)) for event in clips["a"]] == clips["a"]
    save_events(tmp_path / "events.jsonl", clips.items())
    assert load_events(tmp_path / "events.jsonl") == clips
    assert [path.name for path in tmp_path.iterdir()] == ["events.jsonl"]


def test_json_errors(tmp_path):
    with pytest.raises(EventError, match=r"found unknown \['speed'\] and missing \[\]"):
        event_from_json(WAVE | {"speed": 2})
    with pytest.raises(EventError, match=r"found unknown \[\] and missing \['limb'\]"):
        event_from_json({key: value for key, value in WAVE.items() if key != "limb"})
    path = tmp_path / "events.jsonl"
    path.write_text('{"clip": "a", "events": []}\n{"clip": "b"}\n')
    with pytest.raises(EventError, match=r"events.jsonl:2, found a line that does not fit \('events'\)"):
        load_events(path)
    path.write_text('{"clip": "a", "events": []}\n{"clip": "a", "events": []}\n')
    with pytest.raises(EventError, match=r"events.jsonl:2, found a line .*the clip 'a' for the second time"):
        load_events(path)
