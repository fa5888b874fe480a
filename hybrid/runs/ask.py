"""Questions about one video, to a trained run: extract the skeleton unless it is given, then answer."""

from dataclasses import dataclass
from pathlib import Path

import torch

from hybrid.config.extraction import DetectorConfig, EstimatorConfig, ExtractConfig, TrackerConfig
from hybrid.config.instruction import TrainConfig
from hybrid.config.loading import field
from hybrid.data.clips import Clip
from hybrid.data.module import ClipData, collate_eval, load
from hybrid.data.rows import EvalRows
from hybrid.data.sample import Sample
from hybrid.errors import ConfigError, DataError
from hybrid.modules.instruction import InstructionModule
from hybrid.runs.build import build
from hybrid.runs.checkpoints import load_weights
from hybrid.runs.run_folder import RunFolder
from skeleton.video import probe


def parts(text: str) -> list[str]:
    """The pieces between |, without blanks around them."""
    return [piece.strip() for piece in text.split("|") if piece.strip()]


@dataclass
class AskConfig(TrainConfig):
    """What tools/ask.py reads: a run's configuration and the questions."""

    video: str = field("the video")
    question: str = field("one question, or several with | between them")
    options: str = field("answers to choose from, with | between them, for all questions; none: the model writes", "")
    skeleton: str | None = field("record of the video; null extracts one", None)
    start: float = field("seconds where the clip begins", 0.0)
    end: float | None = field("seconds where the clip ends; null is the video's end", None)
    overlay: bool = field("also write the video with its skeleton drawn", False)
    detector: DetectorConfig = field("finds persons", DetectorConfig)
    estimator: EstimatorConfig = field("finds joints", EstimatorConfig)
    tracker: TrackerConfig = field("links persons over time", TrackerConfig)

    def check(self) -> None:
        super().check()
        if len(parts(self.options)) == 1:
            raise ConfigError(
                f"expected no options or two and more, found options={self.options!r}: add another after |"
            )


@dataclass(frozen=True)
class Reply:
    """An answer in words, and the probability of each option (None where the model wrote)."""

    question: str
    text: str
    probabilities: list[float] | None


def extract(config: AskConfig) -> Path:
    """The record of the video in output/name/asked, made unless it is there. Raises DataError when that fails."""
    from hybrid.runs.extraction import extract_videos

    folder = Path(config.output) / config.name / "asked"
    summary = extract_videos(
        ExtractConfig(
            videos=config.video,
            output=str(folder),
            overlay=config.overlay,
            overwrite=True,
            detector=config.detector,
            estimator=config.estimator,
            tracker=config.tracker,
        )
    )
    if summary.failures:
        raise DataError(f"no skeleton from {config.video}: {summary.failures[0]['reason']}")
    return folder / Path(config.video).with_suffix(".npz").name


def ask(config: AskConfig) -> list[Reply]:
    """Answer the questions with the run's checkpoint (`test.checkpoint`)."""
    end = config.end or probe(config.video).duration
    skeleton = config.skeleton or (str(extract(config)) if config.fusion.mode != "none" else None)
    model, collator = build(config, load(config.data.train, "data.train") if config.mllm.path == "tiny" else ())
    module = InstructionModule(model, config.train)
    load_weights(module, RunFolder(Path(config.output) / config.name).checkpoint(config.test.checkpoint))
    samples = tuple(
        Sample(
            id=str(i), task="asked", question=question, video=config.video, skeleton=skeleton,
            start=config.start, end=end, options=tuple(parts(config.options)) or None,
        )
        for i, question in enumerate(parts(config.question))
    )  # fmt: skip
    data = ClipData(config, collator)
    rows = EvalRows([Clip(config.video, skeleton, config.start, end, samples)], data.reader, len(samples))
    asked, batch = collate_eval(collator, rows[0])
    module.eval()
    with torch.no_grad():
        if asked.kind == "choose":
            scores = model.score(batch).view(len(samples), -1).softmax(-1)
            return [
                Reply(sample.question, sample.options[int(row.argmax())], row.tolist())
                for sample, row in zip(asked.samples, scores, strict=True)
            ]
        ids = model.generate(batch, config.test.max_new_tokens)
    texts = collator.processor.tokenizer.batch_decode(ids, skip_special_tokens=True)
    return [Reply(sample.question, text.strip(), None) for sample, text in zip(asked.samples, texts, strict=True)]
