"""Video files in and out, by PyAV: frames as RGB arrays with their real time in seconds.

The clock starts at the first frame (its presentation time is 0.0), and the display rotation that phones write
is applied, so sizes and pixels are those a player shows; a non-square pixel aspect is not stretched.

AVI stores no presentation times, and FFmpeg gives its packets times in file order, which B-frames then carry
out of order. There the n-th frame shown takes the n-th packet's time. Elsewhere a frame whose time does not
increase is left out, with one warning that counts them.

A file that ends long before its header says is refused: half a video would silently shift answers about time.
"""

import itertools
import os
import warnings
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from skeleton.errors import VideoError
from skeleton.files import partial_name

SUFFIXES = (".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v", ".mpg", ".mpeg", ".wmv", ".flv", ".ts", ".3gp")


@dataclass(frozen=True)
class VideoInfo:
    """Size after display rotation, seconds, frames per second, number of frames (None: not said)."""

    width: int
    height: int
    duration: float
    fps: float
    num_frames: int | None


@dataclass(frozen=True)
class Frames:
    """images uint8 [T, H, W, 3] RGB, timestamps float64 [T] seconds, not decreasing."""

    images: np.ndarray
    timestamps: np.ndarray

    def __post_init__(self) -> None:
        if self.images.ndim != 4 or self.images.shape[3] != 3 or self.images.dtype != np.uint8:
            raise VideoError(f"images must be uint8 [T, H, W, 3], found {self.images.dtype} {self.images.shape}")
        if self.timestamps.shape != self.images.shape[:1] or (np.diff(self.timestamps) < 0).any():
            found = self.timestamps.tolist()[:8]
            raise VideoError(f"timestamps must be [{len(self.images)}] and not decrease, found {found}")


def probe(path: str | Path) -> VideoInfo:
    """Size, length and rate of a video; its first frame is decoded. VideoError if that is not possible."""
    with _opened(path) as (container, stream):
        frames = _frames(container, stream, path)
        first = next(frames, None)
        if first is None:
            raise VideoError(f"expected at least one decodable frame in {path}, found none; fetch the video again")
        duration, count = _length(container, stream), stream.frames or None
        fps = float(stream.average_rate or stream.guessed_rate or 0)
        if duration is None or fps == 0:
            times = [first[0], *(time for time, _ in frames)]
            count = len(times)
            fps = fps or (count - 1) / max(times[-1] - times[0], 1e-6) or 1.0
            duration = times[-1] - times[0] + 1 / fps
        width, height = first[1].width, first[1].height
        if _turns(first[1]) % 2:
            width, height = height, width
    return VideoInfo(width, height, duration, fps, count)


def read_frames(path: str | Path, fps: float | None = None) -> Iterator[tuple[float, np.ndarray]]:
    """Yields (seconds, RGB uint8 [H, W, 3]) one by one, so memory does not grow with the video.

    With `fps`, the frames nearest to the ticks 0, 1/fps, 2/fps, ... each at most once, with their own times.
    Raises VideoError for a missing file, no video, no video stream, no decodable frame, and a cut file.
    """
    if fps is not None and not fps > 0:
        raise VideoError(f"fps must be a positive number of frames a second, found {fps}")
    with _opened(path) as (container, stream):
        clock = _Clock(path, stream, _length(container, stream))
        frames = clock.count(_frames(container, stream, path))
        for seconds, frame in frames if fps is None else _nearest_to_ticks(frames, fps):
            yield seconds, _rgb(frame)
        clock.close()


def sample_frames(
    path: str | Path, start: float, end: float, count: int, size: tuple[int, int] | None = None
) -> Frames:
    """`count` frames nearest to the centres of equal bins of [start, end) seconds, decoded in one pass.

    size: (height, width) to resize to. A video with fewer frames repeats them; VideoError as read_frames.
    """
    if count < 1 or not 0 <= start < end:
        raise VideoError(f"expected 0 <= start < end and count >= 1, found start={start}, end={end}, count={count}")
    targets = start + (np.arange(count) + 0.5) * (end - start) / count
    picked: list[tuple[float, np.ndarray]] = []
    with _opened(path) as (container, stream):
        frames = _frames(container, stream, path, begin=float(targets[0]))
        before, before_image = next(frames, (None, None))
        if before is None:
            raise VideoError(f"expected at least one decodable frame in {path}, found none; fetch the video again")
        for after, frame in itertools.chain(frames, [(np.inf, before_image)]):
            image = None
            while len(picked) < count and targets[len(picked)] - before <= after - targets[len(picked)]:
                image = _rgb(before_image, size) if image is None else image
                picked.append((before, image))
            if len(picked) == count:
                break
            before, before_image = after, frame
    return Frames(np.stack([image for _, image in picked]), np.array([time for time, _ in picked]))


