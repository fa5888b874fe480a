"""A folder and a CSV file become samples: through the real extraction, with networks of a few nodes."""

import json
import os
import shutil
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from hybrid.config.datasets import FolderConfig
from hybrid.config.instruction import TrainConfig
from hybrid.config.loading import load_config
from hybrid.data.sample import read_samples
from hybrid.datasets.folder import Asked, make_samples, prepare_folder
from hybrid.datasets.label_csv import Entry
from hybrid.errors import ConfigError, DataError
from hybrid.runs.instruction_train import train
from skeleton.record import Skeleton
from skeleton.video import write_video
from tests.tools.extraction_models import frames, tree, write_models

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Lightning remarks on short runs
ROOT = Path(__file__).resolve().parents[3]
RATE, ROWS = 8.0, 12


@pytest.fixture(scope="module")
def prepared(tmp_path_factory):
    """Twelve videos of two classes and four subjects, one that is none, one that no line names; the set made of them."""
    folder = tmp_path_factory.mktemp("folder")
    for number in range(12):
        place = folder / "videos" / ("jump" if number % 2 else "wave")
        place.mkdir(parents=True, exist_ok=True)
        write_video(place / f"{number // 2}.mp4", frames(ROWS, seed=number), RATE)
    shutil.copy(folder / "videos/jump/0.mp4", folder / "videos/unnamed.mp4")
    (folder / "videos/broken.mp4").write_text("no video\n")
    lines = [f"{name}/{n}.mp4,{name},{'abc'[n % 3] if n < 5 else ''}" for n in range(6) for name in ("jump", "wave")]
    (folder / "labels.csv").write_text(
        "\n".join(["video,label,group", *lines, "broken.mp4,jump,", "gone.mp4,wave,"]) + "\n"
    )
    config = configured(folder)
    return folder, config, prepare_folder(config)


def configured(folder, *more):
    places = [f"videos={folder / 'videos'}", f"labels={folder / 'labels.csv'}", f"output={folder / 'set'}"]
    return load_config(FolderConfig, [*places, "val=0.2", "test=0.3", *write_models(folder / "models"), *more])


def loaded(folder):
    return {path.stem: read_samples(path) for path in sorted(folder.glob("*.jsonl")) if path.stem != "failures"}


def test_samples_records_and_counts(prepared):
    folder, _, outcome = prepared
    splits = loaded(folder / "set")
    assert sorted(splits) == ["test", "train", "val"]
    samples = [sample for members in splits.values() for sample in members]
    assert len(samples) == 12
    for sample in samples:
        assert Path(sample.video).is_file() and Skeleton.load(sample.skeleton).num_frames == ROWS
        assert (sample.start, sample.end, sample.task) == (0.0, ROWS / RATE, "action")
        assert sample.answer_text == sample.meta["label"] == Path(sample.video).parent.name
        assert sample.id == f"{sample.meta['label']}/{Path(sample.video).stem}_00"
        assert set(sample.options) == {"jump", "wave"} and sample.group is None
    subjects = [{sample.meta.get("group", sample.video) for sample in members} for members in splits.values()]
    assert sum(map(len, subjects)) == len(set.union(*subjects))
    first = json.loads((folder / "set/train.jsonl").read_text().splitlines()[0])
    assert first["video"].startswith("../videos/") and first["skeleton"].startswith("skeletons/")
    info = json.loads((folder / "set/info.json").read_text())
    assert info == outcome.info
    assert {split: figures["questions"] for split, figures in info["splits"].items()} == {
        k: len(v) for k, v in splits.items()
    }
    assert {label: sum(counts.values()) for label, counts in info["labels"].items()} == {"jump": 6, "wave": 6}
    assert info["settings"]["videos"] == "../videos" and info["settings"]["detector"]["checkpoint"] == "detector1.onnx"
    assert str(folder) not in json.dumps(info)


