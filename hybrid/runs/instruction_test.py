"""Testing of one run: answers under every probe to predictions.jsonl, then scores to report.json and report.html.

Scoring reads only files, so it can be repeated without a model.
"""

from typing import Any

from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import TQDMProgressBar

from hybrid.config.instruction import TrainConfig
from hybrid.config.loading import config_hash
from hybrid.data.clips import group_clips
from hybrid.data.module import ClipData, load, thin
from hybrid.modules.answering import AnswerModule
from hybrid.modules.instruction import InstructionModule
from hybrid.runs.build import build
from hybrid.runs.checkpoints import load_weights
from hybrid.runs.run_folder import RunFolder
from hybrid.scoring.claims.caption_metrics import caption_figures
from hybrid.scoring.html import render
from hybrid.scoring.report import score
from skeleton.files import atomic
from skeleton.jsonl import read_jsonl, write_json, write_jsonl


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