class VideoWriter:
    """Writes H.264 frames to a temporary file that takes its name when the block ends without an error.

    Frames are RGB uint8 [H, W, 3] of one size; an odd side loses its last row or column (H.264 needs that).
    """

    def __init__(self, path: str | Path, fps: float = 30.0):
        """fps: the clock of `add` without seconds; VideoError unless positive."""
        if not fps > 0:
            raise VideoError(f"fps must be a positive number of frames a second, found {fps}")
        self._path = Path(path)
        self._temporary = partial_name(self._path)
        self._fps, self._count, self._container, self._stream = fps, 0, None, None

    def __enter__(self) -> "VideoWriter":
        return self

    def add(self, image: np.ndarray, seconds: float | None = None) -> None:
        """Appends one frame at `seconds` (by default the next tick of fps)."""
        if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or min(image.shape[:2]) < 2:
            raise VideoError(f"a frame must be RGB uint8 [H, W, 3], found {image.dtype} {list(image.shape)}")
        height, width = (side - side % 2 for side in image.shape[:2])
        if self._container is None:
            self._container = av.open(str(self._temporary), "w", format="mp4")
            rate = Fraction(self._fps).limit_denominator(1001)
            # x264's macroblock tree now and then decides otherwise for the same frames; the same input, the same bytes
            options = {"preset": "veryfast", "x264-params": "mbtree=0"}
            self._stream = self._container.add_stream("libx264", rate=rate, options=options)
            self._stream.width, self._stream.height, self._stream.pix_fmt = width, height, "yuv420p"
            self._stream.codec_context.time_base = Fraction(1, 90000)
        if (height, width) != (self._stream.height, self._stream.width):
            expected = f"{self._stream.height}x{self._stream.width}"
            raise VideoError(f"all frames of {self._path} must be {expected}, found {height}x{width}")
        frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image[:height, :width]), format="rgb24")
        seconds = self._count / self._fps if seconds is None else seconds
        frame.pts, frame.time_base = round(seconds * 90000), Fraction(1, 90000)
        self._container.mux(self._stream.encode(frame))
        self._count += 1

    def __exit__(self, kind: type | None, *_: object) -> None:
        try:
            if self._container is not None:
                self._container.mux(self._stream.encode(None))
                self._container.close()
            if kind is None:
                if self._container is None:
                    raise VideoError(f"expected at least one frame to write to {self._path}, found none")
                os.replace(self._temporary, self._path)
        finally:
            self._temporary.unlink(missing_ok=True)


def write_video(path: str | Path, frames: Iterable[np.ndarray], fps: float) -> None:
    """Writes RGB uint8 [H, W, 3] frames as an H.264 mp4, whole or not at all."""
    with VideoWriter(path, fps) as writer:
        for image in frames:
            writer.add(image)


class _Clock:
    """Counts the frames that went by and says at the end whether the file held what its header promises."""

    def __init__(self, path: str | Path, stream: av.VideoStream, duration: float | None):
        self._path, self._duration, self._declared = path, duration, stream.frames
        self._last, self._count = 0.0, 0

    def count(self, frames: Iterator[tuple[float, av.VideoFrame]]) -> Iterator[tuple[float, av.VideoFrame]]:
        for seconds, frame in frames:
            self._last, self._count = seconds, self._count + 1
            yield seconds, frame

    def close(self) -> None:
        """Raises VideoError for a video without frames, or one that lacks a tenth of its time or frames."""
        if self._count == 0:
            raise VideoError(
                f"expected at least one decodable frame in {self._path}, found none; fetch the video again"
            )
        short_of_time = self._duration is not None and self._last < 0.9 * self._duration - 0.5
        if short_of_time or (self._declared > self._count + 2 and self._count < 0.9 * self._declared):
            promised = f"{self._duration or 0:.2f} s and {self._declared or 'unknown'} frames"
            raise VideoError(
                f"{self._path} promises {promised} but breaks off after {self._last:.2f} s and {self._count} "
                "frames; fetch the video again"
            )


