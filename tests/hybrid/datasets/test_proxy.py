"""Proxy tasks: what is asked of whom and in which clock, videos kept apart, one set for one seed, what is refused."""

import hashlib
import json
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hybrid.config.datasets import PrepareConfig, ProxyConfig
from hybrid.config.instruction import DataConfig
from hybrid.data.clips import ClipReader, group_clips
from hybrid.data.prompt import answer_text
from hybrid.data.sample import read_samples
from hybrid.datasets import proxy_windows
from hybrid.datasets.marionette.dataset import clip_generator, make_scene, skeletons
from hybrid.datasets.proxy import make_window, prepare_proxy, told
from hybrid.datasets.proxy_windows import windows
from hybrid.errors import ConfigError, DataError
from skeleton.events.kinematics import measure
from skeleton.language.pose_descriptions import poses, states
from skeleton.language.pose_questions import DIFFERENCE, POSE
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton
from tests.skeleton.figures import figure, record

COCO = get_layout("coco17")


def lifts(first, last):
    """A left arm that is overhead between two seconds and hangs before and after."""
    way = 0.5

    def pose(time):
        return {"left": (float(np.interp(time, [first - way, first, last, last + way], [5, 170, 170, 5])), 0)}

    return pose


@pytest.fixture
def videos(tmp_path):
    """Records of three videos: one person for 20 s, two for 5 s, and the first again under another name."""
    (tmp_path / "records/deep").mkdir(parents=True)
    long = record(figure(lifts(9.5, 11.5), seconds=20), video="long.mp4", sha256="a")
    two = [figure(lifts(1.5, 3), seconds=5, x=150), figure(seconds=5, x=450)]
    long.save(tmp_path / "records/long.npz")
    replace(long, source={"video": "copy.mp4", "sha256": "a"}).save(tmp_path / "records/copy.npz")
    record(*two, video="two.mp4", sha256="b").save(tmp_path / "records/deep/two.npz")
    (tmp_path / "records/deep/two.mp4").write_bytes(b"a video")
    return ProxyConfig(skeletons=str(tmp_path / "records"), output=str(tmp_path / "set"), balance=False)


def samples_of(config, split="train"):
    path = Path(config.output) / f"{split}.jsonl"
    return read_samples(path) if path.is_file() else []


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_a_set(videos):
    steps = []
    info = prepare_proxy(videos, lambda done, total: steps.append((done, total)))
    assert steps == [(1, 3), (2, 3), (3, 3)] and (info["records"], info["left_out"], info["windows"]) == (3, 0, 7)
    assert info["persons"] == {"there": 8, "kept": 8} and info["with_video"] == 1 and info["dropped"] == {}
    every = samples_of(videos) + samples_of(videos, "val")
    tasks = Counter(sample.task for sample in every)
    known = {split: {task: n for task, n in part["tasks"].items() if n} for split, part in info["splits"].items()}
    assert Counter(known["train"]) + Counter(known["val"]) == tasks
    assert {POSE, DIFFERENCE, "limb", "posture", "interval"} <= set(tasks)
    assert all(sample.group is None and sample.person in (3, 4) for sample in every)
    two = [sample for sample in every if sample.meta["clip"] == "deep/two_000"]
    assert all(re.search("the person on the (left|right)", sample.question) for sample in two)
    assert all(sample.meta["binding"] for sample in two)
    assert {sample.video for sample in two} == {str(Path(videos.skeletons).resolve() / "deep/two.mp4")}
    alone = [sample for sample in every if sample not in two]
    assert {sample.video for sample in alone} == {None} and not any("on the" in sample.question for sample in alone)
    limbs = {sample.answer_text for sample in every if sample.task == "limb"}
    assert limbs == {"the left arm"}
    assert told(info, videos)[0] == "3 records, 0 left out; 7 windows, 1 with video"
    assert told(info, videos)[-1].startswith("videos of 1 of 3 records found; give the folder")
    assert sum(sample.task == "caption" for sample in samples_of(videos)) >= 1
    assert not any(sample.task == "caption" for sample in samples_of(videos, "val"))


