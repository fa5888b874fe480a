"""Keys of pre-training skeleton encoders without labels: `kind: pretraining` in a configuration of tools/train.py."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from hybrid.config.loading import field
from hybrid.config.recognition import AugmentConfig, NetworkConfig
from hybrid.errors import ConfigError


@dataclass
class RecordsConfig:
    """Skeletons without labels."""

    skeletons: str = field(
        "folder of records (.npz of tools/extract.py or tools/prepare.py), or a labelled file: its training split"
    )
    layout: str | None = field("joints: records are converted; null takes those of the first one", None)
    fps: float = field("rows a second of the clips of a labelled file", 30.0)
    seconds: float = field("records are cut into windows of this length", 4.0)
    rows: int = field("rows of a window that the network sees, evenly spaced over it", 64)
    max_persons: int = field("persons of a window, the best visible first", 2)
    face: bool = field("turn windows so that the person begins facing along z: alike from every side (metres)", False)
    texts: str | None = field(
        "embeddings for the objective alignment: .npz with name [n] and embedding [n, 7, E], NaN for none", None
    )


@dataclass
class PretrainingOptim:
    """Training."""

    epochs: int = field("passes over the windows", 100)
    batch_size: int = field("windows of a step", 32)
    lr: float = field("peak learning rate of AdamW", 1e-3)
    weight_decay: float = field("of matrices, not of norms and biases", 0.05)
    warmup: float = field("share of the steps until the peak; a cosine to 0 follows", 0.1)
    grad_clip: float = field("norm of the gradient, at most; 0 for no limit", 1.0)
    precision: str = field("of the passes", "32-true", choices=["32-true", "bf16-mixed", "16-mixed"])
    devices: int = field("processes, one for each GPU", 1)
    resume: str | None = field("checkpoint to go on from: last, a path, or auto (last if there is one)", None)


@dataclass
class PretrainingConfig:
    """Pre-training of a skeleton encoder; recognition and instruction tuning begin with its weights."""

    kind: str = field("what is trained", "pretraining", choices=["pretraining"])
    name: str = field("the run folder is output/name", "pretraining")
    seed: int = field("of everything that is drawn", 0)
    output: str = field("folder of run folders", "runs")
    encoder: NetworkConfig = field("the network over joints", NetworkConfig)
    stream: str = field(
        "what it sees of the joints",
        "joint",
        choices=["joint", "bone", "motion", "bone_motion", "trajectory", "position"],
    )
    objectives: dict[str, float] = field(
        "weight of each loss: masked_joints, masked_motion, velocity, contrast, alignment, events; 0 leaves it out",
        {"masked_motion": 1.0},
    )
    options: dict[str, Any] = field("further arguments of objectives, such as {masked_motion: {share: 0.8}}", {})
    data: RecordsConfig = field("skeletons without labels", RecordsConfig)
    augment: AugmentConfig = field("what changes from epoch to epoch", AugmentConfig)
    train: PretrainingOptim = field("training", PretrainingOptim)

    def check(self) -> None:
        """Objectives that contradict the rest; one of weight 0, as an override leaves it, is none."""
        unknown = sorted(set(self.options) - set(self.objectives))
        left_out = {name for name, weight in self.objectives.items() if not weight}
        self.objectives, self.options = (
            {name: value for name, value in given.items() if name not in left_out}
            for given in (self.objectives, self.options)
        )
        if not self.objectives:
            raise ConfigError("expected one objective or more, found none: set objectives={masked_motion: 1.0}")
        if unknown:
            raise ConfigError(
                f"expected options of the objectives {', '.join(self.objectives)}, found {unknown[0]}: drop it"
            )
        if ("alignment" in self.objectives) != (self.data.texts is not None):
            raise ConfigError(
                f"expected data.texts with objectives.alignment and only then, found {self.data.texts}: give both or none"
            )