@contextmanager
def _opened(path: str | Path) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """The container and its first real video stream (no cover picture); FFmpeg's errors as VideoError."""
    if not Path(path).is_file():
        raise VideoError(f"expected a video file at {path}, found none; check the path")
    try:
        with av.open(str(path), options={"protocol_whitelist": "file"}, metadata_errors="replace") as container:
            attached = av.stream.Disposition.attached_pic
            streams = [stream for stream in container.streams.video if not stream.disposition & attached]
            if not streams:
                kinds = ", ".join(sorted({stream.type for stream in container.streams})) or "nothing"
                raise VideoError(f"expected a video stream in {path}, found only {kinds}; give a file with pictures")
            streams[0].thread_type = "AUTO"
            yield container, streams[0]
    except av.FFmpegError as error:
        raise VideoError(f"{path} is not a readable video ({error.strerror}); give a video file") from error


def _frames(
    container: av.container.InputContainer, stream: av.VideoStream, path: str | Path, begin: float = 0.0
) -> Iterator[tuple[float, av.VideoFrame]]:
    """(seconds since the first frame, frame) in order of display; from a key frame before `begin` on."""
    origin = None
    if begin > 2.0:
        origin, first = next(_timed(container, stream, path), (None, None))
        if origin is not None:
            container.seek(origin + int((begin - 1.0) / stream.time_base), stream=stream)
            first = next(_timed(container, stream, path), (None, None))
            landed = first[0] is not None and (first[0] - origin) * stream.time_base <= begin
            container.seek(origin + int((begin - 1.0) / stream.time_base) if landed else 0, stream=stream)
    last = None
    left_out = 0
    for pts, frame in _timed(container, stream, path):
        origin = pts if origin is None else origin
        if last is not None and pts <= last:
            left_out += 1
            continue
        last = pts
        yield float((pts - origin) * stream.time_base), frame
    if left_out:
        warnings.warn(f"{path}: {left_out} frames left out because their time does not increase", stacklevel=2)


def _timed(
    container: av.container.InputContainer, stream: av.VideoStream, path: str | Path
) -> Iterator[tuple[int, av.VideoFrame]]:
    """(presentation time in stream units, frame); damage before the first frame is passed over."""
    in_file_order = "avi" in container.format.name.split(",")
    waiting: deque[int] = deque()
    last, started = 0.0, False
    for packet in container.demux(stream):
        time = packet.pts if packet.pts is not None else packet.dts
        if time is not None and packet.size:
            waiting.append(time)
        try:
            frames = packet.decode()
        except av.InvalidDataError as error:
            if started:
                where = f"after {last:.2f} s"
                raise VideoError(f"{path} is damaged {where} ({error.strerror}); fetch the video again") from error
            continue
        for frame in frames:
            started = True
            pts = waiting.popleft() if in_file_order and waiting else frame.pts
            if pts is None:
                raise VideoError(f"{path} holds no presentation times; put it into a container such as mp4 first")
            last = float(pts * stream.time_base)
            yield pts, frame


def _nearest_to_ticks(
    frames: Iterator[tuple[float, av.VideoFrame]], fps: float
) -> Iterator[tuple[float, av.VideoFrame]]:
    """The frames nearest to k/fps, each at most once; no tick lies after the last frame."""
    tick, before = 0, None
    for after in frames:
        if before is not None:
            chosen = False
            while tick / fps - before[0] <= after[0] - tick / fps:
                tick, chosen = tick + 1, True
            if chosen:
                yield before
        before = after
    if before is not None and tick / fps <= before[0] + 1e-6:
        yield before


def _length(container: av.container.InputContainer, stream: av.VideoStream) -> float | None:
    """Seconds that the header promises for the video stream, None where it does not say."""
    if stream.duration:
        return float(stream.duration * stream.time_base)
    return container.duration / av.time_base if container.duration else None


def _turns(frame: av.VideoFrame) -> int:
    """Quarter turns counterclockwise that bring the stored picture upright."""
    return round(frame.rotation / 90) % 4


def _rgb(frame: av.VideoFrame, size: tuple[int, int] | None = None) -> np.ndarray:
    """The upright picture as RGB uint8 [H, W, 3], resized to `size` (height, width) before the turn."""
    turns = _turns(frame)
    target: dict = {}
    if size is not None:
        height, width = size if turns % 2 == 0 else size[::-1]
        target = {
            "height": height,
            "width": width,
            "interpolation": "AREA" if height < frame.height else "BICUBIC",
        }
    image = frame.to_ndarray(format="rgb24", **target)
    return np.ascontiguousarray(np.rot90(image, turns)) if turns else image
