"""The pose in words: what a learned encoder has to beat. A row without a skeleton reads as in mode `none`."""

from collections.abc import Sequence
from functools import lru_cache

from fusion.batch import Batch, Row
from fusion.modes.base import FusionMode, FusionOptions
from fusion.pose_text import EXAMPLE, HEADER, pose_as_text
from skeleton.record import Skeleton


class PoseAsText(FusionMode):
    """Angles, positions and speeds of each limb as a paragraph before the question."""

    texts = (HEADER, *EXAMPLE)

    def __init__(self, *arguments):
        super().__init__(*arguments)
        self.written = lru_cache(maxsize=4096)(self.write)  # several questions are asked about one clip

    def write(self, skeleton: Skeleton, seconds: float) -> list[int]:
        """Token ids of the first `seconds` of a skeleton, and of the line's end behind them."""
        options = self.options
        text = pose_as_text(
            skeleton, 0.0, seconds, options.text_tokens, lambda text: len(self.encode(text + "\n")), options.max_persons
        )
        return self.encode(text + "\n")

    def prompt(self, row: Row) -> list[int]:
        return [] if row.skeleton is None else self.written(row.skeleton, row.seconds)

    def tokens(self, rows: Sequence[Row], batch: Batch) -> tuple[float, str]:
        return sum(len(self.prompt(row)) for row in rows) / len(rows), "tokens of the pose in words"

    @staticmethod
    def describe(options: FusionOptions) -> str:
        return f"{options.layout} skeletons, written into the prompt in at most {options.text_tokens} tokens"


MODE = PoseAsText
