"""The CSV file of a folder: what it may say, what is told of a wrong one, and who ends up in which split."""

from collections import Counter

import pytest

from hybrid.datasets.label_csv import assign_splits, read_classes, read_labels
from hybrid.errors import DataError


@pytest.fixture
def read(tmp_path):
    """read(text): the entries of a file with that text."""

    def entries(text):
        (tmp_path / "labels.csv").write_text(text, encoding="utf-8")
        return read_labels(tmp_path / "labels.csv")

    return entries


def test_every_column_and_columns_of_ones_own(read):
    first, second, third, fourth = read(
        "\ufeffvideo, label ,question,answer,options,start,end,task,split,group,person,weather\n"
        "./a/b.mp4,jumping,,,,,,,train,anna,,rain\n"
        'c.mp4,,"Which arm, left or right?",left,left | right,1,2.5,limb,test,,3,\n'
        'c.mp4,,When?,"[1, 2.5]",,0,,,test,,,\n'
        "c.mp4,,How many?,3,,,,,test,,,\n"
    )
    assert (first.video, first.label, first.group, first.split, first.task) == (
        "a/b.mp4",
        "jumping",
        "anna",
        "train",
        "action",
    )
    assert (first.start, first.end, first.person, first.meta) == (0.0, None, None, {"weather": "rain"})
    assert (second.question, second.answer, second.options) == ("Which arm, left or right?", "left", ("left", "right"))
    assert (second.start, second.end, second.task, second.person, second.line) == (1.0, 2.5, "limb", 3, 3)
    assert (third.answer, fourth.answer) == ((1, 2.5), "3")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "expected a header in .*, found an empty file"),
        ("video,label\n", "expected lines below the header"),
        (
            "file,label\na.mp4,x\n",
            r"labels\.csv:1: expected a column video and commas between columns, found 'file', 'label'",
        ),
        ("video;label\na.mp4;x\n", "expected a column video and commas between columns, found 'video;label'"),
        ("video,class\na.mp4,x\n", "expected a column label, or question and answer"),
        ("video,lable\na.mp4,x\n", "unknown column 'lable'; did you mean 'label'"),
        ("video,label,label\na.mp4,x,y\n", "expected columns with different names"),
        ("video,question\na.mp4,why?\n", "expected a column answer beside question"),
        ("video,label\na.mp4,x\nb.mp4,\n", r"labels\.csv:3: expected a label or a question, found neither"),
        ("video,label\n,x\n", r"labels\.csv:2: video: expected a path, found nothing"),
        ("video,label\n../a.mp4,x\n", r"expected a path below videos=, found '\.\./a\.mp4'"),
        ("video,label\n/a.mp4,x\n", "expected a path below videos=, found '/a.mp4'"),
        ("video,label\na.mp4,x,y\n", "expected 2 cells, found more .'y'.; put a text with commas in quotes"),
        ("video,question,answer\na.mp4,why?,\n", "answer: expected an answer to the question, found none"),
        ("video,question,answer,label\na.mp4,,yes,\n", "expected a label or a question, found neither"),
        ("video,question,answer,label\na.mp4,,yes,x\n", "expected a question to the answer, found none"),
        ("video,question,answer,options\na.mp4,why?,c,a|b\n", r"expected one of the options a \| b, found 'c'"),
        ("video,question,answer,options\na.mp4,why?,a,a|a\n", "options: expected texts that differ"),
        ('video,question,answer\na.mp4,when?,"[2, 1]"\n', r"answer: expected \[start, end\] with start < end"),
        ('video,question,answer\na.mp4,when?,"[2, 1"\n', r"answer: expected \[start, end\] in seconds"),
        ("video,label,start\na.mp4,x,soon\n", "start: expected seconds, found 'soon'"),
        ("video,label,start,end\na.mp4,x,3,2\n", r"end: expected seconds, more than start"),
        ("video,label,start\na.mp4,x,-1\n", "start: expected seconds, 0 or more"),
        ("video,label,person\na.mp4,x,anna\n", "person: expected a track id, found 'anna'"),
        ("video,label,split\na.mp4,x,training\n", "split: expected one of train, val, test, found 'training'"),
        (
            "video,label,split\na.mp4,x,train\nb.mp4,x,\n",
            r"csv:3: expected a split in every line or in none, found none here",
        ),
        (
            "video,label,split,group\na.mp4,x,train,anna\nb.mp4,x,test,anna\n",
            r"csv:3: expected group 'anna' in one split, found test here and train in line 2",
        ),
        ("video,label,split\na.mp4,x,train\na.mp4,y,val\n", r"expected video 'a\.mp4' in one split, found val here"),
        (
            "video,label\na.mp4,x\na.avi,y\n",
            r"csv:3: expected names that differ without their suffix, found a\.avi beside a\.mp4",
        ),
        ('video,label\na.mp4,"x\n', "expected CSV, found unexpected end of data"),
    ],
)
def test_what_is_wrong_is_told_with_its_line(read, text, message):
    with pytest.raises(DataError, match=message):
        read(text)


