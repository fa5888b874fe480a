"""Persons from other programs' files through our tracker: frames, identities, files that do not fit."""

import json
from pathlib import Path

import numpy as np
import pytest

from hybrid.config.extraction import ExtractConfig
from hybrid.config.loading import load_config
from hybrid.runs.extraction import extract_videos
from skeleton.errors import ExtractionError
from skeleton.extraction.pipeline import Extractor, Settings
from skeleton.extraction.stored import Stored, stored_file
from skeleton.record import Skeleton
from skeleton.video import write_video

FRAMES = 6


def walkers(folder, frames=FRAMES):
    """OpenPose's files of two persons who walk towards each other; nobody in the last frame."""
    folder.mkdir(parents=True)
    shape = np.stack([np.linspace(0, 12, 25), np.linspace(0, 60, 25), np.full(25, 0.8)], 1)
    for t in range(frames):
        people = [shape + np.array([x, 20, 0]) for x in (10 + 2 * t, 120 - 2 * t)] if t < frames - 1 else []
        entries = [
            {"person_id": [-1], "pose_keypoints_2d": person.ravel().tolist()} for person in people[:: 1 - 2 * (t % 2)]
        ]
        (folder / f"a_{t:012d}_keypoints.json").write_text(json.dumps({"people": entries}))


@pytest.fixture
def video(tmp_path):
    (tmp_path / "videos").mkdir()
    write_video(tmp_path / "videos/a.mp4", [np.zeros((120, 160, 3), np.uint8)] * FRAMES, fps=5)
    return tmp_path / "videos/a.mp4"


def test_persons_are_linked_on_the_clock_of_the_video(video, tmp_path):
    walkers(tmp_path / "poses/a")
    config = [f"videos={video.parent}", f"output={tmp_path / 'out'}", f"stored.path={tmp_path / 'poses'}", "device=cpu"]
    assert extract_videos(load_config(ExtractConfig, config)).extracted == 1
    record = Skeleton.load(tmp_path / "out/a.npz")
    assert record.layout == "openpose25"
    np.testing.assert_allclose(record.timestamps, np.arange(FRAMES) / 5, atol=1e-4)
    assert record.num_persons == 2
    assert record.visible.any(-1).tolist() == [[True] * 5 + [False]] * 2
    first = sorted(record.keypoints[:, :5, 0, 0].tolist())
    np.testing.assert_allclose(first, [10 + 2 * np.arange(5), 120 - 2 * np.arange(5)], atol=1e-3)
    assert record.source["extractor"] == "stored: openpose"
    assert record.source["file"] == "a"


def test_a_shorter_file_leaves_rows_without_anybody_and_a_longer_one_is_refused(video, tmp_path):
    walkers(tmp_path / "short", 4)
    record = Extractor(Stored(tmp_path / "short", "openpose"), Settings(), {}).extract(video)
    assert record.visible.any((0, 2)).tolist() == [True] * 3 + [False] * 3
    walkers(tmp_path / "long", FRAMES + 1)
    with pytest.raises(ExtractionError, match="found 7 frames in it and 6 in the video"):
        Extractor(Stored(tmp_path / "long", "openpose"), Settings(), {}).extract(video)


def test_missing_files_are_a_reason(video, tmp_path):
    config = [f"videos={video}", f"output={tmp_path / 'out'}", f"stored.path={tmp_path / 'poses'}", "device=cpu"]
    summary = extract_videos(load_config(ExtractConfig, config))
    assert "expected the persons of a.mp4 at" in summary.failures[0]["reason"]
    with pytest.raises(ExtractionError, match="stored.format must be one of openpose, alphapose, coco, found 'csv'"):
        Stored(tmp_path, "csv")


def test_files_are_found_below_the_folder(tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/b.json").touch()
    assert stored_file(tmp_path, Path("deep/b.mp4")) == tmp_path / "deep/b.json"
