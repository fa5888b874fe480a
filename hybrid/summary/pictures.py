"""Records to look at: sheets with a picture of each, and clips with the skeleton drawn over the video.

A picture is the frame of a record's middle row. Where the video is not at hand the skeleton is drawn on grey; so is
one in metres, seen from where it is widest. Only one page is in memory at a time.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from tqdm import tqdm

from hybrid.summary.inputs import Inputs
from skeleton.errors import SkeletonError
from skeleton.extraction.overlay import draw, write_overlay
from skeleton.files import atomic
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton
from skeleton.video import sample_frames

COLUMNS, ROWS = 6, 5
TILE = (180, 240)  # height, width of a picture
CAPTION = 20  # height of the line with the name
_GREY, _WHITE, _BLACK, _RED = (110, 110, 110), (255, 255, 255), (20, 20, 20), (200, 0, 0)


def write_sheets(
    inputs: Inputs, records: Sequence[str], marked: set[str], videos: str | None, folder: Path, pages: int
) -> list[dict]:
    """FOLDER/sheet_01.jpg and so on; names of `marked` records are red. Returns the videos that could not be read."""
    for old in folder.glob("sheet_*.jpg"):
        old.unlink()
    room = pages * COLUMNS * ROWS
    if len(records) > room:
        records = [records[i] for i in np.linspace(0, len(records) - 1, room).round().astype(int)]
    failures = []
    starts = range(0, len(records), COLUMNS * ROWS)
    for page, start in enumerate(tqdm(starts, desc="sheets", unit="page", disable=not records), start=1):
        chosen = records[start : start + COLUMNS * ROWS]
        height, width = TILE[0] + CAPTION, TILE[1]
        lines = -(-len(chosen) // COLUMNS)
        sheet = np.full((lines * height, min(COLUMNS, len(chosen)) * width, 3), _WHITE, np.uint8)
        for place, record in enumerate(chosen):
            top, left = place // COLUMNS * height, place % COLUMNS * width
            skeleton = Skeleton.load(record)
            video = inputs.video(record, skeleton, videos)
            picture, reason = picture_of(skeleton, video)
            if reason:
                failures.append({"file": str(video), "reason": reason})
            sheet[top : top + TILE[0], left : left + width] = picture
            ink = _RED if record in marked else _BLACK
            _write(sheet[top + TILE[0] : top + height, left : left + width], inputs.name(record), ink)
        _, data = cv2.imencode(".jpg", sheet[..., ::-1])
        with atomic(folder / f"sheet_{page:02d}.jpg", binary=True) as file:
            file.write(data.tobytes())
    return failures


def write_overlays(inputs: Inputs, records: Sequence[str], videos: str | None, folder: Path, count: int) -> list[dict]:
    """Clips of the first `count` records whose video is there; returns those that could not be made."""
    for old in folder.glob("*.mp4"):
        old.unlink()
    failures, made = [], 0
    with tqdm(total=count, desc="overlays", unit="clip", disable=not count) as bar:
        for record in records:
            if made == count:
                break
            skeleton = Skeleton.load(record)
            video = inputs.video(record, skeleton, videos)
            if video is None or skeleton.keypoints.shape[-1] != 2:
                continue
            folder.mkdir(parents=True, exist_ok=True)
            try:
                write_overlay(video, skeleton, folder / f"{inputs.name(record).replace('/', '__')}.mp4")
            except SkeletonError as error:
                failures.append({"file": str(video), "reason": str(error)})
                continue
            made += 1
            bar.update()
    return failures


def picture_of(skeleton: Skeleton, video: Path | None) -> tuple[np.ndarray, str]:
    """The middle row drawn on its frame, RGB uint8 of size TILE, and why there is no frame although there is a video."""
    row, reason = skeleton.num_frames // 2, ""
    flat = skeleton.keypoints.shape[-1] == 2
    skeleton = _fitted(_only(skeleton, row) if flat else _flattened(_only(skeleton, row)))
    height, width = skeleton.frame_size
    image = np.full((height, width, 3), _GREY, np.uint8)
    if video is not None and flat:
        seconds = float(skeleton.timestamps[0])
        try:
            image = sample_frames(video, max(seconds - 1e-3, 0), seconds + 1e-3, 1, size=(height, width)).images[0]
        except SkeletonError as error:
            reason = str(error)
    tile = np.full((*TILE, 3), _GREY, np.uint8)
    top, left = (TILE[0] - height) // 2, (TILE[1] - width) // 2
    tile[top : top + height, left : left + width] = draw(image, skeleton, 0)
    return tile, reason


def _only(skeleton: Skeleton, row: int) -> Skeleton:
    one = slice(row, row + 1)
    arrays = {name: getattr(skeleton, name)[:, one] for name in ("keypoints", "confidence", "visible", "boxes")}
    return replace(skeleton, **arrays, timestamps=skeleton.timestamps[one])


def _fitted(skeleton: Skeleton) -> Skeleton:
    """A record in pixels, scaled to fit into TILE."""
    scale = min(side / own for side, own in zip(TILE, skeleton.frame_size, strict=True))
    size = tuple(min(max(round(own * scale), 1), side) for own, side in zip(skeleton.frame_size, TILE, strict=True))
    return replace(skeleton, keypoints=skeleton.keypoints * scale, boxes=skeleton.boxes * scale, frame_size=size)


def _flattened(skeleton: Skeleton) -> Skeleton:
    """One row in metres as pixels: upright the axis along which bodies are longest, level the widest other, heads above."""
    layout, seen = get_layout(skeleton.layout), skeleton.visible
    points = np.zeros((*seen.shape, 2), np.float32)
    if seen.any():
        lengths = [
            np.ptp(body[0][there[0]], axis=0)
            for body, there in zip(skeleton.keypoints, seen, strict=True)
            if there.any()
        ]
        upright = int(np.mean(lengths, axis=0).argmax())
        width = np.ptp(skeleton.keypoints[seen], axis=0)
        width[upright] = -1
        level = int(width.argmax())
        points = np.where(seen[..., None], skeleton.keypoints[..., [level, upright]], 0)
        head = np.isin(np.arange(len(layout.joints)), [layout.index(joint) for joint in layout.limbs["head"]])
        if (seen & head).any() and points[seen & head][:, 1].mean() > points[seen][:, 1].mean():
            points[..., 1] *= -1  # in pictures, up is less
        low, high = points[seen].min(0), points[seen].max(0)
        points = (points - (low + high) / 2) * 0.8 * TILE[0] / max(float((high - low).max()), 1e-6)
        points += np.float32([TILE[1] / 2, TILE[0] / 2])
    return replace(skeleton, keypoints=points, boxes=np.zeros_like(skeleton.boxes), frame_size=TILE)


def _write(image: np.ndarray, text: str, ink: tuple[int, int, int]) -> None:
    """Writes the end of `text` that fits into `image`, in place."""
    font, scale = cv2.FONT_HERSHEY_SIMPLEX, 0.4
    while len(text) > 1 and cv2.getTextSize(text, font, scale, 1)[0][0] > image.shape[1] - 8:
        text = text[1:]
    line = np.ascontiguousarray(image)
    cv2.putText(line, text, (4, image.shape[0] - 6), font, scale, ink, 1, cv2.LINE_AA)
    image[:] = line
