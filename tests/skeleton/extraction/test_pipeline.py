"""The streaming pipeline with stand-in networks: rows, persons, what is dropped, what the source says."""

import numpy as np
import pytest

from skeleton.errors import ExtractionError, VideoError
from skeleton.extraction import pipeline
from skeleton.extraction.overlay import draw, person_colour, write_overlay
from skeleton.extraction.persons import Detections
from skeleton.extraction.pipeline import Extractor, Settings
from skeleton.extraction.topdown import TopDown
from skeleton.video import read_frames, write_video

HEIGHT, WIDTH = 96, 160


class BrightBoxes:
    """Detects the bright rectangles that `frames_of` paints: one box for each brightness above 100."""

    def __call__(self, frames):
        self.most = max(getattr(self, "most", 0), len(frames))
        return [self.find(frame[..., 0]) for frame in frames]

    def find(self, plane):
        boxes = []
        for level in (130, 170, 210, 250):
            ys, xs = np.nonzero(np.abs(plane.astype(int) - level) < 12)
            if len(ys) > 50:
                boxes.append([xs.min(), ys.min(), xs.max() + 1, ys.max() + 1])
        return Detections(np.array(boxes, np.float32).reshape(-1, 4), np.full(len(boxes), 0.9, np.float32))


class Grid:
    """Puts 17 joints on a grid in each box; the last one is never sure, and none is where it is dark."""

    layout = "coco17"

    def __call__(self, frames, boxes):
        steps = np.stack([np.linspace(0.1, 0.9, 17), np.linspace(0.9, 0.1, 17)], 1)
        found = []
        for frame, some in zip(frames, boxes, strict=True):
            points = some[:, None, :2] + steps * (some[:, None, 2:] - some[:, None, :2])
            confidence = np.full((len(some), 17), 0.8)
            confidence[:, 16] = 0.1
            middles = ((some[:, :2] + some[:, 2:]) / 2).astype(int)
            confidence[[frame[y, x, 0] < 100 for x, y in middles]] = 0.0
            found.append((points.astype(np.float32), confidence.astype(np.float32)))
        return found


def frames_of(rows):
    """Frames with one rectangle 24 x 60 for each (brightness, x) in a row."""
    for row in rows:
        image = np.full((HEIGHT, WIDTH, 3), 20, np.uint8)
        for level, x in row:
            image[20:80, x : x + 24] = level
        yield image


def extractor(**settings):
    settings = Settings(**settings)
    source = TopDown(BrightBoxes(), Grid(), every=settings.every, window=4)
    return Extractor(source, settings, {"extractor": "stand-in"})


@pytest.fixture
def clip(tmp_path):
    rows = [[(130, 10 + t), (250, 110 - t)] if 5 <= t < 20 else [] for t in range(25)]
    rows[22] = [(170, 136)]
    write_video(tmp_path / "clip.mp4", frames_of(rows), fps=10)
    return tmp_path / "clip.mp4"


def test_one_row_for_each_frame_and_stable_ids(clip):
    heard = []
    runner = extractor()
    skeleton = runner.extract(clip, lambda: heard.append(1))
    assert skeleton.num_frames == 25
    np.testing.assert_allclose(skeleton.timestamps, np.arange(25) / 10, atol=1e-4)
    assert skeleton.track_ids.tolist() == [1, 2]
    present = skeleton.visible.any(-1)
    expected = np.zeros((2, 25), bool)
    expected[:, 5:20] = True
    np.testing.assert_array_equal(present, expected)
    assert skeleton.frame_size == (HEIGHT, WIDTH)
    assert len(heard) == 25
    assert runner.persons.detector.most == 4


def test_threshold_decides_visible_and_stands_in_the_source(clip):
    skeleton = extractor().extract(clip)
    assert skeleton.visible[0, 10].tolist() == [True] * 16 + [False]
    assert skeleton.source["video"] == "clip.mp4"
    assert len(skeleton.source["sha256"]) == 64
    assert extractor(confidence_threshold=0.05).extract(clip).visible[0, 10].all()