def test_files_that_are_no_csv(tmp_path):
    with pytest.raises(DataError, match="expected a CSV file at labels=.*none.csv, found none"):
        read_labels(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes(b"video,label\nb\xe4r.mp4,x\n")
    with pytest.raises(DataError, match="expected UTF-8 text in .*latin.csv"):
        read_labels(tmp_path / "latin.csv")


def lines(count, labels=("jump", "wave"), groups=None):
    """One video a line, labels by turns."""
    group = [f"g{n % groups}" if groups else "" for n in range(count)]
    return "video,label,group\n" + "".join(f"{n}.mp4,{labels[n % len(labels)]},{group[n]}\n" for n in range(count))


def test_drawn_splits_keep_fractions_class_by_class_and_the_seed(read):
    entries = read(lines(40))
    splits = assign_splits(entries, 0.1, 0.2, 0)
    counts = Counter((splits[entry.video], entry.label) for entry in entries)
    assert counts == {
        ("train", "jump"): 14, ("train", "wave"): 14, ("val", "jump"): 2, ("val", "wave"): 2,
        ("test", "jump"): 4, ("test", "wave"): 4,
    }  # fmt: skip
    assert assign_splits(entries, 0.1, 0.2, 0) == splits != assign_splits(entries, 0.1, 0.2, 1)
    assert set(assign_splits(entries, 0.0, 0.0, 0).values()) == {"train"}
    assert Counter(assign_splits(entries, 0.0, 0.5, 0).values()) == {"train": 20, "test": 20}


@pytest.mark.parametrize("labels", [5, 10, 30])
def test_drawn_splits_keep_fractions_where_labels_are_rare(read, labels):
    entries = read(lines(30, labels=[f"l{n}" for n in range(labels)]))
    for seed in range(3):
        splits = assign_splits(entries, 0.1, 0.2, seed)
        assert Counter(splits.values()) == {"train": 21, "val": 3, "test": 6}
        if labels < 30:
            trained = {entry.label for entry in entries if splits[entry.video] == "train"}
            assert trained == {entry.label for entry in entries}


@pytest.mark.parametrize("groups", [3, 5, 10])
def test_few_groups_still_fill_training_and_test(read, groups):
    entries = read(lines(60, groups=groups))
    counts = Counter(assign_splits(entries, 0.1, 0.2, 0).values())
    assert counts["train"] >= 36 and counts["test"] >= 6
    assert counts["val"] == (0 if groups == 3 else 60 // groups)


def test_groups_and_copies_of_a_file_are_never_parted(read):
    entries = read(lines(60, groups=7))
    splits = assign_splits(entries, 0.15, 0.3, 3)
    sides = {entry.group: set() for entry in entries}
    for entry in entries:
        sides[entry.group].add(splits[entry.video])
    assert all(len(found) == 1 for found in sides.values())
    assert set(splits.values()) == {"train", "val", "test"}
    copies = {f"{n}.mp4": f"hash{n // 2}" for n in range(60)}  # ties all groups to each other
    assert len(set(assign_splits(entries, 0.15, 0.3, 3, copies).values())) == 1
    pairs = assign_splits(read(lines(60)), 0.1, 0.3, 3, copies)
    assert all(pairs[f"{n}.mp4"] == pairs[f"{n + 1}.mp4"] for n in range(0, 60, 2))
    assert Counter(pairs.values()) == {"train": 36, "val": 6, "test": 18}


def test_a_video_joins_its_groups(read):
    entries = read(
        "video,label,group\na.mp4,x,anna\na.mp4,y,ben\nb.mp4,x,anna\nc.mp4,x,ben\nd.mp4,x,\ne.mp4,y,\nf.mp4,y,\n"
    )
    for seed in range(5):
        splits = assign_splits(entries, 0.0, 0.4, seed)
        assert splits["a.mp4"] == splits["b.mp4"] == splits["c.mp4"]


def test_own_splits_are_kept(read):
    entries = read("video,label,split\na.mp4,x,val\nb.mp4,y,test\n")
    assert assign_splits(entries, 0.9, 0.0, 0) == {"a.mp4": "val", "b.mp4": "test"}


def test_classes_by_number(read, tmp_path):
    read("video,label\nb/x.mp4,wave\na.mp4,jump\na.mp4,jump\n")
    assert read_classes(tmp_path / "labels.csv") == ({"b/x": 1, "a": 0}, ["jump", "wave"])
    read("video,label\na.mp4,wave\na.mp4,jump\n")
    with pytest.raises(DataError, match=r"csv:3: expected one label of a\.mp4, found 'jump' beside 'wave'"):
        read_classes(tmp_path / "labels.csv")
