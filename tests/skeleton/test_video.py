"""Decoding: one clock, upright pictures, the nearest frames, and one sentence for each bad file."""

import itertools
import wave

import av
import numpy as np
import pytest

from skeleton.errors import VideoError
from skeleton.video import Frames, VideoWriter, probe, read_frames, sample_frames, write_video


def numbered(count, height=48, width=64):
    """Grey frames whose brightness tells their number."""
    return [np.full((height, width, 3), 20 + 4 * index, np.uint8) for index in range(count)]


def number_of(image):
    return round((float(image.mean()) - 20) / 4)


@pytest.fixture
def clip(tmp_path):
    path = tmp_path / "clip.mp4"
    write_video(path, numbered(40), fps=10)
    return path


def test_round_trip_keeps_order_clock_and_pixels(clip):
    frames = list(read_frames(clip))
    np.testing.assert_allclose([time for time, _ in frames], np.arange(40) / 10, atol=1e-4)
    assert [number_of(image) for _, image in frames] == list(range(40))
    info = probe(clip)
    assert (info.width, info.height, info.num_frames) == (64, 48, 40)
    assert info.duration == pytest.approx(4.0, abs=0.01)
    assert info.fps == pytest.approx(10, abs=0.01)
    assert [path.name for path in clip.parent.iterdir()] == ["clip.mp4"]


def test_uneven_clock_is_kept(tmp_path):
    times = [0.0, 0.1, 0.15, 0.5, 1.25]
    with VideoWriter(tmp_path / "uneven.mp4", fps=10) as writer:
        for image, seconds in zip(numbered(5), times, strict=True):
            writer.add(image, seconds + 2.0)
    found = list(read_frames(tmp_path / "uneven.mp4"))
    np.testing.assert_allclose([time for time, _ in found], times, atol=1e-4)


@pytest.mark.parametrize(
    ("fps", "expected"), [(5, list(range(0, 40, 2))), (4, [0, 2, 5, 8, 10, 12]), (50, list(range(40)))]
)
def test_sampling_takes_the_nearest_frames_once(clip, fps, expected):
    found = [round(time * 10) for time, _ in read_frames(clip, fps)]
    if fps == 4:
        ticks = np.arange(0, 3.9, 1 / 4)
        assert len(found) == len(set(found)) == len(ticks)
        assert np.abs(np.array(found) / 10 - ticks).max() <= 0.05 + 1e-6
    else:
        assert found == expected


@pytest.mark.parametrize(("start", "end", "count"), [(0, 4, 8), (0.5, 1.5, 5), (2.6, 3.9, 6), (3.0, 3.2, 4), (3, 9, 3)])
def test_sample_frames_equals_a_search_over_all(clip, start, end, count):
    times = np.array([time for time, _ in read_frames(clip)])
    targets = start + (np.arange(count) + 0.5) * (end - start) / count
    nearest = np.abs(times[None] - targets[:, None]).argmin(1)
    found = sample_frames(clip, start, end, count)
    assert [number_of(image) for image in found.images] == nearest.tolist()
    np.testing.assert_allclose(found.timestamps, times[nearest], atol=1e-9)


def test_sample_frames_resizes(clip):
    found = sample_frames(clip, 0, 4, 4, size=(24, 40))
    assert found.images.shape == (4, 24, 40, 3)
    whole = sample_frames(clip, 0, 4, 4)
    assert [number_of(image) for image in whole.images] == [5, 15, 25, 35]
    np.testing.assert_allclose(found.images.mean((1, 2, 3)), whole.images.mean((1, 2, 3)), atol=3)


@pytest.mark.parametrize("name", ["guitar.mp4", "drink_water.avi"])
def test_seeking_gives_the_same_frames(shared, name):
    path = shared / "data/videos" / name
    targets = 2.2 + (np.arange(3) + 0.5) * 0.8 / 3
    whole = list(itertools.takewhile(lambda pair: pair[0] < 3.2, read_frames(path)))
    nearest = np.abs(np.array([time for time, _ in whole])[None] - targets[:, None]).argmin(1)
    found = sample_frames(path, 2.2, 3.0, 3)
    assert found.timestamps.tolist() == [whole[index][0] for index in nearest]
    for image, index in zip(found.images, nearest, strict=True):
        np.testing.assert_array_equal(image, whole[index][1])


def rotated(path, target, matrix):
    """A copy of an mp4 whose display matrix is replaced."""
    plain = b"".join(value.to_bytes(4, "big") for value in (65536, 0, 0, 0, 65536, 0, 0, 0, 0x40000000))
    turned = b"".join((value % 2**32).to_bytes(4, "big") for value in matrix)
    data = path.read_bytes()
    start = data.index(b"tkhd")
    place = data.index(plain, start)
    target.write_bytes(data[:place] + turned + data[place + 36 :])


