"""Keys of action recognition from skeletons: `kind: recognition` in a configuration of tools/train.py and tools/test.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid.config.loading import field
from hybrid.errors import ConfigError


@dataclass
class NetworkConfig:
    """The network over joints."""

    name: str = field("one of skeleton.encoders.ENCODERS", "stgcnpp")
    width: int = field("channels of its features", 256)
    depth: int = field("blocks", 10)
    stride: int = field("skeleton rows for one row of features", 4)
    options: dict[str, Any] = field("further arguments of its constructor", {})


@dataclass
class ActionsConfig:
    """Labelled skeletons."""

    file: str = field("clips: .npz as docs/encoders.md describes it, or a pickle of pyskl or mmaction2")
    layout: str | None = field("joints, where the number of joints does not say it", None)
    fps: float = field("rows a second of the clips", 30.0)
    train_split: str = field("name of the split to train on", "train")
    test_split: str | None = field("name of the split to test on; null where there is but one other", None)
    classes: list[str] = field("names of the classes 0, 1, ... of a pickle", [])
    val_share: float = field(
        "share of the training clips of each class held out, on which the checkpoint is chosen", 0.1
    )
    label_share: float = field("share of the training clips of each class that is used", 1.0)
    rows: int = field("rows of a clip that the network sees, evenly spaced over it", 64)
    max_persons: int = field("persons of a clip, the best visible first", 2)
    face: bool = field("turn clips so that the person begins facing along z: alike from every side (metres)", False)


@dataclass
class AugmentConfig:
    """What changes from epoch to epoch."""

    crop: float = field("shortest part of a clip that is taken for the whole; 1 takes all", 0.5)
    uneven: bool = field("rows at random moments instead of evenly spaced ones: the speed varies within a clip", False)
    turn: float = field("degrees about the vertical, at most either way (3D)", 0.0)
    tilt: float = field("degrees about the other axes, at most either way (3D)", 0.0)
    scale: float = field("share by which each axis is longer or shorter, at most", 0.1)
    mirror: float = field("share of the clips whose left and right are exchanged", 0.0)
    behind: float = field(
        "share of the clips shown as depth cameras see a person from behind: sides exchanged, half a turn (3D)", 0.0
    )
    jitter: float = field("deviation of noise on each coordinate, metres or frame heights", 0.0)
    miss_joints: float = field("share of joints missed, at most; drawn for each batch", 0.0)
    drop_frames: float = field("share of rows lost, at most; drawn for each batch", 0.0)


@dataclass
class RecognitionOptim:
    """Training."""

    epochs: int = field("passes over the training clips", 60)
    batch_size: int = field("clips of a step", 16)
    optimizer: str = field("sgd has Nesterov's momentum of 0.9", "sgd", choices=["sgd", "adamw"])
    lr: float = field("peak learning rate", 0.1)
    weight_decay: float = field("of matrices, not of norms and biases", 5e-4)
    warmup: float = field("share of the steps until the peak; a cosine to 0 follows", 0.1)
    grad_clip: float = field("norm of the gradient, at most; 0 for no limit", 0.0)
    label_smoothing: float = field("of the targets", 0.1)
    dropout: float = field("of the features before the last layer", 0.0)
    average: float = field(
        "decay of the average over steps of all weights, which is what is validated and kept; 0 for none", 0.0
    )
    freeze: bool = field("leave the network as it is: a linear probe", False)
    start: str | None = field("checkpoint whose network's weights this one begins with", None)
    val_every: int = field("epochs between validations", 1)
    precision: str = field("of the passes", "32-true", choices=["32-true", "bf16-mixed", "16-mixed"])
    devices: int = field("processes, one for each GPU", 1)
    resume: str | None = field("checkpoint to go on from: last, a path, or auto (last if there is one)", None)


@dataclass
class RecognitionTest:
    """Testing."""

    __test__ = False  # a name that pytest would collect

    checkpoint: str = field("best, last or a path", "best")
    batch_size: int = field("clips of a pass", 64)
    probes: dict[str, float] = field(
        "spoilt skeletons to test on beside the clean ones, each with its share: jitter, miss_joints, drop_frames, swap_sides",
        {},
    )
    neighbours: int = field(
        "nearest training clips, by the network's features, that vote instead of the last layer; nothing is trained then, "
        "the network is that of train.start; 0 for none",
        0,
    )
    members: list[str] = field("run folders whose scores are added up: nothing is run, the sum is scored", [])
    weights: list[float] = field("of the members' scores; empty for all alike", [])
    score_only: bool = field("score the predictions of the run folder again, without a model", False)


@dataclass
class RecognitionConfig:
    """Action recognition from skeletons alone."""

    kind: str = field("what is trained", "recognition", choices=["recognition"])
    name: str = field("the run folder is output/name", "recognition")
    seed: int = field("of everything that is drawn", 0)
    output: str = field("folder of run folders", "runs")
    encoder: NetworkConfig = field("the network over joints", NetworkConfig)
    stream: str = field(
        "what it sees of the joints",
        "joint",
        choices=["joint", "bone", "motion", "bone_motion", "trajectory", "position"],
    )
    data: ActionsConfig = field("labelled skeletons", ActionsConfig)
    augment: AugmentConfig = field("what changes from epoch to epoch", AugmentConfig)
    train: RecognitionOptim = field("training", RecognitionOptim)
    test: RecognitionTest = field("testing", RecognitionTest)

    def check(self) -> None:
        """Values that cannot be."""
        for name, value, least, most in (
            ("data.val_share", self.data.val_share, 0, 0.9),
            ("data.label_share", self.data.label_share, 0, 1),
            ("augment.crop", self.augment.crop, 0.05, 1),
            ("train.warmup", self.train.warmup, 0, 0.9),
            ("train.average", self.train.average, 0, 0.9999),
        ):
            if not least <= value <= most:
                raise ConfigError(f"expected {name} in {least} .. {most}, found {value}")
        if self.test.weights and len(self.test.weights) != len(self.test.members):
            raise ConfigError(
                f"expected a weight for each of test.members, found {len(self.test.weights)} in test.weights and "
                f"{len(self.test.members)} members: give as many, or none"
            )
        if self.test.neighbours and not self.train.start:
            raise ConfigError(
                f"expected train.start with test.neighbours={self.test.neighbours}, found none: whose features? "
                "give a checkpoint, or train.start=random for that floor"
            )
        if self.train.start and self.train.resume not in (None, "auto"):
            raise ConfigError(
                "expected train.start or train.resume, found both: a run that goes on has its weights (auto goes on if it can)"
            )
        if self.train.freeze and not self.train.start:
            raise ConfigError(
                "expected train.start with train.freeze=true, found none: a probe of a network without training says little; "
                "give a checkpoint, or train.start=random for that floor"
            )
