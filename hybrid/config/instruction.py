"""Every key of the product's configuration, with its default and what it means.

`tools/train.py` and `tools/test.py` share `TrainConfig`; a new key is one line here. `check()` methods hold
the contradictions between keys, each naming both.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any

from fusion.modes import MODES
from hybrid.config.loading import field
from hybrid.errors import ConfigError

if TYPE_CHECKING:
    from fusion.modes.base import FusionOptions

ORACLE = "oracle"
LEAST_TEXT = 256  # tokens; a header and one line for each limb of a person take some more


def _demand(holds: bool, message: str) -> None:
    if not holds:
        raise ConfigError(message)


@dataclass
class TinyConfig:
    """Sizes of the small model of a real class that `mllm.path=tiny` builds."""

    width: int = field("hidden width of the language model", 128)
    layers: int = field("decoder layers", 4)
    heads: int = field("attention heads; divides the width", 4)
    vision_width: int = field("hidden width of the vision tower", 64)
    vision_layers: int = field("layers of the vision tower", 2)
    patch_size: int = field("side of a vision patch in pixels; two by two patches make a visual token", 14)
    vocabulary: int = field("words of the tokenizer, at most", 1024)

    def check(self) -> None:
        _demand(
            self.width % self.heads == 0,
            f"expected mllm.tiny.width to be a multiple of mllm.tiny.heads, found {self.width} and {self.heads}",
        )


@dataclass
class MLLMConfig:
    """The video language model."""

    path: str = field("hub name or folder of a Hugging Face video MLLM, or tiny", "tiny")
    dtype: str = field("of the frozen weights", "auto", choices=["auto", "float32", "bfloat16", "float16"])
    revision: str | None = field("commit or tag on the hub", None)
    trust_remote_code: bool = field("run model code from the hub", False)
    freeze_vision: bool = field("leave the vision tower as it is", True)
    freeze_language: bool = field("leave the language model as it is, except for LoRA", True)
    lora_rank: int = field("rank of the LoRA adapters of the language model; 0 for none", 0)
    tiny: TinyConfig = field("sizes when path is tiny", TinyConfig)

    def check(self) -> None:
        _demand(
            self.lora_rank == 0 or self.freeze_language,
            f"expected mllm.freeze_language=true with LoRA, found false and mllm.lora_rank={self.lora_rank}; "
            "set one of them",
        )


@dataclass
class EncoderConfig:
    """The network over joints."""

    name: str = field("one of skeleton.encoders.ENCODERS, or oracle: the true events of data.events", "prenorm")
    layout: str = field("joints of the skeletons", "coco17")
    width: int = field("channels of its features", 64)
    depth: int = field("blocks", 4)
    stride: int = field("skeleton rows for one row of features", 8)
    streams: list[str] = field(
        "what it sees of the joints",
        ["joint", "motion", "position"],
        choices=["joint", "bone", "motion", "bone_motion", "trajectory", "position", "own"],
    )
    freeze: bool = field("leave the network as it is (the event head goes on learning)", False)
    options: dict[str, Any] = field("further arguments of its constructor, such as {graph: pyg}", {})


@dataclass
class FusionConfig:
    """How a body enters the language model."""

    mode: str = field(
        "what the language model gets of the body: "
        + "; ".join(f"{name}: {mode.gives}" for name, mode in MODES.items()),
        "tokens",
        choices=[*MODES],
    )
    bin_seconds: float = field("seconds of one joint token", 0.25)
    max_persons: int = field("persons that get tokens, the best visible first", 3)
    max_tokens: int = field("joint tokens of a clip, at most; longer bins are used to stay below", 512)
    min_activity: float = field(
        "joint tokens of limbs that move with a smaller probability are left out of the prompt (needs an event head)",
        0.0,
    )
    text_tokens: int = field("tokens of the pose in mode text, at most; its steps of time are as fine as fits", 1024)
    position: str = field("position ids of joint tokens", "time", choices=["time", "text"])
    anchor: bool = field("add visual features at the joints' positions", False)
    dropout_pose: float = field("share of training samples without pose", 0.1)
    dropout_video: float = field("share of training samples without video", 0.1)

    def options(self, layout: str) -> FusionOptions:
        """What modes read of these keys; layout: of the skeletons."""
        from fusion.modes.base import FusionOptions  # needs torch, which reading a configuration does not

        names = {entry.name for entry in fields(FusionOptions)} - {"layout"}
        return FusionOptions(layout=layout, **{name: getattr(self, name) for name in names})

    def check(self) -> None:
        both = f"found {self.dropout_pose} and {self.dropout_video}"
        _demand(
            min(self.dropout_pose, self.dropout_video) >= 0 and self.dropout_pose + self.dropout_video <= 1,
            f"expected fusion.dropout_pose and fusion.dropout_video to share at most 1, {both}",
        )
        _demand(
            MODES[self.mode].encodes or not self.anchor,
            f"expected fusion.anchor=false with fusion.mode={self.mode}, found true: no joint tokens to anchor",
        )
        _demand(
            self.mode != "text" or self.text_tokens >= LEAST_TEXT,
            f"expected fusion.text_tokens of at least {LEAST_TEXT} with fusion.mode=text, found {self.text_tokens}: "
            "the coarsest text of one person takes more",
        )


@dataclass
class DataConfig:
    """Samples and how clips are read."""

    train: list[str] = field("JSONL files of training samples", [])
    val: list[str] = field("JSONL files of validation samples", [])
    test: list[str] = field("JSONL files of test samples", [])
    events: list[str] = field("JSONL files of limb events by clip, for train.event_loss and the oracle", [])
    frames: int = field("video frames of a clip; 0 reads no video", 8)
    size: int | None = field("side of a frame in pixels; null leaves its size to the model's processor", 112)
    pose_fps: float = field("skeleton rows a second", 24.0)
    questions_per_sequence: int = field("training questions of one clip that share a sequence", 1)
    group_lengths: bool = field(
        "batches of clips of like length: less padding, all skeletons are read at the start", False
    )
    answer_format: str = field("what the model writes for a multiple choice", "text", choices=["text", "letter"])
    workers: int = field("processes that load samples", 0)
    cache: str | None = field("folder of decoded frames; null decodes every time", None)
    validation_fraction: float = field("share of the training clips held out when data.val is empty", 0.0)

    def check(self) -> None:
        fraction = self.validation_fraction
        _demand(0 <= fraction < 1, f"expected data.validation_fraction in [0, 1), found {fraction}")
        _demand(
            fraction == 0 or not self.val,
            f"expected data.val or data.validation_fraction, found {self.val} and {fraction}; drop one",
        )


@dataclass
class OptimConfig:
    """Training."""

    steps: int = field("optimizer steps", 1000)
    batch_size: int = field("sequences of one device and pass", 8)
    accumulate: int = field("passes of one step", 1)
    start: list[str] = field("checkpoints of other runs: the model begins with their weights of the same names", [])
    optimizer: str = field(
        "of all weights; muon: of the matrices within layers, adamw for the rest", "adamw", choices=["adamw", "muon"]
    )
    lr: float = field("peak learning rate", 1e-3)
    muon_lr: float = field("peak learning rate of muon", 1e-2)
    encoder_lr: float | None = field("peak learning rate of the encoder; null takes train.lr", None)
    weight_decay: float = field("of matrices, not of norms and biases", 0.05)
    warmup: int = field("steps until the peak learning rate", 50)
    grad_clip: float = field("norm of the gradient, at most; 0 for no limit", 1.0)
    val_every: int = field("steps between validations; 0 for none", 200)
    val_samples: int | None = field("validation samples, evenly spaced; null takes all", 256)
    precision: str = field("of the passes", "32-true", choices=["32-true", "bf16-mixed", "16-mixed"])
    devices: int = field("processes, one for each GPU", 1)
    resume: str | None = field("checkpoint to go on from: last, a path, or auto (last if there is one)", None)
    pretrain_steps: int = field("steps of event pre-training of the encoder, before the first step", 0)
    pretrain_batch: int = field("clips of one such step", 48)
    pretrain_lr: float = field("its peak learning rate", 4e-3)
    event_loss: float = field("weight of the encoder's own event prediction", 0.0)
    look_loss: float = field(
        "weight of the anchor's naming of looks (meta.look of the samples; needs data.events)", 0.0
    )

    def check(self) -> None:
        _demand(
            self.steps > 0 or self.pretrain_steps > 0,
            f"expected train.steps or train.pretrain_steps above 0, found {self.steps} and {self.pretrain_steps}",
        )
        _demand(
            self.steps == 0 or self.warmup < self.steps,
            f"expected train.warmup below train.steps, found {self.warmup} and {self.steps}",
        )


@dataclass
class TestConfig:
    """Testing."""

    __test__ = False  # a name that pytest would collect

    checkpoint: str = field("best, last or a path", "best")
    probes: list[str] = field(
        "counterfactual runs beside the plain one",
        ["none", "shuffle"],
        choices=["none", "shuffle", "no_video", "text_only"],
    )
    batch_size: int = field("samples of one pass", 16)
    score_only: bool = field("score the predictions of the run folder again, without a model", False)
    max_new_tokens: int = field("length of a generated answer, at most", 32)
    samples: int | None = field("test samples, evenly spaced; null takes all", None)


@dataclass
class TrainConfig:
    """What tools/train.py and tools/test.py read."""

    kind: str = field(
        "what is trained: a video language model here, see hybrid.runs.kinds for others",
        "instruction",
        choices=["instruction"],
    )
    name: str = field("the run folder is output/name", "run")
    seed: int = field("of everything that is drawn", 0)
    output: str = field("folder of run folders", "runs")
    mllm: MLLMConfig = field("the video language model", MLLMConfig)
    encoder: EncoderConfig = field("the network over joints", EncoderConfig)
    fusion: FusionConfig = field("how a body enters the language model", FusionConfig)
    data: DataConfig = field("samples and how clips are read", DataConfig)
    train: OptimConfig = field("training", OptimConfig)
    test: TestConfig = field("testing", TestConfig)

    def check(self) -> None:
        tiny, size = self.mllm.tiny, self.data.size
        _demand(
            self.mllm.path != "tiny" or size is None or size % (2 * tiny.patch_size) == 0,
            f"expected data.size to be a multiple of twice mllm.tiny.patch_size, found {size} and "
            f"{tiny.patch_size}; take {max(1, (size or 0) // (2 * tiny.patch_size)) * 2 * tiny.patch_size}",
        )
        _demand(
            MODES[self.fusion.mode].encodes or self.train.event_loss == 0,
            f"expected train.event_loss=0 with fusion.mode={self.fusion.mode}, found {self.train.event_loss}: "
            "no encoder",
        )
        _demand(
            self.train.pretrain_steps == 0 or self.train.event_loss > 0,
            f"expected train.event_loss above 0 with train.pretrain_steps={self.train.pretrain_steps}, found 0: "
            "event pre-training trains the head of that loss",
        )
        _demand(
            self.train.look_loss == 0 or self.fusion.anchor,
            f"expected fusion.anchor=true with train.look_loss={self.train.look_loss}, found false: nothing sees looks",
        )
        _demand(
            self.train.pretrain_steps == 0 or not self.encoder.freeze,
            f"expected encoder.freeze=false with train.pretrain_steps={self.train.pretrain_steps}, found true: "
            "event pre-training is training of the encoder",
        )
        _demand(
            self.fusion.mode in ("tokens", "none") or self.encoder.name != ORACLE,
            f"expected fusion.mode=tokens with encoder.name={ORACLE}, found {self.fusion.mode}: events are told in joint tokens",
        )
        oracle, losses = self.encoder.name == ORACLE, (self.train.event_loss, self.train.look_loss)
        _demand(
            not (oracle or any(losses)) or bool(self.data.events),
            f"expected files in data.events with train.event_loss={losses[0]}, train.look_loss={losses[1]} and "
            f"encoder.name={self.encoder.name}, found none; give them",
        )
        _demand(
            self.fusion.min_activity == 0 or oracle or self.train.event_loss > 0,
            f"expected fusion.min_activity=0 with train.event_loss=0, found {self.fusion.min_activity}: no event head",
        )
        _demand(
            not oracle or (self.train.event_loss == 0 and not self.fusion.anchor),
            f"expected train.event_loss=0 and fusion.anchor=false with encoder.name={ORACLE}, found "
            f"{self.train.event_loss} and {str(self.fusion.anchor).lower()}: there is no encoder to train",
        )
