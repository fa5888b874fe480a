"""Testing of one run: answers under every probe to predictions.jsonl, then scores to report.json and report.html.

Scoring reads only files, so it can be repeated without a model.
"""

from typing import Any

from lightning import LightningModule, Trainer, seed_everything
from lightning.pytorch.callbacks import TQDMProgressBar
from torch import Tensor

from fusion.batch import Batch
from hybrid.build import build, load_weights
from hybrid.config.instruction import TrainConfig
from hybrid.config.loading import config_hash
from hybrid.data.clips import group_clips
from hybrid.data.module import ClipData, load, thin
from hybrid.data.rows import EvalBatch
from hybrid.data.sample import Sample
from hybrid.modules.instruction import InstructionModule
from hybrid.run_folder import RunFolder, read_jsonl, write_json, write_jsonl
from hybrid.scoring.answers import parse_answer
from hybrid.scoring.caption_claims import caption_figures
from hybrid.scoring.html import render
from hybrid.scoring.report import score
from skeleton.files import atomic


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


def answer(config: TrainConfig, folder: RunFolder) -> None:
    """Run the trained model on the test clips, plainly and under every probe; writes predictions.jsonl."""
    seed_everything(config.seed, verbose=False)
    model, collator = build(config, load(config.data.train, "data.train"))
    module = InstructionModule(model, config.train)
    checkpoint = folder.checkpoint(config.test.checkpoint)
    load_weights(module, checkpoint)
    module.eval()
    data = ClipData(config, collator)
    clips = thin(group_clips(load(config.data.test, "data.test")), config.test.samples)
    probes = [None, *config.test.probes]
    print(
        f"{checkpoint}: {sum(len(c.samples) for c in clips)} questions about {len(clips)} clips, probes {config.test.probes}"
    )
    answering = AnswerModule(module, collator.processor.tokenizer, probes, config.test.max_new_tokens)
    trainer = Trainer(
        precision=config.train.precision, devices=1, logger=False, callbacks=[TQDMProgressBar(refresh_rate=5)],
        enable_checkpointing=False, enable_model_summary=False,
    )  # fmt: skip
    trainer.test(answering, [data.eval_loader(clips, probe) for probe in probes], verbose=False)
    write_jsonl(folder.predictions, answering.lines)


def report(config: TrainConfig, folder: RunFolder) -> dict[str, Any]:
    """Score predictions.jsonl; writes report.json and report.html."""
    samples, train = load(config.data.test, "data.test"), load(config.data.train, "data.train")
    if config.test.samples is not None:
        samples = [sample for clip in thin(group_clips(samples), config.test.samples) for sample in clip.samples]
    lines = read_jsonl(folder.predictions)
    result = score(lines, samples, train, benchmark=",".join(config.data.test), config_hash=config_hash(config))
    if (captions := caption_figures(lines, samples)) is not None:
        result["captions"] = captions
    write_json(folder.report, result)
    with atomic(folder.page) as file:
        file.write(render(result, config.name, samples, lines))
    return result