def test_what_cannot_be_used_is_listed_and_not_more_than_that_is_extracted(prepared):
    folder, _, outcome = prepared
    listed = [json.loads(line) for line in (folder / "set/failures.jsonl").read_text().splitlines()]
    assert listed == outcome.failures
    assert [(failure["line"], failure["video"]) for failure in listed] == [(14, "broken.mp4"), (15, "gone.mp4")]
    assert "is not a readable video" in listed[0]["reason"] and ".videos" not in listed[0]["reason"]
    assert "expected a video at" in listed[1]["reason"]
    assert outcome.info["left_out"] == {"lines": 2, "videos_not_named": 1}
    assert not (folder / "set/skeletons/unnamed.npz").exists()
    assert len(list((folder / "set/skeletons").rglob("*.npz"))) == 12
    assert not (folder / "set/.videos").exists() and not (folder / "set/skeletons/failures.jsonl").exists()


def test_a_second_run_costs_nothing_and_gives_the_same_bytes(prepared, monkeypatch):
    folder, config, outcome = prepared
    before = tree(folder / "set")
    times = {path: path.stat().st_mtime_ns for path in (folder / "set").rglob("*.npz")}
    monkeypatch.setattr("hybrid.runs.extraction.build_extractor", None)  # a call would fail
    again = prepare_folder(config)
    assert again == outcome
    assert tree(folder / "set") == before
    assert {path: path.stat().st_mtime_ns for path in (folder / "set").rglob("*.npz")} == times


def test_a_set_made_elsewhere_has_the_same_samples(prepared, tmp_path):
    folder, config, _ = prepared
    prepare_folder(replace(config, output=str(tmp_path / "other" / "set")))
    for split in ("train", "val", "test"):
        mine, other = ((place / f"{split}.jsonl") for place in (folder / "set", tmp_path / "other" / "set"))
        pairs = zip(read_samples(mine), read_samples(other), strict=True)
        assert all(a == replace(b, skeleton=a.skeleton) for a, b in pairs)


def test_a_toy_trains_on_it(prepared, tmp_path):
    folder, *_ = prepared
    smaller = ["mllm.tiny.width=32", "mllm.tiny.layers=1", "mllm.tiny.heads=2", "encoder.width=16", "encoder.depth=2"]
    config = load_config(
        TrainConfig,
        [
            str(ROOT / "configs/experiment/toy.yaml"), f"output={tmp_path}", f"data.train={folder / 'set/train.jsonl'}",
            f"data.test={folder / 'set/test.jsonl'}", "train.steps=1", "train.warmup=0", "train.batch_size=2",
            "data.workers=0", *smaller,
        ],
    )  # fmt: skip
    assert train(config).checkpoint("last").is_file()


@pytest.fixture
def small(tmp_path):
    """small(text, *more): two videos and a file with that text, prepared."""
    (tmp_path / "videos").mkdir()
    for number, name in enumerate("ab"):
        write_video(tmp_path / "videos" / f"{name}.mp4", frames(ROWS, seed=number), RATE)

    def run(text, *more):
        (tmp_path / "labels.csv").write_text(text)
        return prepare_folder(configured(tmp_path, *more)), tmp_path / "set"

    return run