def test_the_clock(videos):
    """Texts count from the window's start; start, end, intervals and `second` are the video's."""
    prepare_proxy(videos)
    every = samples_of(videos) + samples_of(videos, "val")
    middle = [sample for sample in every if sample.meta["clip"] in ("long_001", "copy_001")]
    assert {(sample.start, sample.end) for sample in middle} == {(6.667, 13.333)}
    (interval,) = {sample.answer for sample in middle if sample.task == "interval"}
    assert 8.5 < interval[0] < 9.8 and 11.2 < interval[1] < 12.5
    asked = next(sample for sample in middle if sample.task == "interval")
    assert answer_text(asked, "letter") == "{:.1f} to {:.1f}".format(*(second - 6.667 for second in interval))
    reader = ClipReader(DataConfig(pose_fps=20.0), "coco17")
    wrist, shoulder = COCO.index("left_wrist"), COCO.index("left_shoulder")
    checked = 0
    for sample in middle:
        (clip,) = group_clips([sample])
        body = reader.skeleton(clip)
        lifted = body.keypoints[0, :, wrist, 1] < body.keypoints[0, :, shoulder, 1]
        found = re.match(r"Describe the pose of the person at ([\d.]+) s", sample.question)
        if found:
            row = int(np.abs(body.timestamps - float(found[1])).argmin())
            for words, high in (("the left upper arm raised overhead", True), ("both upper arms hanging", False)):
                assert words not in sample.answer or lifted[row] == high
                checked += words in sample.answer
        if sample.task == DIFFERENCE:
            text = f"{sample.question} {sample.answer_text}"
            moments = [float(moment) for moment in re.findall(r"([\d.]+) s", text)]
            assert sample.second.skeleton == sample.skeleton
            first, last = (second - sample.start for second in (sample.second.start, sample.second.end))
            assert any(first <= moment <= last for moment in moments) and -1e-6 <= first < last <= 6.667
            checked += 1
    assert checked >= 2


def test_videos_are_kept_apart_for_validation(videos):
    for seed in range(4):
        config = replace(videos, seed=seed, output=f"{videos.output}{seed}", val_share=0.5)
        info = prepare_proxy(config)
        sides = [{sample.meta["clip"][:-4] for sample in samples_of(config, split)} for split in ("train", "val")]
        assert sorted(map(sorted, sides)) == [["copy", "long"], ["deep/two"]]  # equal files are one video
        assert [info["splits"][split]["videos"] for split in ("train", "val")] == [1, 1]
    none = prepare_proxy(replace(videos, output=f"{videos.output}n", val_share=0.0))
    assert none["splits"]["val"]["questions"] == 0 and not Path(f"{videos.output}n/val.jsonl").exists()


def test_balanced_answers(videos):
    config = replace(videos, balance=True)
    info = prepare_proxy(config)
    kept, found = info["splits"], info["all_questions"]
    assert kept["train"]["questions"] + kept["val"]["questions"] < found["questions"]
    assert kept["train"]["tasks"]["limb"] == 0  # always the left arm: known without looking


def test_seed_and_records_decide(videos):
    info, calls = prepare_proxy(videos), []
    assert prepare_proxy(videos, lambda *step: calls.append(step)) == info and not calls
    again = replace(videos, output=f"{videos.output}2")
    prepare_proxy(again)
    first, second = content(videos.output), content(again.output)
    assert first == second and sorted(first) == ["info.json", "train.jsonl", "val.jsonl"]
    other = replace(videos, output=f"{videos.output}3", seed=1)
    prepare_proxy(other)
    assert content(other.output)["train.jsonl"] != first["train.jsonl"]
    with pytest.raises(DataError, match=r"made with \{'seed': 2\}, found \{'seed': 0\}: choose another output"):
        prepare_proxy(replace(videos, seed=2))
    record(figure(seconds=4)).save(Path(videos.skeletons) / "new.npz")
    with pytest.raises(DataError, match=r"made with \{'input': '\w+'\}"):
        prepare_proxy(videos)


