"""Two dozen inputs that break other people's scripts, in one folder and one run: each gives a record or one sentence."""

import json
import os
import pickle
import wave
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from hybrid.config.extraction import ExtractConfig
from hybrid.config.loading import load_config
from hybrid.errors import ModelError
from hybrid.runs.extraction import extract_videos
from skeleton.record import Skeleton
from skeleton.video import VideoWriter, write_video
from tests.tools.extraction_models import frames, write_models


def extract(*arguments):
    return extract_videos(load_config(ExtractConfig, list(arguments)))


def transport_stream(path, count):
    """An MPEG transport stream, which may simply be joined to another one: its clock then runs back."""
    with av.open(str(path), "w", format="mpegts") as container:
        stream = container.add_stream("libx264", rate=Fraction(10))
        stream.width, stream.height, stream.pix_fmt = 64, 64, "yuv420p"
        for image in frames(count):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(image, format="rgb24")))
        container.mux(stream.encode(None))


def turned(path, upright):
    """The video at `path` as a phone held on its side writes it: the display matrix in the header is changed."""
    content = bytearray(path.read_bytes())
    place = content.index(b"tkhd") + 4 + 40
    matrix = np.array([0, 1 << 16, 0, -(1 << 16), 0, 0, 0, 0, 1 << 30], ">i4").tobytes()
    content[place : place + 36] = matrix
    upright.write_bytes(bytes(content))


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    write_video(folder / "good.mp4", frames(12), fps=10)
    whole = (folder / "good.mp4").read_bytes()
    (folder / "empty.mp4").touch()
    (folder / "truncated.mp4").write_bytes(whole[: len(whole) // 2])
    (folder / "damaged.mp4").write_bytes(whole[:400] + bytes(len(whole) - 400))
    (folder / "text.mp4").write_text("this is no video\n")
    (folder / "page.avi").write_text("<html>404 not found</html>")
    (folder / "zip.mkv").write_bytes(b"PK\x03\x04" + bytes(200))
    (folder / "pickle.mov").write_bytes(pickle.dumps(Intruder(folder / "ran")))
    (folder / "folder.mp4").mkdir()
    (folder / "dangling.mp4").symlink_to(folder / "nowhere.mp4")
    with wave.open(str(folder / "sound.avi"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(800))
    write_video(folder / "one frame.mp4", frames(1), fps=10)
    with VideoWriter(folder / "uneven clock.mp4", fps=10) as writer:
        for image, seconds in zip(frames(5), (0.0, 0.1, 0.15, 0.5, 1.25), strict=True):
            writer.add(image, seconds)
    write_video(folder / "wide.mp4", frames(4, 48, 96), fps=10)
    turned(folder / "wide.mp4", folder / "turned.mp4")
    write_video(folder / "odd.mkv.mp4", frames(4, 51, 67), fps=10)
    write_video(folder / "tiny.mp4", frames(4, 16, 16), fps=10)
    write_video(folder / "4k.mp4", frames(3, 2160, 3840), fps=10)
    write_video(folder / "a name with spaces,\nnewlines, 'quotes' and ü.mp4", frames(3), fps=10)
    write_video(folder / ("long" * 60 + ".mp4"), frames(3), fps=10)
    cv2.imwrite(str(folder / "picture.png"), frames(1)[0])
    os.replace(folder / "picture.png", folder / "picture.mp4")
    for name, count in (("first.ts", 8), ("second.ts", 30)):
        transport_stream(folder / name, count)
    joined = (folder / "second.ts").read_bytes() + (folder / "first.ts").read_bytes()
    (folder / "first.ts").unlink(), (folder / "second.ts").unlink()
    (folder / "clock runs back.ts").write_bytes(joined)
    return folder


class Intruder:
    """Touches a file when unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_each_gives_a_record_or_one_sentence(inputs, tmp_path):
    models = write_models(tmp_path / "models")
    with pytest.warns(UserWarning, match="left out because their time does not increase"):
        summary = extract(f"videos={inputs}", f"output={tmp_path / 'out'}", *models)
    reasons = {failure["video"].rsplit("/", 1)[-1]: failure["reason"] for failure in summary.failures}
    assert all(reason and "\n" not in reason for reason in reasons.values()), reasons
    videos = [path.name for path in inputs.iterdir() if path.name != "ran"]
    assert len(videos) >= 20
    assert not (inputs / "ran").exists()
    good = [name for name in videos if name not in reasons]
    assert set(reasons) == {
        "empty.mp4", "truncated.mp4", "damaged.mp4", "text.mp4", "page.avi", "zip.mkv", "pickle.mov", "folder.mp4",
        "dangling.mp4", "sound.avi",
    }  # fmt: skip
    assert summary.extracted == len(good)
    records = {name: Skeleton.load((tmp_path / "out" / name).with_suffix(".npz")) for name in good}
    rows = {name: record.num_frames for name, record in records.items()}
    assert rows["one frame.mp4"] == rows["picture.mp4"] == 1
    assert rows["4k.mp4"] == 3
    assert rows["clock runs back.ts"] >= 30
    np.testing.assert_allclose(records["uneven clock.mp4"].timestamps, [0.0, 0.1, 0.15, 0.5, 1.25], atol=1e-4)
    assert records["wide.mp4"].frame_size == (48, 96)
    assert records["turned.mp4"].frame_size == (96, 48)
    assert records["odd.mkv.mp4"].frame_size == (50, 66)
    assert all(record.num_persons == 1 for record in records.values())
    lines = [json.loads(line) for line in (tmp_path / "out/index.jsonl").read_text().splitlines()]
    assert {line["video"] for line in lines} == set(good)


def test_forty_persons(tmp_path):
    write_video(tmp_path / "crowd.mp4", frames(5), fps=10)
    models = write_models(tmp_path, persons=40)
    extract(f"videos={tmp_path / 'crowd.mp4'}", f"output={tmp_path}", *models, "tracker.max_persons=32")
    record = Skeleton.load(tmp_path / "crowd.npz")
    dropped = record.source["dropped_persons"]
    assert record.num_persons + len(dropped) <= 40
    assert record.num_persons <= 32


def test_nobody(tmp_path):
    write_video(tmp_path / "empty.mp4", frames(5), fps=10)
    extract(f"videos={tmp_path / 'empty.mp4'}", f"output={tmp_path}", *write_models(tmp_path, persons=0))
    record = Skeleton.load(tmp_path / "empty.npz")
    assert (record.num_persons, record.num_frames) == (0, 5)


def test_record_with_a_pickled_object_is_a_reason_and_never_runs(tmp_path):
    write_video(tmp_path / "a.mp4", frames(3), fps=10)
    models = write_models(tmp_path / "models")
    objects = np.array([Intruder(tmp_path / "ran")], dtype=object)
    with open(tmp_path / "a.npz", "wb") as file:
        np.savez(file, header=objects)
    summary = extract(f"videos={tmp_path / 'a.mp4'}", f"output={tmp_path}", *models)
    assert "is not a skeleton file without pickled objects" in summary.failures[0]["reason"]
    assert not (tmp_path / "ran").exists()


def test_pickle_as_weights_ends_the_run_and_never_runs(tmp_path):
    write_video(tmp_path / "a.mp4", frames(3), fps=10)
    (tmp_path / "net.pth").write_bytes(pickle.dumps({"state_dict": Intruder(tmp_path / "ran")}))
    (tmp_path / "net.onnx").write_bytes((tmp_path / "net.pth").read_bytes())
    detector = "detector.config=rtmdet_nano_320-8xb32_coco-person"
    for name in ("net.pth", "net.onnx"):
        arguments = [detector, f"detector.checkpoint={tmp_path / name}", f"estimator.checkpoint={tmp_path / name}"]
        with pytest.raises(ModelError, match=r"net\.(pth|onnx)"):
            extract(f"videos={tmp_path / 'a.mp4'}", f"output={tmp_path}", *arguments, "device=cpu")
    assert not (tmp_path / "ran").exists()