def test_questions_of_ones_own(small):
    outcome, folder = small(
        "video,start,end,task,question,answer,options,person,split\n"
        "a.mp4,0.5,1.2,limb,Which arm?,left,left|right|none,1,train\n"
        "a.mp4,,,count,How many?,3,,,train\n"
        'a.mp4,,,interval,When?,"[0.2, 0.9]",,,train\n'
        "b.mp4,,,limb,Which arm?,up,left|up|right,7,test\n"  # nobody has this id
        "b.mp4,1,9,limb,Which arm?,up,left|up|right,,test\n"  # the video is shorter
        "b.mp4,,1.6,,Which arm?,up,left|up|right,,test\n"
        'b.mp4,,,interval,When?,"[0.2, 7]",,,test\n',
        "shuffle=false",
    )
    train_samples, (test_sample,) = loaded(folder)["train"], loaded(folder)["test"]
    assert [(s.id, s.kind, s.start, s.end) for s in train_samples] == [
        ("a_00", "choice", 0.5, 1.2), ("a_01", "count", 0.0, 1.5), ("a_02", "interval", 0.0, 1.5),
    ]  # fmt: skip
    assert (train_samples[0].options, train_samples[0].answer, train_samples[0].person) == (
        ("left", "right", "none"),
        0,
        1,
    )
    assert (test_sample.id, test_sample.options, test_sample.answer, test_sample.end) == (
        "b_02",
        ("left", "up", "right"),
        1,
        1.6,
    )
    assert [failure["line"] for failure in outcome.failures] == [5, 6, 8]
    assert "expected a track id of the record (1), found person 7" in outcome.failures[0]["reason"]
    assert "within the 1.50 s of b.mp4, found 1 to 9" in outcome.failures[1]["reason"]
    assert "within the clip's 0 to 1.5, found [0.2, 7]" in outcome.failures[2]["reason"]
    assert not (folder / "val.jsonl").exists()


def test_a_changed_file_changes_the_splits_and_leaves_no_old_ones(small):
    header = "video,label,split\n"
    _, folder = small(header + "a.mp4,x,train\nb.mp4,y,test\n")
    assert sorted(loaded(folder)) == ["test", "train"]
    outcome, _ = small(header + "a.mp4,x,val\nb.mp4,y,val\n")
    assert sorted(loaded(folder)) == ["val"] and outcome.info["splits"]["train"]["questions"] == 0


def test_a_set_inside_the_folder_of_videos(small, tmp_path):
    text = "video,label,split\na.mp4,x,train\nb.mp4,y,train\n.c.mp4,x,train\n"
    shutil.copy(tmp_path / "videos/a.mp4", tmp_path / "videos/.c.mp4")
    for _ in range(2):
        outcome, _ = small(text, f"output={tmp_path / 'videos/set'}")
        assert outcome.info["left_out"] == {"lines": 1, "videos_not_named": 0}
        assert "with an ordinary name, found .c.mp4" in outcome.failures[0]["reason"]
        shutil.copy(tmp_path / "videos/a.mp4", tmp_path / "videos/set/overlay.mp4")
        shutil.copy(tmp_path / "videos/a.mp4", tmp_path / "videos/a.overlay.mp4")


def test_a_damaged_record_is_one_failure(small):
    text = "video,label,split\na.mp4,x,train\nb.mp4,y,train\n"
    _, folder = small(text)
    (folder / "skeletons/a.npz").write_bytes(b"half")
    outcome, _ = small(text)
    assert [failure["video"] for failure in outcome.failures] == ["a.mp4"]
    assert [sample.id for sample in loaded(folder)["train"]] == ["b_00"]
    assert small(text, "overwrite=true")[0].failures == []


def test_the_same_file_in_two_splits_is_told(small, tmp_path):
    shutil.copy(tmp_path / "videos/a.mp4", tmp_path / "videos/c.mp4")
    outcome, _ = small("video,label,split\na.mp4,x,train\nb.mp4,y,train\nc.mp4,x,test\n")
    assert outcome.info["files_in_two_splits"] == 1


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("video,label\nx.mp4,jump\ny.mp4,wave\n", DataError, r"found none of 2, the first of them x\.mp4"),
        ("video,label\na.mp4,jump\nb.mp4,jump\n", DataError, "expected two labels or more in .*, found only 'jump'"),
        ("video\na.mp4\n", DataError, "expected a column label, or question and answer"),
    ],
)
def test_a_file_that_gives_nothing(small, text, error, message):
    with pytest.raises(error, match=message):
        small(text)


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("videos=/no/such", "expected a folder at videos=/no/such, found none"),
        ("val=0.8", "expected val and test of at least 0 and below 1 together, found 0.8 and 0.3"),
        ("max_options=1", "expected max_options of at least 2, found 1"),
        ("question=", "expected a text for question"),
        ("detector.score=2", "detector.score must lie in 0..1"),
    ],
)
def test_bad_options(small, argument, message):
    with pytest.raises(ConfigError, match=message):
        small("video,label\na.mp4,x\nb.mp4,y\n", argument)