@pytest.mark.parametrize(
    ("matrix", "turns"),
    [
        ((0, 65536, 0, -65536, 0, 0, 0, 0, 0x40000000), -1),
        ((-65536, 0, 0, 0, -65536, 0, 0, 0, 0x40000000), 2),
        ((0, -65536, 0, 65536, 0, 0, 0, 0, 0x40000000), 1),
    ],
)
def test_display_matrix_turns_the_picture(tmp_path, matrix, turns):
    # ISO 14496-12: (x, y) is shown at (a x + c y, b x + d y); with a = d = 0, b = 1, c = -1 that is clockwise.
    image = np.zeros((48, 64, 3), np.uint8)
    image[:24, :32] = (250, 10, 10)
    image[24:, 32:] = (10, 10, 250)
    write_video(tmp_path / "plain.mp4", [image] * 4, fps=10)
    rotated(tmp_path / "plain.mp4", tmp_path / "turned.mp4", matrix)
    expected = np.rot90(image, turns)
    _, found = next(read_frames(tmp_path / "turned.mp4"))
    info = probe(tmp_path / "turned.mp4")
    assert found.shape == expected.shape == (info.height, info.width, 3)
    assert np.abs(found.astype(int) - expected).mean() < 4
    size = (expected.shape[0] // 2, expected.shape[1] // 2)
    small = sample_frames(tmp_path / "turned.mp4", 0, 0.3, 1, size=size).images[0]
    assert small.shape == (*size, 3)
    assert np.abs(small.astype(int) - expected[::2, ::2]).mean() < 8


def test_odd_sides_lose_one_line(tmp_path):
    write_video(tmp_path / "odd.mp4", numbered(3, 49, 65), fps=5)
    assert next(read_frames(tmp_path / "odd.mp4"))[1].shape == (48, 64, 3)


def test_avi_with_b_frames_is_in_order(shared):
    times = [time for time, _ in read_frames(shared / "data/videos/drink_water.avi")]
    np.testing.assert_allclose(times, np.arange(103) / 30, atol=1e-6)


def test_missing_file(tmp_path):
    with pytest.raises(VideoError, match=r"expected a video file at .*none\.mp4, found none"):
        next(read_frames(tmp_path / "none.mp4"))


@pytest.mark.parametrize("text", ["hello\n" * 50, "#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n", ""])
def test_text_named_mp4(tmp_path, text):
    (tmp_path / "text.mp4").write_text(text)
    with pytest.raises(VideoError, match=r"text\.mp4 is not a readable video|expected a video stream in"):
        next(read_frames(tmp_path / "text.mp4"))


def test_audio_only(tmp_path):
    with wave.open(str(tmp_path / "sound.wav"), "wb") as file:
        file.setparams((1, 2, 8000, 0, "NONE", ""))
        file.writeframes(bytes(16000))
    for call in (probe, lambda path: next(read_frames(path)), lambda path: sample_frames(path, 0, 1, 2)):
        with pytest.raises(VideoError, match=r"expected a video stream in .*, found only audio"):
            call(tmp_path / "sound.wav")


def test_truncated_file(tmp_path, clip):
    (tmp_path / "cut.mp4").write_bytes(clip.read_bytes()[:-400])
    with pytest.raises(VideoError, match="is not a readable video"):
        list(read_frames(tmp_path / "cut.mp4"))


def test_truncated_file_with_its_header_in_front(tmp_path):
    rng = np.random.default_rng(0)
    with av.open(str(tmp_path / "whole.mp4"), "w", options={"movflags": "faststart"}) as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height = 64, 48
        for _ in range(60):
            noise = rng.integers(0, 255, (48, 64, 3), dtype=np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(noise, format="rgb24")))
        container.mux(stream.encode(None))
    data = (tmp_path / "whole.mp4").read_bytes()
    assert len(list(read_frames(tmp_path / "whole.mp4"))) == 60
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) // 2])
    with pytest.raises(VideoError, match=r"is damaged after|breaks off after|is not a readable video"):
        list(read_frames(tmp_path / "cut.mp4"))


def test_writer_leaves_nothing_behind_on_error(tmp_path):
    with pytest.raises(RuntimeError, match="stop"), VideoWriter(tmp_path / "x.mp4") as writer:
        writer.add(numbered(1)[0])
        raise RuntimeError("stop")
    with pytest.raises(VideoError, match="expected at least one frame to write"):
        write_video(tmp_path / "x.mp4", [], fps=5)
    with pytest.raises(VideoError, match="must be 48x64, found 24x64"):
        write_video(tmp_path / "x.mp4", [numbered(1)[0], numbered(1, 24)[0]], fps=5)
    with pytest.raises(VideoError, match="a frame must be RGB uint8"):
        write_video(tmp_path / "x.mp4", [np.zeros((4, 4), np.uint8)], fps=5)
    assert list(tmp_path.iterdir()) == []


def test_bad_requests(clip):
    with pytest.raises(VideoError, match="fps must be a positive number"):
        next(read_frames(clip, fps=0))
    with pytest.raises(VideoError, match="fps must be a positive number"):
        write_video(clip, numbered(1), fps=0)
    with pytest.raises(VideoError, match=r"expected 0 <= start < end and count >= 1, found start=2, end=1"):
        sample_frames(clip, 2, 1, 4)
    with pytest.raises(VideoError, match=r"images must be uint8 \[T, H, W, 3\]"):
        Frames(np.zeros((1, 2, 2)), np.zeros(1))
    with pytest.raises(VideoError, match=r"must be .* and not decrease"):
        Frames(np.zeros((2, 2, 2, 3), np.uint8), np.array([1.0, 0.0]))
