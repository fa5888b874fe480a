"""Test sets of motion capture: what is in them, one set for one seed, resuming, and what is refused."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from hybrid.config.datasets import MocapConfig
from hybrid.data.sample import read_samples
from hybrid.datasets.mocap import list_captures, make_clips, prepare_mocap, told
from hybrid.errors import ConfigError, DataError
from skeleton.errors import FormatError
from skeleton.events.limb_event import LimbEvent, load_events
from skeleton.formats.mocap import read_captures
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton
from tests.skeleton.formats.bvh_files import walk

COCO = {name: place for place, name in enumerate(get_layout("coco17").joints)}


def detect(skeleton):
    """Stands in for kinematics: the left arm is raised where its wrist is above the shoulder."""
    at = {name: skeleton.keypoints[0, :, i] for i, name in enumerate(get_layout(skeleton.layout).joints)}
    up = np.flatnonzero(at["left_wrist"][:, 1] > at["left_shoulder"][:, 1] + 0.1)
    if not len(up):
        return []
    start, end = (round(float(skeleton.timestamps[row]), 2) for row in up[[0, -1]])
    return [LimbEvent(person=0, limb="left arm", movement="raise", direction="left", start=start, end=end)]


@pytest.fixture
def captures(tmp_path):
    """A folder of three captures that look along different directions."""
    folder = tmp_path / "captures"
    (folder / "deep").mkdir(parents=True)
    for name, yaw in (("one", 0), ("deep/two", 130), ("deep/three", -70)):
        (folder / f"{name}.bvh").write_text(walk(yaw=yaw, metres=4))
    return folder


def content(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in Path(folder).rglob("*") if path.is_file()}


def test_a_set(captures, tmp_path):
    config = MocapConfig(file=str(captures), output=str(tmp_path / "set"), views=4, balance=False)
    steps = []
    info = prepare_mocap(config, lambda done, total: steps.append((done, total)), detect)
    assert steps == [(1, 3), (2, 3), (3, 3)] and info["captures"] == 3 and info["clips"] == 12
    assert info["views"] == {"back": 3, "front": 3, "left": 3, "right": 3}
    assert info["events"] == {"arm raise": 12} and info["observable"] == 6  # to the left: front and back
    samples = list(read_samples(tmp_path / "set" / "test.jsonl"))
    assert len(samples) == info["splits"]["test"]["questions"] == info["all_questions"]["questions"] > 12
    asked = {sample.meta["view"] for sample in samples if sample.task == "direction"}
    assert asked == {"front", "back"} and all(sample.video is None for sample in samples)
    assert {sample.answer_text for sample in samples if sample.task == "limb"} == {"the left arm"}
    events = load_events(tmp_path / "set" / "truth" / "events.jsonl")
    assert set(events) == {Path(sample.skeleton).stem for sample in samples}
    for name, (event,) in events.items():
        estimate, truth = (Skeleton.load(tmp_path / "set" / kind / f"{name}.npz") for kind in ("skeletons", "truth"))
        assert (estimate.layout, estimate.frame_size, truth.layout) == ("coco17", (480, 640), "smpl22")
        assert estimate.source["view"] == name.rpartition("_")[2] and event.start == pytest.approx(2.03, abs=0.02)
        assert event.observable == (estimate.source["view"] in ("front", "back"))
        assert truth.keypoints[truth.visible][:, 1].min() == pytest.approx(0, abs=0.02)
        np.testing.assert_allclose(truth.keypoints[0, 0, 1:3].mean(0)[[0, 2]], 0, atol=1e-6)
        assert truth.source["metres_per_unit"] == 0.01
    assert {name.rpartition("_")[0] for name in events} == {"one_000", "deep-two_000", "deep-three_000"}
    tasks = info["all_questions"]["tasks"]
    assert tasks["direction"] == 6 and sum(tasks.values()) == len(samples)
    pairs = {(sample.meta["clip"], sample.task) for sample in samples}
    assert info["all_questions"]["tasks_per_clip"] == pytest.approx(len(pairs) / 12, abs=1e-3)
    assert told(info, config)[0] == "3 captures, 0 left out, 12 clips"


def test_zero_times_is_no_answer_where_the_view_cannot_tell(tmp_path):
    """A right arm that does not punch: seen from the front, hidden from behind."""
    (tmp_path / "a.bvh").write_text(walk(60))
    punch = LimbEvent(person=0, limb="left arm", movement="punch", start=0.2, end=1.2, count=2)
    zeros = {"front": 0, "back": 0}
    for view in zeros:
        for seed in range(60):
            config = MocapConfig(file=str(tmp_path / "a.bvh"), output=str(tmp_path / "set"), view=view, seed=seed)
            (clip,) = make_clips(config, list_captures(config)[0][0], lambda skeleton: [punch])
            asked = [question["text"] for question in clip["questions"] if question["answer"] == "0"]
            assert len(asked) == 1 and "head" not in asked[0]
            zeros[view] += "punch" in asked[0]
    assert zeros["front"] >= 3 and zeros["back"] == 0


def test_seed_and_name_decide_and_a_finished_set_is_only_read(captures, tmp_path):
    config = MocapConfig(file=str(captures), output=str(tmp_path / "one"))
    info, calls = prepare_mocap(config, detect=detect), []
    files = (tmp_path / "one" / "skeletons").glob("*.npz")
    assert len({Skeleton.load(file).source["camera"]["elevation"] for file in files}) == 3  # each clip draws its own
    assert prepare_mocap(config, lambda *step: calls.append(step), detect) == info and not calls
    (captures / "deep" / "two.bvh").rename(captures / "aaa.bvh")  # another place in the order, another name
    again = replace(config, output=str(tmp_path / "two"))
    prepare_mocap(again, detect=detect)
    first, second = (content(tmp_path / name) for name in ("one", "two"))
    assert not any(".parts" in name for name in first)
    same = [name for name in first if "/one_000" in name or "/deep-three_000" in name]
    assert len(same) == 4 and all(first[name] == second[name] for name in same)
    prepare_mocap(replace(again, output=str(tmp_path / "three"), seed=1), detect=detect)
    third = content(tmp_path / "three")
    assert len(third) == len(second) and not any(third.get(name) == first[name] for name in same)
    with pytest.raises(DataError, match=r"made with \{'seed': 2\}, found \{'seed': 0\}: choose another output"):
        prepare_mocap(replace(again, seed=2), detect=detect)
    (captures / "new.bvh").write_text(walk())
    with pytest.raises(DataError, match=r"made with \{'input': '\w+'\}"):
        prepare_mocap(again, detect=detect)


def test_an_interrupted_run_goes_on(captures, tmp_path):
    whole = MocapConfig(file=str(captures), output=str(tmp_path / "whole"))
    prepare_mocap(whole, detect=detect)
    calls = []

    def dies(skeleton):
        calls.append(skeleton)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return detect(skeleton)

    config = replace(whole, output=str(tmp_path / "cut"))
    with pytest.raises(KeyboardInterrupt):
        prepare_mocap(config, detect=dies)
    assert not (tmp_path / "cut" / "info.json").exists()
    prepare_mocap(config, detect=dies)
    assert len(calls) == 4  # only what was missing
    assert content(tmp_path / "cut") == content(tmp_path / "whole")


def test_bad_captures_are_set_aside_and_tried_again(captures, tmp_path):
    good = (captures / "one.bvh").read_text()
    (captures / "one.bvh").write_text(good[:-40])
    config = MocapConfig(file=str(captures), output=str(tmp_path / "set"))
    info = prepare_mocap(config, detect=detect)
    assert (info["captures"], info["left_out"], info["clips"]) == (3, 1, 2)
    (line,) = (tmp_path / "set" / "failures.jsonl").read_text().splitlines()
    assert json.loads(line)["capture"] == "one" and "one.bvh, line" in json.loads(line)["reason"]
    assert told(info, config)[-1] == f"reasons in {tmp_path / 'set' / 'failures.jsonl'}"
    (captures / "one.bvh").write_text(good)
    calls = []
    again = prepare_mocap(config, detect=lambda skeleton: calls.append(skeleton) or detect(skeleton))
    assert len(calls) == 1  # of those that were good, nothing is made again
    assert (again["left_out"], again["clips"]) == (0, 3) and not (tmp_path / "set" / "failures.jsonl").exists()
    prepare_mocap(fresh := replace(config, output=str(tmp_path / "fresh")), detect=detect)
    assert content(tmp_path / "set") == content(Path(fresh.output))


def test_input_that_cannot_be_used(captures, tmp_path):
    def refused(message, error=DataError, **keys):
        with pytest.raises(error, match=message):
            prepare_mocap(MocapConfig(output=str(tmp_path / "set"), **keys), detect=detect)

    refused("expected an .npz, a .bvh or a folder of .bvh at file=.*gone, found none", file=str(tmp_path / "gone"))
    refused(
        "expected an .npz of motion capture at .*a.npz, found no such file", FormatError, file=str(tmp_path / "a.npz")
    )
    (captures / "deep-two.bvh").write_text(walk())
    refused("expected captures of different names in .*, found 'deep-two' twice", file=str(captures))
    (tmp_path / "bad.bvh").write_text("HIERARCHY")
    refused(
        r"expected captures that can be used, found none; the first of 1: .*bad.bvh, line 1",
        file=str(tmp_path / "bad.bvh"),
    )


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"views": 0}, "expected views in 1..4, found 0"),
        ({"views": 2, "view": "left"}, "expected views=1 beside view=left, found views=2"),
        ({"seconds": 0.5}, "expected seconds in 1..600, found 0.5"),
        ({"fps": 2.0}, "expected fps in 5..120, found 2"),
        ({"frame_size": [480]}, r"expected frame_size=\[height, width\]"),
        ({"swap": 0.6}, "expected swap in 0..0.5, found 0.6"),
        ({"metres_per_unit": -1.0}, "expected metres_per_unit above 0, found -1"),
    ],
)
def test_config_errors(keys, message):
    with pytest.raises(ConfigError, match=message):
        MocapConfig(file="a", output="b", **keys).check()


def test_real_captures(shared, tmp_path):
    """Bandai-Namco's: whoever raises the left hand is found to raise the left one, on the right side of the picture."""
    file = shared / "data/skeletons/bandai_namco.npz"
    if not file.is_file():
        pytest.skip(f"{file.name} is not on this machine")
    found = read_captures(file)
    chosen = [
        clip
        for clip in found.clips
        if clip[0].endswith(("left-hand_normal_001", "both-hands_normal_001", "walk_normal_001"))
    ]
    motions = [load() for *_, load in chosen]
    np.savez(
        tmp_path / "a.npz", xyz=np.concatenate([motion.positions for motion in motions]),
        offset=np.cumsum([0, *(len(motion.positions) for motion in motions)]), name=[name for name, *_ in chosen],
        content=[content for _, content, _ in chosen], joint_names=motions[0].names, parents=motions[0].parents,
    )  # fmt: skip
    info = prepare_mocap(
        MocapConfig(file=str(tmp_path / "a.npz"), output=str(tmp_path / "set"), view="front"), detect=detect
    )
    assert found.up() == "y" and len(found.clips) == 639 and info["left_out"] == 0 and info["clips"] == len(chosen) >= 5
    raised = {name for name, events in load_events(tmp_path / "set/truth/events.jsonl").items() if events}
    assert raised == {f"{name}_000_front" for name, *_ in chosen if "hand" in name}
    for path in sorted((tmp_path / "set/skeletons").glob("*.npz")):
        estimate, truth = Skeleton.load(path), Skeleton.load(tmp_path / "set/truth" / path.name)
        assert estimate.source["metres_per_unit"] == 0.001 and estimate.visible[0, :, 5:].mean() > 0.7
        points = estimate.keypoints[0, :40]  # a burst of exchanged sides is shorter
        assert np.median(points[:, COCO["left_shoulder"], 0] - points[:, COCO["right_shoulder"], 0]) > 0
        hips = truth.keypoints[0, :, 1:3].mean(1)
        assert 0.7 < np.median(hips[:, 1]) < 1.1 and np.abs(hips[0, [0, 2]]).max() < 1e-5
