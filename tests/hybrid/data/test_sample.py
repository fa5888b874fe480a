"""The sample line: what is read, what is refused, and that writing loses nothing."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hybrid.data.sample import Clip, Sample, from_json, read_samples, to_json, write_samples
from hybrid.errors import DataError

LINE = {"id": "a", "video": "clip.mp4", "end": 4.2, "task": "limb", "question": "Which?"}


def write(path, *lines):
    path.write_text("".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines))
    return path


def test_paths_are_relative_to_the_file(tmp_path):
    (tmp_path / "deep").mkdir()
    path = write(tmp_path / "deep" / "s.jsonl", LINE | {"skeleton": "../poses/clip.npz"})
    (sample,) = read_samples(path)
    assert sample.video == str(tmp_path / "deep" / "clip.mp4")
    assert sample.skeleton == str(tmp_path / "poses" / "clip.npz")
    assert (sample.start, sample.end, sample.meta) == (0.0, 4.2, {})


def test_either_modality_may_be_null(tmp_path):
    lines = [LINE | {"video": None, "skeleton": "clip.npz"}, LINE | {"id": "b", "skeleton": None}]
    first, second = read_samples(write(tmp_path / "s.jsonl", *lines))
    assert first.video is None
    assert second.skeleton is None


def test_second_inherits_the_clip_or_names_its_own(tmp_path):
    lines = [
        LINE | {"second": {"start": 5, "end": 6}},
        LINE | {"id": "b", "second": {"video": "other.mp4", "start": 0, "end": 1}},
    ]
    first, second = read_samples(write(tmp_path / "s.jsonl", *lines))
    assert first.second == Clip(video=first.video, skeleton=None, start=5, end=6)
    assert second.second == Clip(video=str(tmp_path / "other.mp4"), skeleton=None, start=0, end=1)


@pytest.mark.parametrize(
    ("options", "answer", "kind", "text"),
    [
        (["left", "right"], 1, "choice", "right"),
        (["left", "right"], None, "hidden", None),
        (None, [0.5, 0.75], "interval", "0.5 to 0.75"),
        (None, 3, "count", "3"),
        (None, "3", "count", "3"),
        (None, "left arm", "text", "left arm"),
        (None, None, "hidden", None),
    ],
)
def test_kind_follows_the_form(options, answer, kind, text):
    sample = Sample("a", "Which?", "t", 0.0, 1.0, options=options, answer=answer)
    assert (sample.kind, sample.answer_text) == (kind, text)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"id": ""}, r"id: expected a text that is not empty, found ''"),
        ({"question": 3}, r"question: expected a text that is not empty, found 3"),
        ({"task": None}, r"task: expected a value, found None"),
        ({"end": None}, r"end: expected a value, found None"),
        ({"end": 0}, r"end: expected seconds, more than start \(0\.0\), found 0"),
        ({"start": -1}, r"start: expected seconds, 0 or more, found -1"),
        ({"end": float("nan")}, r"end: expected seconds, .*found nan"),
        ({"video": 3}, r"video: expected a path or null, found 3"),
        ({"options": ["one"]}, r"options: expected two or more texts, found"),
        ({"options": "ab"}, r"options: expected two or more texts, found 'ab'"),
        ({"options": ["a", "a"]}, r"options: expected texts that differ"),
        ({"options": ["a", "b"], "answer": 2}, r"answer: expected an index below 2, .*found 2"),
        ({"options": ["a", "b"], "answer": True}, r"answer: expected an index below 2, .*found True"),
        ({"options": ["a", "b"], "answer": "a"}, r"answer: expected an index below 2, .*found 'a'"),
        ({"answer": [2, 1]}, r"answer: expected \[start, end\] with start < end, found \[2, 1\]"),
        ({"answer": [1, 2, 3]}, r"answer: expected \[start, end\]"),
        ({"answer": [30, 40]}, r"answer: expected \[start, end\] in .*the clip's 0 to 4\.2, found \[30, 40\]"),
        ({"answer": [1, 4.8]}, r"answer: expected \[start, end\] in .*the clip's 0 to 4\.2, found \[1, 4\.8\]"),
        ({"answer": [4.2, 4.5]}, r"answer: expected .*the clip's 0 to 4\.2, found \[4\.2, 4\.5\]"),
        ({"start": 10, "end": 20, "answer": [2.0, 5.0]}, r"answer: .*the clip's 10 to 20, found \[2\.0, 5\.0\]"),
        ({"answer": [float("nan"), 1]}, r"answer: expected \[start, end\] with start < end, found \[nan, 1\]"),
        ({"end": 10**400}, r"end: expected seconds, more than start"),
        ({"end": float("inf")}, r"end: expected seconds, .*found inf"),
        ({"start": 5}, r"end: expected seconds, more than start \(5\), found 4\.2"),
        ({"answer": -1}, r"answer: expected a text, a count, .*found -1"),
        ({"answer": 1.5}, r"answer: expected a text, a count, .*found 1\.5"),
        ({"answer": " "}, r"answer: expected a text that is not empty"),
        ({"group": 3}, r"group: expected a text or null, found 3"),
        ({"person": "red"}, r"person: expected a track id or null, found 'red'"),
        ({"second": 3}, r"second: expected a mapping, found 3"),
        ({"second": {"start": 1}}, r"second\.end: expected a value"),
        ({"second": {"start": 2, "end": 1}}, r"second\.end: expected seconds, more than start"),
        ({"second": {"begin": 2}}, r"second\.begin: expected one of .*found 'begin'"),
        ({"meta": [1]}, r"meta: expected a mapping, found \[1\]"),
        ({"anser": 1}, r"anser: .*found 'anser'; did you mean 'answer'\?"),
        ({"zzzz": 1}, r"zzzz: .*; put what is your own under 'meta'"),
    ],
)
def test_bad_values_name_file_line_key_and_value(tmp_path, change, message):
    path = write(tmp_path / "s.jsonl", LINE | {"id": "fine"}, "", LINE | change)
    with pytest.raises(DataError, match=r"s\.jsonl:3: " + message):
        read_samples(path)


def test_bad_lines_and_files(tmp_path):
    with pytest.raises(DataError, match=r"expected a JSONL file at .*lost\.jsonl, found none"):
        read_samples(tmp_path / "lost.jsonl")
    with pytest.raises(DataError, match=r"s\.jsonl:2: expected JSON, found .* at column"):
        read_samples(write(tmp_path / "s.jsonl", LINE, "{'id': 3}"))
    with pytest.raises(DataError, match=r"s\.jsonl:1: line: expected a JSON object, found \[1\]"):
        read_samples(write(tmp_path / "s.jsonl", [1]))
    with pytest.raises(DataError, match=r"s\.jsonl:2: id: expected another id than that of line 1, found"):
        read_samples(write(tmp_path / "s.jsonl", LINE, LINE))
    lonely = {key: value for key, value in LINE.items() if key != "video"}
    with pytest.raises(DataError, match=r"s\.jsonl:1: video: .*found neither video nor skeleton"):
        read_samples(write(tmp_path / "s.jsonl", lonely))


@pytest.mark.parametrize(
    ("answer", "kept"), [([9.6, 12], (10, 12)), ([18, 20.5], (18, 20)), ([9.5, 20.5], (10, 20)), ([11, 12], (11, 12))]
)
def test_intervals_lose_what_rounding_put_outside(tmp_path, answer, kept):
    (sample,) = read_samples(write(tmp_path / "s.jsonl", LINE | {"start": 10, "end": 20, "answer": answer}))
    assert sample.answer == kept


def test_byte_order_marks_are_no_text(tmp_path):
    first, second = (json.dumps(LINE | {"id": name}) for name in "ab")
    path = tmp_path / "s.jsonl"
    path.write_text(f"\ufeff{first}\r\n\ufeff{second}\n", encoding="utf-8", newline="")
    assert [sample.id for sample in read_samples(path)] == ["a", "b"]  # two such files, joined


def test_write_then_read_is_the_same(tmp_path):
    video, pose = str(tmp_path / "v" / "c.mp4"), str(tmp_path / "c.npz")
    samples = [
        Sample("a", "Which?", "limb", 0.0, 1.5, video=video, options=["l", "r"], answer=0),
        Sample("b", "When?", "interval", 0.5, 1.5, skeleton=pose, answer=(0.6, 1.4), person=2),
        Sample("c", "Line\u2028break?", "text", 0, 2, video, answer="both", group="g", meta={"binding": True}),
        Sample("d", "Same?", "order", 0, 2, video="/c.mp4", second=Clip("/d.mp4", None, 1, 2)),
    ]
    path = tmp_path / "out" / "s.jsonl"
    write_samples(path, samples)
    assert read_samples(path) == samples
    assert json.loads(path.read_text().split("\n")[0])["video"] == "../v/c.mp4"
    assert [file.name for file in path.parent.iterdir()] == ["s.jsonl"]


def test_line_has_the_documented_order(tmp_path):
    line = to_json(Sample("a", "Which?", "limb", 0, 1), tmp_path)
    assert list(line)[:7] == ["id", "video", "skeleton", "start", "end", "task", "question"]
    assert list(line)[7:] == ["options", "answer", "group", "person", "second", "meta"]


@settings(max_examples=40, deadline=None)
@given(
    text=st.text(min_size=1).filter(str.strip),
    start=st.floats(0, 1e6),
    length=st.floats(0.001, 1e3),
    options=st.none() | st.lists(st.text(), min_size=2, max_size=6, unique=True),
    pick=st.integers(0, 100),
)
def test_json_round_trip(tmp_path_factory, text, start, length, options, pick):
    folder = tmp_path_factory.getbasetemp()
    answer = pick % len(options) if options else (start, start + length)
    sample = Sample(text, text, text, start, start + length, str(folder / "v.mp4"), None, options, answer)
    assert from_json(json.loads(json.dumps(to_json(sample, folder))), folder) == sample
