"""What tools/train.py and tools/test.py can train and test, by the configuration's key `kind`."""

from dataclasses import dataclass
from importlib import import_module
from types import ModuleType

from hybrid.config.instruction import TrainConfig
from hybrid.config.loading import peek
from hybrid.config.pretraining import PretrainingConfig
from hybrid.config.recognition import RecognitionConfig
from hybrid.errors import ConfigError


@dataclass(frozen=True)
class Kind:
    """A schema, and the names of the modules with `train` and with `answer` and `report`; importing those takes seconds."""

    schema: type
    trains: str
    tests: str | None

    def training(self) -> ModuleType:
        return import_module(self.trains)

    def testing(self) -> ModuleType:
        if self.tests is None:
            raise ConfigError(
                "expected a run of another kind to test, found pre-training: what it learned is tested by kind=recognition with "
                "train.start=CHECKPOINT, train.freeze=true for a linear probe"
            )
        return import_module(self.tests)


KINDS = {
    "instruction": Kind(TrainConfig, "hybrid.runs.instruction_train", "hybrid.runs.instruction_test"),
    "recognition": Kind(RecognitionConfig, "hybrid.runs.recognition_train", "hybrid.runs.recognition_test"),
    "pretraining": Kind(PretrainingConfig, "hybrid.runs.encoder_pretraining", None),
}


def kind_of(arguments: list[str]) -> Kind:
    """The kind that YAML files and `kind=...` ask for; instruction where they do not say. Raises ConfigError."""
    name = peek(arguments, "kind") or "instruction"
    if name not in KINDS:
        raise ConfigError(f"expected one of {', '.join(KINDS)} for kind, found {name!r}")
    return KINDS[name]
