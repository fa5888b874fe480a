"""Our joints against those of MMPoseInferencer, over the same frames with the same networks, detected in every frame."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from hybrid.benches.runs import alone, ours, require_files, theirs
from hybrid.config.loading import field
from hybrid.errors import ConfigError
from skeleton.extraction.pipeline import Settings
from skeleton.extraction.places import matched
from skeleton.record import Skeleton

SAME = 0.99  # IoU from which two boxes are one detection
THEIR_SCORE = 0.3  # of boxes that MMPoseInferencer takes


@dataclass
class EqualityBench:
    """What `tools/bench.py equality` measures."""

    video: str = field("the video")
    weights: str = field("folder as for extract")
    output: str = field("file for the figures")
    backend: str = field("what runs our networks", "torch", choices=["onnx", "torch"])


def measure(config: EqualityBench) -> dict[str, Any]:
    """The distances; MMPose gets the frames that we decode, because OpenCV turns some videos into other colours."""
    files = (config.video, config.weights)
    require_files(*files)
    mmpose = alone(theirs, *files, True)["persons"]
    return compare(alone(ours, *files, config.backend, Settings(start_score=THEIR_SCORE, min_rows=1))["record"], mmpose)


def compare(record: Skeleton, frames: list[tuple[np.ndarray, np.ndarray]]) -> dict[str, float]:
    """Our joints against MMPose's: boxes [N, 4] and keypoints [N, V, 2] of each frame, of every person whom both detected.

    Persons are those of theirs whose box we have too (IoU of SAME): not those whom we take for somebody else's double. A
    joint's distance is the larger of x and y, in pixels.
    """
    apart, persons = [], 0
    for t, (boxes, keypoints) in enumerate(frames):
        rows, columns = matched(boxes, record.boxes[:, t], SAME)
        persons += len(boxes)
        apart += [*np.abs(keypoints[rows] - record.keypoints[columns, t]).max(-1)]
    if not apart:
        raise ConfigError(
            f"expected persons whom both find, found {persons} of MMPose's and none in both; take another video"
        )
    joints = np.concatenate(apart)
    return {
        "persons_mmpose": persons,
        "persons_in_both": len(apart),
        "joints": len(joints),
        "joints_beyond_half_a_pixel": int((joints > 0.5).sum()),
        "pixels_apart_median": float(np.median(joints)),
        "pixels_apart_max": float(joints.max()),
    }