def test_an_interrupted_run_goes_on(videos, monkeypatch):
    prepare_proxy(whole := replace(videos, output=f"{videos.output}w"))
    real, calls = proxy_windows.detect_events, []

    def dies(*given, **named):
        calls.append(given)
        if len(calls) == 5:
            raise KeyboardInterrupt
        return real(*given, **named)

    monkeypatch.setattr(proxy_windows, "detect_events", dies)
    with pytest.raises(KeyboardInterrupt):
        prepare_proxy(videos)
    assert not (Path(videos.output) / "info.json").exists()
    prepare_proxy(videos)
    assert len(calls) == 8  # three and one window of the records that were done, and the last record's again
    assert content(videos.output) == content(whole.output)


def test_bad_records_are_set_aside_and_tried_again(videos):
    broken = Path(videos.skeletons) / "deep/two.npz"
    good = broken.read_bytes()
    broken.write_bytes(good[:200])
    record(figure(seconds=0.5)).save(Path(videos.skeletons) / "short.npz")
    flat = record(figure(seconds=4))
    solid = replace(flat, keypoints=np.concatenate([flat.keypoints, flat.keypoints[..., :1]], axis=-1))
    solid.save(Path(videos.skeletons) / "solid.npz")
    info = prepare_proxy(videos)
    lines = (Path(videos.output) / "failures.jsonl").read_text().splitlines()
    reasons = {line["record"]: line["reason"] for line in map(json.loads, lines)}
    assert set(reasons) == {"deep/two.npz", "short.npz", "solid.npz"} and info["left_out"] == 3 and info["windows"] == 6
    assert reasons["short.npz"].startswith("expected at least three rows and 1 s, found 10 rows, 0.50 s")
    assert reasons["solid.npz"].startswith("expected a record in pixels, found one in metres")
    assert told(info, videos)[-1] == f"reasons in {Path(videos.output) / 'failures.jsonl'}"
    assert prepare_proxy(videos)["left_out"] == 3  # tried again
    with pytest.raises(DataError, match=r"expected records that can be used, found none; the first of 1: "):
        prepare_proxy(replace(videos, skeletons=str(broken.parent), output=f"{videos.output}2"))


def test_videos_are_found_below_their_folder(videos, tmp_path):
    (tmp_path / "videos/deep").mkdir(parents=True)
    for name in ("long.mp4", "deep/two.mp4"):
        (tmp_path / "videos" / name).write_bytes(b"a video")
    config = replace(videos, videos=str(tmp_path / "videos"))
    info = prepare_proxy(config)
    assert (info["with_video"], info["windows"], info["left_out"]) == (4, 4, 1)
    assert told(info, config)[-2] == "videos of 2 of 3 records found"
    (line,) = (Path(videos.output) / "failures.jsonl").read_text().splitlines()
    assert re.match(r"expected the video of .*copy.npz below .*videos, found no copy.mp4", json.loads(line)["reason"])
    every = samples_of(config) + samples_of(config, "val")
    assert {Path(sample.video).relative_to(tmp_path).as_posix() for sample in every} == {
        "videos/long.mp4", "videos/deep/two.mp4",
    }  # fmt: skip


def test_videos_are_found_near_the_records(videos, tmp_path):
    """As `videos=my/videos output=my/skeletons` of tools/extract.py leaves them: a name is no proof, the hash is."""
    home = tmp_path / "my project [1]"
    records = home / "out/skeletons"
    (records / "deep").mkdir(parents=True)
    for place, name, content in (
        ("videos/deep", "two.mp4", b"two"), ("other", "long.mp4", b"another"), ("videos", "long.mp4", b"long"),
        ("out", "here.mp4", b"here"), ("videos", "lost.mp4", b"changed since"), ("videos", "bare.mp4", b"bare"),
    ):  # fmt: skip
        (home / place).mkdir(parents=True, exist_ok=True)
        (home / place / name).write_bytes(content)
    body = figure(lifts(1.5, 3), seconds=5)
    for inside, content in (("deep/two", b"two"), ("long", b"long"), ("here", b"here"), ("lost", b"as it was")):
        told_of = {"video": f"{Path(inside).name}.mp4", "sha256": hashlib.sha256(content).hexdigest()}
        record(body, **told_of).save(records / f"{inside}.npz")
    record(body, video="bare.mp4").save(records / "bare.npz")
    config = replace(videos, skeletons=str(records), output=str(home / "set"))
    info = prepare_proxy(config)
    found = {sample.meta["clip"]: sample.video for sample in samples_of(config) + samples_of(config, "val")}
    assert {clip: video and Path(video).relative_to(home.resolve()).as_posix() for clip, video in found.items()} == {
        "deep/two_000": "videos/deep/two.mp4", "long_000": "videos/long.mp4", "here_000": "out/here.mp4",
        "lost_000": None, "bare_000": None,
    }  # fmt: skip
    assert told(info, config)[-1] == (
        "videos of 3 of 5 records found; give the folder of the others as videos=, or train on poses alone"
    )


