"""Keys of `tools/prepare.py folder` and `export`. The pose networks' keys are those of tools/extract.py."""

from dataclasses import dataclass
from pathlib import Path

from hybrid.config import field
from hybrid.config_extract import DetectorConfig, EstimatorConfig, ExtractConfig, SmoothingConfig, TrackerConfig
from hybrid.errors import ConfigError


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