def asked(count, labels, split="train"):
    entry = Entry(2, "a.mp4", None, None, None, None, 0.0, None, "action", split, None, None, {})
    return [Asked(f"{n:03d}", replace(entry, label=labels[n % len(labels)]), split, 1.0) for n in range(count)]


@pytest.fixture
def options_of():
    """options_of(items, labels, ...): (right label, options, place) of each training sample."""

    def make(items, labels, **settings):
        config = FolderConfig(videos="v", labels="l", output="o", **settings)
        samples = make_samples(config, items, labels, Path("v"), Path("s"))["train"]
        return [(sample.answer_text, sample.options, sample.answer) for sample in samples]

    return make


def test_few_labels_are_all_options_and_places_are_balanced(options_of):
    labels = ["bow", "jump", "kick", "wave"]
    made = options_of(asked(80, labels), labels)
    assert all(sorted(options) == labels for _, options, _ in made)
    assert Counter(place for *_, place in made) == dict.fromkeys(range(4), 20)
    assert set(Counter((label, place) for label, _, place in made).values()) == {5}
    assert made == options_of(asked(80, labels), labels) != options_of(asked(80, labels), labels, seed=1)


def test_places_are_balanced_within_each_split():
    config, labels = FolderConfig(videos="v", labels="l", output="o"), ["bow", "jump", "kick"]
    items = [*asked(60, labels), *(replace(item, id=f"t{item.id}", split="test") for item in asked(30, labels))]
    samples = make_samples(config, items, labels, Path("v"), Path("s"))
    for split, count in (("train", 20), ("test", 10)):
        assert Counter(sample.answer for sample in samples[split]) == dict.fromkeys(range(3), count)


def test_of_many_labels_some_are_drawn(options_of):
    labels = [f"l{n:02d}" for n in range(20)]
    made = options_of(asked(200, labels), labels, max_options=5)
    assert all(len(set(options)) == 5 and label in options for label, options, _ in made)
    assert Counter(place for *_, place in made) == dict.fromkeys(range(5), 40)
    shown = Counter(text for label, options, _ in made for text in options if text != label)
    assert set(shown) == set(labels) and max(shown.values()) < 2.5 * min(shown.values())
    # what is drawn for a sample does not depend on the others
    one = next(item for item in asked(200, labels) if item.id == "007")
    assert sorted(options_of([one], labels, max_options=5)[0][1]) == sorted(made[7][1])


def test_own_options_move_only_where_that_is_wanted(options_of):
    entry = Entry(2, "a.mp4", None, "Which?", "b", ("a", "b", "c"), 0.0, None, "x", None, None, None, {})
    items = [Asked(str(n), entry, "train", 1.0) for n in range(9)]
    assert set(options_of(items, [], shuffle=False)) == {("b", ("a", "b", "c"), 1)}
    places = Counter(place for *_, place in options_of(items, []))
    assert places == {0: 3, 1: 3, 2: 3}
    assert ("b", ("b", "a", "c"), 0) in options_of(items, [])


def test_links_outlast_nothing_when_extraction_fails(small, tmp_path, monkeypatch):
    def broken(config):
        assert sorted(os.listdir(config.videos)) == ["a.mp4"]
        raise DataError("the disk is full")

    monkeypatch.setattr("hybrid.runs.extraction.extract_videos", broken)
    with pytest.raises(DataError, match="the disk is full"):
        small("video,question,answer\na.mp4,How many?,2\n")
    assert not (tmp_path / "set/.videos").exists()
    assert not list((tmp_path / "set").glob("*.jsonl"))
