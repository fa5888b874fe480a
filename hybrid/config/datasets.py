"""Keys of tools/prepare.py."""

from dataclasses import dataclass
from pathlib import Path

from hybrid.config.extraction import DetectorConfig, EstimatorConfig, ExtractConfig, SmoothingConfig, TrackerConfig
from hybrid.config.loading import field
from hybrid.errors import ConfigError
from skeleton.events.viewpoints import VIEWS


@dataclass
class PrepareConfig:
    """What `tools/prepare.py marionette` makes; the clips follow from seed, split and number alone."""

    output: str = field("folder of the data set; made when it is missing")
    clips: int = field("clips of the training split", 2500)
    val_clips: int | None = field("clips of the validation split; null: a tenth of clips", None)
    test_clips: int = field("clips of the test split", 440)
    seed: int = field("seed of everything drawn", 0)
    workers: int = field("processes that make clips; the result does not depend on it", 2)
    size: int = field("side of the square frames in pixels", 128)
    fps: float = field("frames a second of the clips and of their skeletons", 16.0)

    def check(self) -> None:
        for key in ("clips", "test_clips", "workers", "size"):
            if getattr(self, key) < 1:
                raise ConfigError(f"expected {key} to be at least 1, found {getattr(self, key)}: give a larger number")
        if self.val_clips is not None and self.val_clips < 1:
            raise ConfigError(f"expected val_clips to be at least 1 or null, found {self.val_clips}: mend it")
        if self.size % 2:
            raise ConfigError(f"expected an even size (H.264 needs it), found {self.size}: add or take one pixel")
        if not 10 <= self.fps <= 60:
            raise ConfigError(f"expected fps in 10..60 (fast repetitions need 10), found {self.fps}: change it")

    @property
    def counts(self) -> dict[str, int]:
        """Clips by split."""
        return {"train": self.clips, "val": self.val_clips or max(self.clips // 10, 1), "test": self.test_clips}


@dataclass
class MocapConfig:
    """What `tools/prepare.py mocap` reads and makes; a clip follows from seed and name alone."""

    file: str = field(".npz of captures, one .bvh, or a folder of .bvh that is searched to the bottom")
    output: str = field("folder of the data set; made when it is missing")
    views: int = field("views of each window, drawn among front, back, left and right", 1)
    view: str | None = field("view of every window; null: drawn", None, choices=[None, *VIEWS])
    seconds: float = field("longest window; a longer capture is cut evenly", 12.0)
    fps: float = field("rows a second, at most; that of an .npz that does not say", 30.0)
    frame_size: list[int] = field("[height, width] of the pictures in pixels", [480, 640])
    swap: float = field("share of the rows with left and right exchanged", 0.1)
    metres_per_unit: float | None = field("metres of one unit of the files; null: guessed from the legs", None)
    up: str = field("axis that points up; auto: y for .bvh, found in an .npz", "auto", choices=["auto", "x", "y", "z"])
    balance: bool = field("as many questions of each answer, so that a constant answer scores chance", True)
    seed: int = field("seed of views, cameras, noise and questions", 0)

    def check(self) -> None:
        if not 1 <= self.views <= 4:
            raise ConfigError(f"expected views in 1..4, found {self.views}: there are four sides")
        if self.view is not None and self.views > 1:
            raise ConfigError(f"expected views=1 beside view={self.view}, found views={self.views}: drop one of them")
        if not 1 <= self.seconds <= 600:
            raise ConfigError(f"expected seconds in 1..600, found {self.seconds}: change it")
        if not 5 <= self.fps <= 120:
            raise ConfigError(f"expected fps in 5..120, found {self.fps}: change it")
        if len(self.frame_size) != 2 or min(self.frame_size) < 64:
            raise ConfigError(f"expected frame_size=[height, width] from 64 on, found {self.frame_size}: mend it")
        if not 0 <= self.swap <= 0.5:
            raise ConfigError(f"expected swap in 0..0.5, found {self.swap}: give a share of the rows")
        if self.metres_per_unit is not None and not 0 < self.metres_per_unit < 100:
            raise ConfigError(f"expected metres_per_unit above 0, found {self.metres_per_unit}: 0.01 is a cm")


@dataclass
class ProxyConfig:
    """What `tools/prepare.py proxy` reads and makes; a window's questions follow from seed, record and number alone."""

    skeletons: str = field("folder of records (.npz) of tools/extract.py, searched to the bottom")
    output: str = field("folder of the data set; made when it is missing")
    videos: str | None = field("folder of their videos; null: beside a record, or near by with the hash in it", None)
    seconds: float = field("longest window; a longer video is cut evenly", 8.0)
    max_persons: int = field("windows with more persons are left out", 4)
    val_share: float = field("share of the videos that are kept for validation", 0.1)
    balance: bool = field("as many questions of each answer, so that a constant answer scores chance", True)
    seed: int = field("seed of questions, balance and the validation part", 0)

    def check(self) -> None:
        if not 2 <= self.seconds <= 60:
            raise ConfigError(f"expected seconds in 2..60, found {self.seconds}: change it")
        if not 1 <= self.max_persons <= 10:
            raise ConfigError(
                f"expected max_persons in 1..10 (places have words so far), found {self.max_persons}: mend it"
            )
        if not 0 <= self.val_share < 1:
            raise ConfigError(
                f"expected val_share from 0 to below 1, found {self.val_share}: leave videos for training"
            )


@dataclass
class FolderConfig:
    """A folder of videos and a CSV file, made into a data set."""

    videos: str = field("folder of the videos, searched to the bottom")
    labels: str = field("CSV file with a line for each question or labelled video; docs/folder.md tells the columns")
    output: str = field("folder of the data set; made when it is missing")
    question: str = field("asked of videos that have a label", "What does the person do?")
    max_options: int = field("options of that question; of more labels, some are drawn beside the right one", 8)
    shuffle: bool = field(
        "put the right one of the file's own options in every place equally often; false: as written", True
    )
    val: float = field("share of the validation split, where the file has no column split", 0.1)
    test: float = field("share of the test split, where the file has no column split", 0.2)
    seed: int = field("seed of splits, drawn options and places", 0)
    fps: float | None = field("pose frames a second; null takes every frame", None)
    overwrite: bool = field("extract again what was extracted with other settings", False)
    device: str = field("auto, cpu, cuda or cuda:N", "auto")
    half: bool = field("half precision; on a GPU", False)
    detector: DetectorConfig = field("finds persons", DetectorConfig)
    estimator: EstimatorConfig = field("finds joints", EstimatorConfig)
    tracker: TrackerConfig = field("links persons over time", TrackerConfig)
    smoothing: SmoothingConfig = field("smooths joints over time", SmoothingConfig)

    def check(self) -> None:
        """Raises ConfigError for values out of range."""
        if not (self.val >= 0 and self.test >= 0 and self.val + self.test < 1):
            raise ConfigError(
                f"expected val and test of at least 0 and below 1 together, found {self.val} and {self.test}; "
                "leave a share for training"
            )
        if self.max_options < 2:
            raise ConfigError(f"expected max_options of at least 2, found {self.max_options}; give a larger number")
        if not self.question.strip():
            raise ConfigError("expected a text for question, found none; ask something")
        self.extraction(Path(self.videos)).check()

    def extraction(self, videos: Path) -> ExtractConfig:
        """The configuration that extracts `videos` into output/skeletons."""
        return ExtractConfig(
            videos=str(videos),
            output=str(Path(self.output).expanduser() / "skeletons"),
            fps=self.fps,
            overwrite=self.overwrite,
            device=self.device,
            half=self.half,
            detector=self.detector,
            estimator=self.estimator,
            tracker=self.tracker,
            smoothing=self.smoothing,
        )


@dataclass
class ExportConfig:
    """Records, written as the pickle of PySKL and mmaction2."""

    records: str = field("folder of records, searched to the bottom")
    output: str = field("file to write, .pkl")
    labels: str | None = field(
        "CSV file with video and label, numbered by name; null: the classes that an import has kept", None
    )
