"""The configuration of tools/extract.py. The defaults are the model zoo's RTMDet-m and RTMPose-m."""

from dataclasses import dataclass

from hybrid.config.loading import field
from hybrid.errors import ConfigError
from skeleton.extraction.pipeline import Settings

_ZOO = "https://download.openmmlab.com/mmpose/v1/projects"


@dataclass
class DetectorConfig:
    """Any MMDet detector with a class person, an ONNX export of RTMDet or YOLOX, or a detector of the hub."""

    config: str = field(
        "MMDet config: a path, or its name in mmdet or mmpose; of an .onnx file: rtmdet or yolox; transformers; "
        "none: the estimator needs no detector (RTMO)",
        "rtmdet_m_640-8xb32_coco-person",
    )
    checkpoint: str = field(
        "its weights, a path or a URL (.onnx runs in onnxruntime); of transformers a hub name or folder",
        f"{_ZOO}/rtmposev1/rtmdet_m_8xb32-100e_coco-obj365-person-235e8209.pth",
    )
    every: int = field("frames from one detection to the next; fewer where persons are lost between them", 4)
    score: float = field("least score of a box that may continue a person", 0.25)
    start_score: float = field("least score of a box that begins a person", 0.4)
    size: int | None = field("side of the input, for an .onnx file that leaves it open", None)


@dataclass
class EstimatorConfig:
    """Any MMPose model whose joints cover a layout, an ONNX export of a top-down one, or ViTPose of the hub."""

    config: str = field(
        "MMPose config: a path, or its name in mmpose; transformers; not used for an .onnx file",
        "rtmpose-m_8xb256-420e_body8-256x192",
    )
    checkpoint: str = field(
        "its weights, a path or a URL (.onnx runs in onnxruntime); of transformers a hub name or folder",
        f"{_ZOO}/rtmposev1/rtmpose-m_simcc-body7_pt-body7_420e-256x192-e48f03d0_20230504.pth",
    )
    rate: float | None = field(
        "joints are estimated so many times a second at least, and interpolated between; null: in every frame", 24.0
    )
    threshold: float = field("confidence from which a joint is visible", 0.3)
    batch_size: int = field("crops in one forward pass", 8)


@dataclass
class TrackerConfig:
    """Which persons a record keeps."""

    patience_seconds: float = field("how long a person may be missed and keep the id", 2.0)
    min_rows: int = field("frames in which a person must be seen to be kept", 3)
    max_persons: int = field("persons kept, those with most visible joints first", 32)


@dataclass
class SmoothingConfig:
    """The One-Euro filter over joints."""

    min_cutoff: float | None = field("Hz, lower is smoother at rest; null does not smooth", None)
    beta: float = field("Hz for a speed of one body height a second; higher follows faster", 3.0)


@dataclass
class StoredConfig:
    """Persons from files that other programs wrote, in place of networks."""

    path: str | None = field(
        "folder with NAME.json, or for openpose a folder NAME, for each video; null: run networks", None
    )
    format: str = field("what wrote them", "openpose", choices=["openpose", "alphapose", "coco"])
    first_frame: int = field("number of the video's first frame in those files", 0)


@dataclass
class ExtractConfig:
    """What tools/extract.py does."""

    videos: str = field("a video, a folder of videos, or a .txt file with one path in each line")
    output: str = field("folder for the records")
    fps: float | None = field("pose frames a second; null takes every frame", None)
    overlay: bool = field("also write NAME.overlay.mp4", False)
    overwrite: bool = field("extract again what was extracted with other settings", False)
    shard: str = field("i/n takes every n-th video from the i-th on, for n processes or machines", "0/1")
    device: str = field("auto, cpu, cuda or cuda:N", "auto")
    devices: int = field("devices that share the videos", 1)
    half: bool = field("half precision; on a GPU", False)
    compile: bool = field("torch.compile for an MMPose network of the usual kind; pays for many videos", False)
    detector: DetectorConfig = field("finds persons", DetectorConfig)
    estimator: EstimatorConfig = field("finds joints", EstimatorConfig)
    tracker: TrackerConfig = field("links persons over time", TrackerConfig)
    smoothing: SmoothingConfig = field("smooths joints over time", SmoothingConfig)
    stored: StoredConfig = field("persons from files in place of networks", StoredConfig)

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
            ("detector.every", self.detector.every),
            ("detector.size", self.detector.size or 1),
            ("estimator.batch_size", self.estimator.batch_size),
            ("tracker.min_rows", self.tracker.min_rows),
            ("tracker.max_persons", self.tracker.max_persons),
            ("devices", self.devices),
        ):
            if value < 1:
                raise ConfigError(f"{key} must be at least 1, found {value}; give a count")
        if self.estimator.rate is not None and not self.estimator.rate > 0:
            raise ConfigError(
                f"estimator.rate must be positive or null, found {self.estimator.rate}; give estimates a second"
            )
        if self.stored.path is not None and self.fps is not None:
            raise ConfigError(f"stored.path has persons for every frame, found fps={self.fps} as well; drop fps")
        cutoff = self.smoothing.min_cutoff
        if self.smoothing.beta < 0 or (cutoff is not None and not cutoff > 0):
            raise ConfigError(
                f"smoothing needs min_cutoff above 0 (or null) and beta of at least 0, found {cutoff} and {self.smoothing.beta}"
            )

    def settings(self) -> Settings:
        """What of this decides a record besides the models."""
        cutoff = self.smoothing.min_cutoff
        return Settings(
            fps=self.fps,
            every=self.detector.every,
            rate=self.estimator.rate,
            detector_score=self.detector.score,
            start_score=self.detector.start_score,
            confidence_threshold=self.estimator.threshold,
            patience_seconds=self.tracker.patience_seconds,
            min_rows=self.tracker.min_rows,
            max_persons=self.tracker.max_persons,
            smoothing=None if cutoff is None else (cutoff, self.smoothing.beta),
        )
