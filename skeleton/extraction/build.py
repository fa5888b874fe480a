"""Which networks run, from the names and files that a user gives.

Weights that end in `.onnx` run in onnxruntime, and the config names the detector's family; the config `transformers`
takes a model of the Hugging Face hub or a folder; anything else is a checkpoint of MMDet or MMPose with its config.
Without a detector the estimator is one that finds persons itself (RTMO).
"""

from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path

from skeleton.extraction.hub_models import HubDetector, HubEstimator
from skeleton.extraction.onnx_models import OnnxDetector, OnnxEstimator
from skeleton.extraction.pipeline import Extractor, Settings
from skeleton.extraction.streaming import Stages
from skeleton.extraction.topdown import Detector, Estimator, PersonSource, TopDown
from skeleton.extraction.zoo import find_config
from skeleton.files import sha256

HUB = "transformers"
_PROJECTS = (
    "mmdet", "mmpose", "mmengine", "mmcv", "mmcv-lite", "onnxruntime", "transformers", "torch", "torchvision", "numpy", "av",
)  # fmt: skip


@dataclass(frozen=True)
class Network:
    """One network. checkpoint: its weights, or of a hub model its name or folder. config: its file, None unless it is of
    MMDet or MMPose. family: what an ONNX detector is, or `transformers`. size: side of an ONNX detector's input."""

    checkpoint: Path | str
    config: Path | None = None
    family: str = ""
    size: int | None = None

    @classmethod
    def find(cls, config: str, checkpoint: Path | str, size: int | None = None) -> "Network":
        """Resolves the name of a config; ExtractionError where there is none."""
        if config == HUB:
            return cls(str(checkpoint), family=HUB)
        if Path(checkpoint).suffix == ".onnx":
            return cls(Path(checkpoint), family=config.partition("_")[0], size=size)
        return cls(Path(checkpoint), find_config(config))

    def describe(self) -> dict:
        """What a record says of it. A hub model is named, not hashed."""
        if self.family == HUB:
            return {
                "checkpoint": Path(self.checkpoint).name if Path(self.checkpoint).exists() else self.checkpoint,
                "family": HUB,
            }
        names = {"checkpoint": self.checkpoint.name, "checkpoint_sha256": sha256(self.checkpoint)}
        if self.config is None:
            return {**names, "family": self.family, "size": self.size}
        return {**names, "config": self.config.name, "config_sha256": sha256(self.config)}


@dataclass(frozen=True)
class Runtime:
    """How networks run. half: half precision (on a GPU only); compile: torch.compile, worth it for many videos."""

    device: str = "cpu"
    batch_size: int = 8
    half: bool = False
    compile: bool = False


def describe(detector: Network | None, estimator: Network, settings: Settings, half: bool = False) -> dict:
    """The part of a record's source that every video of a run shares; needs no model to be built."""
    found = {name: list(metadata.distributions(name=name)) for name in _PROJECTS}
    return {
        "extractor": "one-stage" if detector is None else "top-down",
        "detector": detector and detector.describe(),
        "estimator": estimator.describe(),
        "versions": {name: entries[0].version for name, entries in found.items() if entries},
        "settings": {**asdict(settings), "half": half},
        "confidence_threshold": settings.confidence_threshold,
    }


def build_extractor(detector: Network | None, estimator: Network, settings: Settings, runtime: Runtime) -> Extractor:
    """Loads the networks; ExtractionError or SkeletonError where a file does not fit."""
    source = build_source(detector, estimator, settings, runtime)
    return Extractor(source, settings, describe(detector, estimator, settings, runtime.half), source.stages)


def build_source(detector: Network | None, estimator: Network, settings: Settings, runtime: Runtime) -> PersonSource:
    """Where persons come from."""
    if detector is None:
        from skeleton.extraction.rtmo import BottomUp

        return BottomUp(
            estimator.config,
            estimator.checkpoint,
            runtime.device,
            runtime.batch_size,
            settings.detector_score,
            runtime.half,
        )
    return TopDown(
        build_detector(detector, settings.detector_score, runtime),
        build_estimator(estimator, runtime),
        every=settings.every,
        rate=settings.rate,
        start_score=settings.start_score,
        patience_seconds=settings.patience_seconds,
        threshold=settings.confidence_threshold,
        stages=Stages(),
    )


def build_detector(network: Network, score: float, runtime: Runtime) -> Detector:
    """A detector on the runtime's device."""
    if network.family == HUB:
        return HubDetector(network.checkpoint, runtime.device, score, runtime.half)
    if network.config is None:
        return OnnxDetector(network.checkpoint, network.family, runtime.device, score, network.size)
    from skeleton.extraction.detector import PersonDetector

    return PersonDetector(network.config, network.checkpoint, runtime.device, score, runtime.half)


def build_estimator(network: Network, runtime: Runtime) -> Estimator:
    """An estimator on the runtime's device."""
    if network.family == HUB:
        return HubEstimator(network.checkpoint, runtime.device, runtime.batch_size, runtime.half)
    if network.config is None:
        return OnnxEstimator(network.checkpoint, runtime.device, runtime.batch_size)
    from skeleton.extraction.estimator import PoseEstimator

    return PoseEstimator(
        network.config, network.checkpoint, runtime.device, runtime.batch_size, runtime.half, runtime.compile
    )
