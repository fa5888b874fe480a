"""Keys of tools/prepare.py."""

from dataclasses import dataclass

from hybrid.config import field
from hybrid.errors import ConfigError


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