def test_what_is_refused(videos, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match=r"expected records \(.npz\) at skeletons=.*empty, found none: extract"):
        prepare_proxy(replace(videos, skeletons=str(tmp_path / "empty")))
    hidden = record(figure(seconds=4), visible=np.zeros((1, 80, 17), bool))
    hidden.save(tmp_path / "empty/nobody.npz")
    with pytest.raises(DataError, match="expected questions for training, found none in 1 windows of 1 videos"):
        prepare_proxy(replace(videos, skeletons=str(tmp_path / "empty")))
    for change, message in (
        ({"seconds": 1.0}, r"expected seconds in 2..60, found 1.0"),
        ({"max_persons": 0}, r"expected max_persons in 1..10"),
        ({"val_share": 1.0}, r"expected val_share from 0 to below 1, found 1.0"),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=message):
            replace(videos, **change).check()


def test_no_posture_and_no_zero_without_joints(tmp_path):
    visible = np.ones((1, 80, 17), bool)
    visible[:, :, [COCO.index(f"{side}_{part}") for side in ("left", "right") for part in ("knee", "ankle")]] = False
    (tmp_path / "records").mkdir()
    for number in range(12):
        record(figure(lifts(1.5, 3)), visible=visible).save(tmp_path / f"records/{number}.npz")
    config = ProxyConfig(skeletons=str(tmp_path / "records"), output=str(tmp_path / "set"), balance=False)
    prepare_proxy(config)
    every = samples_of(config)
    assert {"limb", "interval", POSE} <= {sample.task for sample in every}
    texts = " ".join(f"{sample.question} {sample.answer_text}" for sample in every)
    assert "posture" not in texts and "standing" not in texts and "knee" not in texts
    assert not any("leg" in sample.question for sample in every if sample.task == "count")


def test_a_question_of_one_of_two_is_binding():
    """Also where the other is not asked about."""
    (window,) = windows(record(figure(lifts(1.5, 3), x=400), figure(x=100) * 0.1), 8)
    told_of = make_window(window, ProxyConfig("", ""), lambda purpose: np.random.default_rng(0))
    assert (told_of["there"], told_of["kept"], told_of["dropped"]) == (2, 1, {"too small": 1})
    asked = [entry["question"] for entry in told_of["questions"]]
    assert len(asked) > 3 and all(one["binding"] and "the person on the right" in one["text"] for one in asked)


def test_words_of_noisy_estimates_agree_with_the_truth():
    config, told_of, right = PrepareConfig(output="", size=128), 0, 0
    for number in range(8):
        scene = make_scene(config, "test", number)
        noisy, true = skeletons(scene, clip_generator(0, "test", number, "noise"), "a")
        for row in range(noisy.num_persons):
            estimate, truth = measure(noisy, row), measure(true, row)
            if estimate is None or np.median(estimate.torso) < proxy_windows.SMALLEST_PX:
                continue
            columns = states(truth)
            for time, words in poses(estimate).items():
                at = int(np.abs(truth.times - time).argmin())
                known = [str(columns[aspect][at]) == word for aspect, word in words.items() if columns[aspect][at]]
                told_of, right = told_of + len(known), right + sum(known)
    assert told_of > 1500 and right / told_of > 0.99


def test_a_record_without_a_word_on_its_video_is_a_sample_without_video(tmp_path):
    (tmp_path / "records").mkdir()
    record(figure(lifts(1.5, 3))).save(tmp_path / "records/a.npz")
    config = ProxyConfig(skeletons=str(tmp_path / "records"), output=str(tmp_path / "set"), balance=False)
    assert prepare_proxy(config)["with_video"] == 0 and {sample.video for sample in samples_of(config)} == {None}
    assert Skeleton.load(samples_of(config)[0].skeleton).num_persons == 1
