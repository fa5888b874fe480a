"""Detector and estimator exported to ONNX, run by onnxruntime without OpenMMLab.

Detectors: RTMDet (exported with its suppression: `dets` and `labels`) and YOLOX (the same, or raw: one output
[N, anchors, 5 + classes]). Estimators: any network that takes normalised RGB crops and gives heatmaps (SimplePose,
HRNet, ViTPose) or SimCC vectors (RTMPose). On a CPU each core has its own session and takes one crop at a time, which
is faster than splitting each small convolution over the cores.
"""

import queue
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import cv2
import numpy as np

from skeleton.errors import ExtractionError
from skeleton.extraction.codecs import Crops, decode_heatmaps, decode_simcc
from skeleton.extraction.cores import Cores
from skeleton.extraction.persons import Detections, suppress
from skeleton.layouts.layout import LAYOUTS

if TYPE_CHECKING:
    from onnxruntime import InferenceSession

Result = TypeVar("Result")

# Mean and standard deviation of each family, in the colour order that its networks take: BGR.
FAMILIES = {
    "rtmdet": ((103.53, 116.28, 123.675), (57.375, 57.12, 58.395)),
    "yolox": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
}
_IMAGENET = ((123.675, 116.28, 103.53), (58.395, 57.12, 57.375))  # the same for red, green and blue
_PERSON = 0  # the class person of COCO


def open_session(path: Path, device: str, threads: int) -> "InferenceSession":
    """A session on `device` (cpu, cuda or cuda:N); ExtractionError for a missing package and a file that is no model."""
    try:
        import onnxruntime
    except ImportError as error:
        raise ExtractionError(
            f"{path.name} needs onnxruntime, found no such package; run `pip install onnxruntime` (a GPU needs onnxruntime-gpu)"
        ) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.log_severity_level = 3
    kind, _, number = str(device).partition(":")
    providers: list = ["CPUExecutionProvider"]
    if kind == "cuda":
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            raise ExtractionError(
                f"device={device} needs onnxruntime-gpu, found the CPU build; install it or pass device=cpu"
            )
        providers.insert(0, ("CUDAExecutionProvider", {"device_id": int(number or 0)}))
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=providers)
    except Exception as error:  # onnxruntime's exceptions have no common base of their own
        reason = " ".join(str(error).split())[:200]
        raise ExtractionError(
            f"{path} is not an ONNX model that onnxruntime can read ({reason}); export it again"
        ) from error


def planes(image: np.ndarray, mean: Sequence[float], deviation: Sequence[float]) -> np.ndarray:
    """An image uint8 [H, W, 3] -> float32 [1, 3, H, W], less the mean and over the deviation of each colour."""
    result = np.empty((1, 3, *image.shape[:2]), np.float32)
    for plane, colour, middle, width in zip(result[0], cv2.split(image), mean, deviation, strict=True):
        np.subtract(colour, np.float32(middle), out=plane)
        plane /= np.float32(width)
    return result


class Sessions:
    """A model opened once for each core (on a GPU once), so that each takes a piece of work at a time."""

    def __init__(self, path: Path, device: str):
        self.on_cpu = str(device) == "cpu"
        self._cores = Cores(device)
        self._free: queue.SimpleQueue = queue.SimpleQueue()
        for _ in range(self._cores.count):
            self._free.put(open_session(path, device, 1 if self.on_cpu else 0))
        first = self._free.get()
        self.inputs, self.outputs = first.get_inputs(), first.get_outputs()
        self._free.put(first)

    def each(self, work: Callable[["InferenceSession", int], Result], pieces: Iterable[int]) -> list[Result]:
        """What `work` returns for each piece, in order; it gets a session that nobody else is using."""

        def one(piece: int) -> Result:
            session = self._free.get()
            try:
                return work(session, piece)
            finally:
                self._free.put(session)

        return self._cores.each(one, pieces)


