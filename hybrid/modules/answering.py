"""Lightning module that answers test questions and keeps each answer as a line of predictions."""

from typing import Any

from lightning import LightningModule
from torch import Tensor

from fusion.batch import Batch
from hybrid.data.rows import EvalBatch
from hybrid.data.sample import Sample
from hybrid.modules.instruction import InstructionModule
from hybrid.scoring.answers import parse_answer


class AnswerModule(LightningModule):
    """Answers test batches; `lines` collects one prediction for each sample and probe."""

    def __init__(self, trained: InstructionModule, tokenizer: Any, probes: list[str | None], max_new_tokens: int):
        super().__init__()
        self.trained, self.tokenizer, self.probes, self.max_new_tokens = (
            trained,
            tokenizer,
            probes,
            max_new_tokens,
        )
        self.lines: list[dict] = []

    def transfer_batch_to_device(self, batch: Any, device: Any, dataloader_idx: int) -> Any:
        return batch[0], batch[1].to(device)

    def test_step(self, pair: tuple[EvalBatch, Batch], _index: int, dataloader_idx: int = 0) -> None:
        asked, batch = pair
        probe = self.probes[dataloader_idx]
        if asked.kind == "choose":
            self.lines += choose(asked.samples, self.trained.model.score(batch), probe)
        else:
            texts = self.tokenizer.batch_decode(
                self.trained.model.generate(batch, self.max_new_tokens), skip_special_tokens=True
            )
            self.lines += [write(sample, text, probe) for sample, text in zip(asked.samples, texts, strict=True)]


def choose(samples: list[Sample], scores: Tensor, probe: str | None) -> list[dict]:
    """Prediction lines of multiple choices: the likeliest option. scores: of all options of all samples, in order."""
    pieces = scores.split([len(sample.options) for sample in samples])
    return [
        line(sample, probe, int(piece.argmax()), None, [round(float(x), 4) for x in piece])
        for sample, piece in zip(samples, pieces, strict=True)
    ]


def write(sample: Sample, text: str, probe: str | None) -> dict:
    """The prediction line of a generated answer; intervals are moved from the clip's clock to the video's."""
    prediction = parse_answer(text, sample)
    if sample.kind == "interval" and prediction is not None:
        prediction = [round(second + sample.start, 3) for second in prediction]
    return line(sample, probe, prediction, text, None)


def line(sample: Sample, probe: str | None, prediction: Any, text: str | None, scores: list[float] | None) -> dict:
    """One line of predictions.jsonl."""
    return {
        "id": sample.id,
        "task": sample.task,
        "probe": probe,
        "binding": bool(sample.meta.get("binding")),
        "prediction": prediction,
        "answer": sample.answer,
        "num_options": len(sample.options) if sample.options else None,
        "text": text,
        "scores": scores,
    }
