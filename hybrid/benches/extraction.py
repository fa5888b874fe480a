"""Extraction against MMPoseInferencer: same video, same weights, same machine, by turns.

Every measurement is a process of its own, so that neither memory nor warm caches are shared; each builds its networks,
runs over the first frames to warm up, and is then timed from the file to the last joint. The reported speed is the
median of `repeats`.
"""

import multiprocessing
import os
import resource
import statistics
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from hybrid.config import field
from hybrid.errors import ConfigError
from skeleton.layouts import get_layout
from skeleton.record import Skeleton

WARM_UP = 8  # frames
DETECTOR, ESTIMATOR = "rtmdet_nano_320-8xb32_coco-person", "simplepose_nano"


@dataclass
class ExtractBench:
    """What `tools/bench.py extract` measures."""

    video: str = field("the video")
    weights: str = field("folder with rtmdet_nano_coco_person.pth, simplepose_nano.{py,pth} and onnx/")
    output: str = field("file for the figures")
    backend: str = field("onnx or torch", "onnx")
    every: int = field("frames from one detection to the next in our default", 4)
    repeats: int = field("runs of each, by turns", 3)

    def check(self) -> None:
        if self.backend not in ("onnx", "torch"):
            raise ConfigError(f"backend must be onnx or torch, found {self.backend!r}; choose one")
        if self.repeats < 1 or self.every < 1:
            raise ConfigError(f"repeats and every must be at least 1, found {self.repeats} and {self.every}; give counts")


def measure(config: ExtractBench) -> dict[str, Any]:
    """All figures of the bench, see the keys of docs/extraction.md. ConfigError for files that are not there."""
    for key, place in (("video", config.video), ("weights", config.weights)):
        if not Path(place).exists():
            raise ConfigError(f"expected {key} at {place}, found nothing; check the path")
    ours, each, theirs = [], [], []
    for _ in range(config.repeats):
        theirs.append(_alone(_theirs, config))
        ours.append(_alone(_ours, config, config.every))
        each.append(_alone(_ours, config, 1))
    pace, pace_each, pace_theirs = (statistics.median(run["frames_per_second"] for run in runs) for runs in (ours, each, theirs))
    middle = sorted(ours, key=lambda run: run["frames_per_second"])[len(ours) // 2]
    return {
        "speedup": pace / pace_theirs,
        "speedup_every_frame": pace_each / pace_theirs,
        "mean_oks": mean_oks(each[0]["record"], ours[0]["record"]),
        "frames_per_second": pace,
        "frames_per_second_mmpose": pace_theirs,
        "crops_per_second": middle["crops"] / middle["seconds"],
        "peak_memory_mb": middle["peak_memory_mb"],
        "peak_memory_mb_mmpose": statistics.median(run["peak_memory_mb"] for run in theirs),
        "stages": middle["stages"],
        "detections_per_frame": middle["detections"] / middle["frames"],
        "frames": middle["frames"],
        "runs": {
            name: [run["frames_per_second"] for run in runs]
            for name, runs in (("ours", ours), ("ours_every_frame", each), ("mmpose", theirs))
        },
    }


def mean_oks(reference: Skeleton, found: Skeleton) -> float:
    """Mean OKS over all persons of all frames of `reference`; one that `found` misses counts 0.

    Over the joints visible in the reference, wherever `found` puts them; scaled by the reference's box.
    """
    sigmas = 2 * np.array(get_layout(reference.layout).sigmas)
    values = []
    for t in range(reference.num_frames):
        rows = np.flatnonzero(reference.visible[:, t].any(-1))
        columns = np.flatnonzero(found.visible[:, t].any(-1))
        seen, boxes = reference.visible[rows, t], reference.boxes[rows, t]
        area = np.maximum((boxes[:, 2:] - boxes[:, :2]).prod(-1), 1.0)
        squared = ((reference.keypoints[rows, t][:, None] - found.keypoints[columns, t][None]) ** 2).sum(-1)
        similar = np.exp(-squared / (2 * sigmas**2 * area[:, None, None]))
        oks = (similar * seen[:, None]).sum(-1) / seen.sum(-1)[:, None]
        chosen = linear_sum_assignment(oks, maximize=True)
        values += [*oks[chosen].tolist(), *[0.0] * (len(rows) - len(chosen[0]))]
    return float(np.mean(values)) if values else float("nan")


def _alone(work: Any, *arguments: Any) -> dict[str, Any]:
    """Runs `work` in a new process. Only ours is told that idle threads must not spin, as our tools do."""
    policy = os.environ.pop("OMP_WAIT_POLICY", None)
    if work is _ours:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    try:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(work, arguments)
    finally:
        os.environ.pop("OMP_WAIT_POLICY", None)
        if policy is not None:
            os.environ["OMP_WAIT_POLICY"] = policy


def _ours(config: ExtractBench, every: int) -> dict[str, Any]:
    from skeleton.extraction.build import Network, Runtime, build_extractor
    from skeleton.extraction.pipeline import Settings
    from skeleton.video import read_frames, write_video

    folder = Path(config.weights)
    if config.backend == "onnx":
        detector = Network(folder / "onnx/rtmdet_nano_coco_person_320.onnx", family="rtmdet", size=320)
        estimator = Network(folder / f"onnx/{ESTIMATOR}_coco17.onnx")
    else:
        detector = Network.find(DETECTOR, folder / "rtmdet_nano_coco_person.pth")
        estimator = Network.find(str(folder / f"{ESTIMATOR}.py"), folder / f"{ESTIMATOR}_coco17.pth")
    extractor = build_extractor(detector, estimator, Settings(every=every), Runtime())
    warm_up = Path(config.output).with_suffix(".warmup.mp4")
    write_video(warm_up, (image for _, image in islice(read_frames(config.video), WARM_UP)), fps=25)
    extractor.extract(warm_up)
    warm_up.unlink()
    extractor.stages.seconds.clear()
    extractor.stages.counts.clear()
    begin = time.perf_counter()
    record = extractor.extract(config.video)
    seconds = time.perf_counter() - begin
    counts = extractor.stages.counts
    return {
        "record": record,
        "frames": record.num_frames,
        "crops": counts["estimate"],
        "detections": counts["detect"],
        "stages": {name: round(value, 3) for name, value in extractor.stages.seconds.items()},
        **_cost(record.num_frames, seconds),
    }


def _theirs(config: ExtractBench) -> dict[str, Any]:
    from skeleton.openmmlab import prepare

    prepare("mmdet", "mmpose")
    from mmpose.apis import MMPoseInferencer

    from skeleton.extraction.zoo import find_config, load_config, quiet_loading
    from skeleton.video import read_frames

    folder = Path(config.weights)
    with quiet_loading():
        inferencer = MMPoseInferencer(
            pose2d=load_config(folder / f"{ESTIMATOR}.py"),
            pose2d_weights=str(folder / f"{ESTIMATOR}_coco17.pth"),
            det_model=str(find_config(DETECTOR)),
            det_weights=str(folder / "rtmdet_nano_coco_person.pth"),
            det_cat_ids=[0],
            device="cpu",
        )
        for _, image in islice(read_frames(config.video), WARM_UP):
            next(inferencer(image[..., ::-1].copy()))
        begin = time.perf_counter()
        frames = sum(1 for _ in inferencer(config.video))
        seconds = time.perf_counter() - begin
    return {"frames": frames, **_cost(frames, seconds)}


def _cost(frames: int, seconds: float) -> dict[str, float]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "frames_per_second": frames / seconds, "peak_memory_mb": round(peak, 1)}
