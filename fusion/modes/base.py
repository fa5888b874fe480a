"""The interface of fusion modes: what a mode builds, writes into prompt or frames, fuses, and says of itself."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from fusion.batch import Batch, Body, Row
from fusion.families import Family
from skeleton.encoders import Encoder
from skeleton.video import Frames


@dataclass(frozen=True)
class FusionOptions:
    """The numbers that modes read. layout: of the skeletons; max_persons: who enters, the best visible first; bin_seconds,
    max_tokens: of joint tokens; min_activity: probability of a movement below which a limb's token is left out; position:
    see fusion.placement; anchor: joint tokens look at the video; text_tokens: of the pose in words."""

    layout: str = "coco17"
    max_persons: int = 3
    bin_seconds: float = 0.25
    max_tokens: int = 512
    min_activity: float = 0.0
    position: str = "time"
    anchor: bool = False
    text_tokens: int = 1024


class FusionMode:
    """Lets nothing of the body into the language model; other modes override what they change."""

    texts: tuple[str, ...] = ()  # examples of what it writes, for a tokenizer that is trained on the spot

    def __init__(self, options: FusionOptions, encode: Callable[[str], list[int]]):
        self.options, self.encode = options, encode

    def build(
        self, embedding: nn.Embedding, make_encoder: Callable[[], Encoder] | None, event_head: bool
    ) -> nn.Module | None:
        """What trains besides the language model. embedding: the language model's; make_encoder: None where events are
        known instead of encoded; event_head: the encoder's features also tell events."""
        return None

    def frames(self, row: Row) -> Frames | None:
        """The frames that the vision tower sees."""
        return row.frames

    def prompt(self, row: Row) -> list[int]:
        """Token ids that stand between the video and the question."""
        return []

    def body(self, rows: Sequence[Row]) -> Body | None:
        """Tensors of the body, whose plan says how many placeholders each row holds."""
        return None

    @contextmanager
    def fused(
        self, mllm: Any, family: Family, joints: nn.Module | None, batch: Batch
    ) -> Iterator[tuple[Batch, dict[str, Tensor]]]:
        """Within the block a pass of `mllm` over the prompt of the batch that is given sees the body. The second part are
        losses of what `build` made, by name, in training."""
        yield batch, {}

    def tokens(self, rows: Sequence[Row], batch: Batch) -> tuple[float, str]:
        """The mean number of tokens that the body costs, and what they are."""
        return 0.0, "tokens of the body"

    @staticmethod
    def describe(options: FusionOptions) -> str:
        """What enters the language model, for a model card."""
        return "nothing of the body"
