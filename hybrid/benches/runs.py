"""One extraction by us or by MMPoseInferencer, with the same networks, in a process of its own."""

import multiprocessing
import os
import resource
import time
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from hybrid.errors import ConfigError
from skeleton.extraction.pipeline import Settings

WARM_UP = 8  # frames
DETECTOR, ESTIMATOR = "rtmdet_nano_320-8xb32_coco-person", "simplepose_nano"


def require_files(video: str, weights: str) -> None:
    """ConfigError where one of them is not there."""
    for key, place in (("video", video), ("weights", weights)):
        if not Path(place).exists():
            raise ConfigError(f"expected {key} at {place}, found nothing; check the path")


def alone(work: Any, *arguments: Any) -> dict[str, Any]:
    """Runs `work` in a new process. Only ours is told that idle threads must not spin, as our tools do."""
    policy = os.environ.pop("OMP_WAIT_POLICY", None)
    if work is ours:
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"
    try:
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            return pool.apply(work, arguments)
    finally:
        os.environ.pop("OMP_WAIT_POLICY", None)
        if policy is not None:
            os.environ["OMP_WAIT_POLICY"] = policy


def ours(video: str, weights: str, backend: str, settings: Settings) -> dict[str, Any]:
    """Our extraction of one video: its record, times and counts."""
    from skeleton.extraction.build import Network, Runtime, build_extractor
    from skeleton.video import read_frames, write_video

    folder = Path(weights)
    if backend == "onnx":
        detector = Network(folder / "onnx/rtmdet_nano_coco_person_320.onnx", family="rtmdet", size=320)
        estimator = Network(folder / f"onnx/{ESTIMATOR}_coco17.onnx")
    else:
        detector = Network.find(DETECTOR, folder / "rtmdet_nano_coco_person.pth")
        estimator = Network.find(str(folder / f"{ESTIMATOR}.py"), folder / f"{ESTIMATOR}_coco17.pth")
    extractor = build_extractor(detector, estimator, settings, Runtime())
    with TemporaryDirectory() as place:
        write_video(f"{place}/warmup.mp4", (image for _, image in islice(read_frames(video), WARM_UP)), fps=25)
        extractor.extract(f"{place}/warmup.mp4")
    extractor.stages.seconds.clear()
    extractor.stages.counts.clear()
    begin = time.perf_counter()
    record = extractor.extract(video)
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


def theirs(video: str, weights: str, decoded: bool = False) -> dict[str, Any]:
    """MMPoseInferencer over one video: boxes [N, 4] and keypoints [N, V, 2] of each frame, and times.

    decoded: it gets our frames one by one, else the file, as its users do.
    """
    from skeleton.openmmlab import prepare

    prepare("mmdet", "mmpose")
    from mmpose.apis import MMPoseInferencer

    from skeleton.extraction.zoo import find_config, load_config, quiet_loading
    from skeleton.video import read_frames

    folder = Path(weights)
    with quiet_loading():
        inferencer = MMPoseInferencer(
            pose2d=load_config(folder / f"{ESTIMATOR}.py"),
            pose2d_weights=str(folder / f"{ESTIMATOR}_coco17.pth"),
            det_model=str(find_config(DETECTOR)),
            det_weights=str(folder / "rtmdet_nano_coco_person.pth"),
            det_cat_ids=[0],
            device="cpu",
        )
        for _, image in islice(read_frames(video), WARM_UP):
            next(inferencer(image[..., ::-1].copy()))
        begin = time.perf_counter()
        if decoded:
            pictures = (image[..., ::-1].copy() for _, image in read_frames(video))
            persons = [next(inferencer(picture))["predictions"][0] for picture in pictures]
        else:
            persons = [one["predictions"][0] for one in inferencer(video)]
        seconds = time.perf_counter() - begin
    found = [
        (
            np.array([p["bbox"][0] for p in some]).reshape(-1, 4),
            np.array([p["keypoints"] for p in some]).reshape(len(some), -1, 2),
        )
        for some in persons
    ]
    return {"persons": found, **_cost(len(persons), seconds)}


def _cost(frames: int, seconds: float) -> dict[str, float]:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"seconds": seconds, "frames_per_second": frames / seconds, "peak_memory_mb": round(peak, 1)}