def test_brief_persons_are_dropped_and_listed(clip):
    skeleton = extractor(min_rows=3).extract(clip)
    listed = skeleton.source["dropped_persons"]
    assert listed == [{"track_id": 3, "reason": "seen too briefly", "rows": 1, "start": 2.2, "end": 2.2}]
    assert extractor(min_rows=1).extract(clip).track_ids.tolist() == [1, 2, 3]


def test_persons_beyond_the_limit_are_listed(clip):
    skeleton = extractor(max_persons=1).extract(clip)
    assert skeleton.track_ids.tolist() == [1]
    reasons = {entry["track_id"]: entry["reason"] for entry in skeleton.source["dropped_persons"]}
    assert reasons == {2: "beyond max_persons", 3: "seen too briefly"}


def test_nobody_is_a_record_of_invisible_rows(tmp_path):
    write_video(tmp_path / "nobody.mp4", frames_of([[]] * 7), fps=10)
    skeleton = extractor().extract(tmp_path / "nobody.mp4")
    assert (skeleton.num_persons, skeleton.num_frames) == (0, 7)
    assert not skeleton.visible.any()


def test_sampling_rate(clip):
    skeleton = extractor(fps=5).extract(clip)
    np.testing.assert_allclose(skeleton.timestamps, np.arange(13) / 5, atol=1e-4)


def test_same_video_gives_the_same_bytes(clip, tmp_path):
    for name in ("a.npz", "b.npz"):
        extractor().extract(clip).save(tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_bad_video(tmp_path):
    (tmp_path / "bad.mp4").write_text("no video")
    with pytest.raises(VideoError, match="is not a readable video"):
        extractor().extract(tmp_path / "bad.mp4")


def test_a_picture_that_changes_its_size_is_refused(tmp_path, monkeypatch):
    write_video(tmp_path / "clip.mp4", frames_of([[]] * 3), fps=10)
    sizes = [(0.0, np.zeros((96, 160, 3), np.uint8)), (0.1, np.zeros((48, 80, 3), np.uint8))]
    monkeypatch.setattr(pipeline, "read_frames", lambda *_: iter(sizes))
    with pytest.raises(
        ExtractionError, match=r"must have one size, found \(96, 160\) and then \(48, 80\); split it there"
    ):
        extractor().extract(tmp_path / "clip.mp4")


def test_overlay_draws_persons_where_they_are(clip, tmp_path):
    skeleton = extractor().extract(clip)
    image = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    assert not draw(image, skeleton, 0).any(), "nobody there, nothing drawn"
    drawn = draw(image, skeleton, 10)
    assert not image.any(), "the frame itself is untouched"
    joint = skeleton.keypoints[0, 10, 0].round().astype(int)
    assert drawn[joint[1], joint[0]].any()
    hidden = skeleton.keypoints[0, 10, 16].round().astype(int)
    assert tuple(drawn[hidden[1], hidden[0]]) != person_colour(1)
    write_overlay(clip, skeleton, tmp_path / "overlay.mp4")
    frames = list(read_frames(tmp_path / "overlay.mp4"))
    np.testing.assert_allclose([time for time, _ in frames], skeleton.timestamps, atol=1e-4)


def test_overlay_of_another_video_is_refused(clip, tmp_path):
    write_video(tmp_path / "other.mp4", frames_of([[]] * 25), fps=8)
    with pytest.raises(ExtractionError, match=r"the record must come from .*other\.mp4, found another clock or size"):
        write_overlay(tmp_path / "other.mp4", extractor().extract(clip), tmp_path / "overlay.mp4")
    write_video(tmp_path / "short.mp4", frames_of([[]] * 20), fps=10)
    with pytest.raises(ExtractionError, match=r"the record has 25 rows, .*short\.mp4 has 20 frames"):
        write_overlay(tmp_path / "short.mp4", extractor().extract(clip), tmp_path / "overlay.mp4")
