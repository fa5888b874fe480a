"""The configuration of tools/extract.py. The defaults are the model zoo's RTMDet-m and RTMPose-m."""

from dataclasses import dataclass

from hybrid.config import field
from hybrid.errors import ConfigError

_ZOO = "https://download.openmmlab.com/mmpose/v1/projects"


@dataclass
class DetectorConfig:
    """Any MMDet detector with a class person."""

    config: str = field(
        "MMDet config: a path, or its name in mmdet or mmpose", "rtmdet_m_640-8xb32_coco-person"
    )
    checkpoint: str = field(
        "its weights: a path or a URL",
        f"{_ZOO}/rtmposev1/rtmdet_m_8xb32-100e_coco-obj365-person-235e8209.pth",
    )
    score: float = field("least score of a box that may continue a person", 0.25)
    start_score: float = field("least score of a box that begins a person", 0.4)


@dataclass
class EstimatorConfig:
    """Any MMPose top-down model whose joints cover a layout."""

    config: str = field("MMPose config: a path, or its name in mmpose", "rtmpose-m_8xb256-420e_body8-256x192")
    checkpoint: str = field(
        "its weights: a path or a URL",
        f"{_ZOO}/rtmposev1/rtmpose-m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504.pth",
    )
    threshold: float = field("confidence from which a joint is visible", 0.3)
    batch_size: int = field("crops and frames in one forward pass", 8)


@dataclass
class TrackerConfig:
    """Which persons a record keeps."""

    patience_seconds: float = field("how long a person may be missed and keep the id", 1.0)
    min_rows: int = field("frames in which a person must be seen to be kept", 3)
    max_persons: int = field("persons kept, those with most visible joints first", 32)


@dataclass
class ExtractConfig:
    """What tools/extract.py does."""

    videos: str = field("a video, a folder of videos, or a .txt file with one path in each line")
    output: str = field("folder for the records")
    fps: float | None = field("pose frames a second; null takes every frame", None)
    overlay: bool = field("also write NAME.overlay.mp4", False)
    overwrite: bool = field("extract again what was extracted with other settings", False)
    device: str = field("auto, cpu, cuda or cuda:N", "auto")
    detector: DetectorConfig = field("finds persons", DetectorConfig)
    estimator: EstimatorConfig = field("finds joints", EstimatorConfig)
    tracker: TrackerConfig = field("links persons over time", TrackerConfig)

    def check(self) -> None:
        """Raises ConfigError for values out of range."""
        if self.fps is not None and not self.fps > 0:
            raise ConfigError(f"fps must be positive or null, found {self.fps}; give pose frames a second")
        for key, value in (
            ("detector.score", self.detector.score),
            ("detector.start_score", self.detector.start_score),
            ("estimator.threshold", self.estimator.threshold),
        ):
            if not 0 <= value <= 1:
                raise ConfigError(f"{key} must lie in 0..1, found {value}; give a fraction")
        if self.detector.start_score < self.detector.score:
            raise ConfigError(
                f"detector.start_score must not be below detector.score, found {self.detector.start_score} "
                f"and {self.detector.score}; raise the first"
            )
        for key, value in (
            ("estimator.batch_size", self.estimator.batch_size),
            ("tracker.min_rows", self.tracker.min_rows),
            ("tracker.max_persons", self.tracker.max_persons),
        ):
            if value < 1:
                raise ConfigError(f"{key} must be at least 1, found {value}; give a count")