class OnnxDetector:
    """A person detector of one of FAMILIES."""

    def __init__(self, path: Path, family: str, device: str = "cpu", score: float = 0.3, size: int | None = None):
        """size: side of the square input, needed where the export leaves it open."""
        if family not in FAMILIES:
            raise ExtractionError(
                f"an ONNX detector must be one of {', '.join(FAMILIES)}, found {family!r}; pass detector.config=rtmdet"
            )
        self.score = score
        self._sessions = Sessions(path, device)
        entry = self._sessions.inputs[0]
        self._input, sides = entry.name, entry.shape[2:]
        fixed = [side for side in sides if isinstance(side, int)]
        if len(fixed) < 2 and size is None:
            raise ExtractionError(
                f"{path.name} leaves its input size open; pass detector.size=320 or what it was trained with"
            )
        self._size = (fixed[1], fixed[0]) if len(fixed) == 2 else (size, size)
        self._family = FAMILIES[family]
        self._outputs = [output.name for output in self._sessions.outputs]
        self._raw = not {"dets", "labels"} <= set(self._outputs)

    def __call__(self, images: Sequence[np.ndarray]) -> list[Detections]:
        """RGB images uint8 [H, W, 3] -> the persons in each, best first."""

        def find(session: "InferenceSession", index: int) -> Detections:
            # One picture at a time: exports with their suppression inside often take no more, whatever they declare.
            picture, scale = self._prepared(images[index])
            values = dict(zip(self._outputs, session.run(None, {self._input: picture}), strict=True))
            boxes, scores = self._read_raw(values[self._outputs[0]][0]) if self._raw else self._read(values)
            return self._kept(boxes / np.tile(scale, 2), scores, images[index].shape)

        return self._sessions.each(find, range(len(images)))

    def _prepared(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """The picture in the upper left of the input, grey beyond it, and how far each axis was scaled."""
        width, height = self._size
        factor = min(width / image.shape[1], height / image.shape[0])
        inner = int(image.shape[1] * factor + 0.5), int(image.shape[0] * factor + 0.5)
        canvas = np.full((height, width, 3), 114, np.uint8)
        canvas[: inner[1], : inner[0]] = cv2.resize(image, inner, interpolation=cv2.INTER_LINEAR)[..., ::-1]
        return planes(canvas, *self._family), np.array(
            [inner[0] / image.shape[1], inner[1] / image.shape[0]], np.float32
        )

    def _read(self, values: dict) -> tuple[np.ndarray, np.ndarray]:
        found = values["dets"][0][values["labels"][0] == _PERSON]
        return found[:, :4], found[:, 4]

    def _read_raw(self, raw: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """YOLOX's centers and sides, relative to its grids of strides 8, 16 and 32."""
        cells, strides = [], []
        for stride in (8, 16, 32):
            y, x = np.mgrid[: self._size[1] // stride, : self._size[0] // stride]
            cells.append(np.stack([x, y], -1).reshape(-1, 2))
            strides.append(np.full((x.size, 1), stride))
        cell, stride = np.concatenate(cells), np.concatenate(strides)
        if raw.ndim != 2 or len(raw) != len(cell):
            raise ExtractionError(
                f"a raw YOLOX output must have {len(cell)} rows, found shape {list(raw.shape)}; check detector.size"
            )
        scores = raw[:, 4] * raw[:, 5 + _PERSON]
        likely = scores >= self.score
        center, side = (raw[likely, :2] + cell[likely]) * stride[likely], np.exp(raw[likely, 2:4]) * stride[likely]
        boxes = np.concatenate([center - side / 2, center + side / 2], 1)
        keep = suppress(boxes, scores[likely], 0.65)
        return boxes[keep], scores[likely][keep]

    def _kept(self, boxes: np.ndarray, scores: np.ndarray, shape: tuple) -> Detections:
        limits = np.array([shape[1], shape[0], shape[1], shape[0]], np.float32)
        boxes = np.clip(boxes, 0, limits).astype(np.float32)
        solid = (scores >= self.score) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1])
        order = np.flatnonzero(solid)[np.argsort(-scores[solid], kind="stable")]
        return Detections(boxes[order], scores[order].astype(np.float32))


class OnnxEstimator:
    """A top-down pose network whose joints are all those of a layout, in its order."""

    def __init__(self, path: Path, device: str = "cpu", batch_size: int = 8):
        """ExtractionError for outputs that are neither heatmaps nor SimCC, and a number of joints of no layout."""
        self._sessions = Sessions(path, device)
        entry, outputs = self._sessions.inputs[0], self._sessions.outputs
        shape = entry.shape
        if len(shape) != 4 or not all(isinstance(side, int) for side in shape[2:]):
            raise ExtractionError(
                f"{path.name} must take crops [N, 3, height, width] of a fixed size, found {shape}; export it so"
            )
        self._input, self._size = entry.name, (shape[3], shape[2])
        self._step = 1 if self._sessions.on_cpu or isinstance(shape[0], int) else batch_size
        ranks = [len(output.shape) for output in outputs]
        if ranks not in ([4], [3, 3]):
            raise ExtractionError(
                f"{path.name} must give heatmaps (one output) or SimCC vectors (two), found outputs {[o.shape for o in outputs]}"
            )
        joints = outputs[0].shape[1]
        self.layout = next(
            (layout.name for layout in LAYOUTS.values() if layout.sigmas and len(layout.joints) == joints), ""
        )
        if not self.layout:
            raise ExtractionError(
                f"{path.name} gives {joints} joints, which is no layout with sigmas; add it to skeleton/layouts/tables.py"
            )

    def __call__(
        self, images: Sequence[np.ndarray], boxes: Sequence[np.ndarray]
    ) -> list[tuple[np.ndarray, np.ndarray]]:
        """RGB images uint8 [H, W, 3], boxes [N, 4] in each -> keypoints [N, V, 2] px, confidence [N, V]."""
        counts = [len(found) for found in boxes]
        owner = np.repeat(np.arange(len(boxes)), counts)
        crops = Crops.around(np.concatenate([*boxes, np.zeros((0, 4), np.float32)]), self._size)
        joints = len(LAYOUTS[self.layout].joints)
        points, scores = np.zeros((len(owner), joints, 2), np.float32), np.zeros((len(owner), joints), np.float32)

        def look(session: "InferenceSession", begin: int) -> None:
            end = min(begin + self._step, len(owner))
            cut = [planes(crops.cut(images[owner[k]], k), *_IMAGENET) for k in range(begin, end)]
            outputs = session.run(None, {self._input: np.concatenate(cut)})
            points[begin:end], scores[begin:end] = self._decoded(outputs)

        self._sessions.each(look, range(0, len(owner), self._step))
        ends = np.cumsum(counts)[:-1]
        points = crops.to_image(points).astype(np.float32)
        return list(zip(np.split(points, ends), np.split(np.clip(scores, 0, 1), ends), strict=True))

    def _decoded(self, outputs: list[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        if len(outputs) == 1:
            return decode_heatmaps(outputs[0], self._size)
        return decode_simcc(outputs[0], outputs[1], outputs[0].shape[-1] / self._size[0])
