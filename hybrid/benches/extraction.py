"""Extraction against MMPoseInferencer: same video, same weights, same machine, by turns.

Every measurement is a process of its own, so that neither memory nor warm caches are shared; each builds its networks,
runs over the first frames to warm up, and is then timed from the file to the last joint. The reported speed is the
median of `repeats`.
"""

import statistics
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from hybrid.benches.runs import alone, ours, require_files, theirs
from hybrid.config.loading import field
from hybrid.errors import ConfigError
from skeleton.extraction.pipeline import Settings
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton


@dataclass
class ExtractBench:
    """What `tools/bench.py extract` measures."""

    video: str = field("the video")
    weights: str = field("folder with rtmdet_nano_coco_person.pth, simplepose_nano.{py,pth} and onnx/")
    output: str = field("file for the figures")
    backend: str = field("what runs our networks", "onnx", choices=["onnx", "torch"])
    every: int = field("frames from one detection to the next in our default", 4)
    rate: float = field("estimates of joints a second at least in our default", 24.0)
    repeats: int = field("runs of each, by turns", 3)

    def check(self) -> None:
        if self.repeats < 1 or self.every < 1:
            raise ConfigError(
                f"repeats and every must be at least 1, found {self.repeats} and {self.every}; give counts"
            )


def measure(config: ExtractBench) -> dict[str, Any]:
    """All figures of the bench, see the keys of docs/extraction.md. ConfigError for files that are not there."""
    files = (config.video, config.weights)
    require_files(*files)
    default, each, mmpose = [], [], []
    for _ in range(config.repeats):
        mmpose.append(alone(theirs, *files))
        default.append(alone(ours, *files, config.backend, Settings(every=config.every, rate=config.rate)))
        each.append(alone(ours, *files, config.backend, Settings()))
    pace, pace_each, pace_mmpose = (
        statistics.median(run["frames_per_second"] for run in runs) for runs in (default, each, mmpose)
    )
    middle = sorted(default, key=lambda run: run["frames_per_second"])[len(default) // 2]
    return {
        "speedup": pace / pace_mmpose,
        "speedup_every_frame": pace_each / pace_mmpose,
        "mean_oks": mean_oks(each[0]["record"], default[0]["record"]),
        "frames_per_second": pace,
        "frames_per_second_mmpose": pace_mmpose,
        "crops_per_second": middle["crops"] / middle["seconds"],
        "peak_memory_mb": middle["peak_memory_mb"],
        "peak_memory_mb_mmpose": statistics.median(run["peak_memory_mb"] for run in mmpose),
        "stages": middle["stages"],
        "detections_per_frame": middle["detections"] / middle["frames"],
        "frames": middle["frames"],
        "runs": {
            name: [run["frames_per_second"] for run in runs]
            for name, runs in (("ours", default), ("ours_every_frame", each), ("mmpose", mmpose))
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
    if not values:
        raise ConfigError("expected persons in the video, found none in any frame; take another")
    return float(np.mean(values))
