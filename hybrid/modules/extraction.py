"""Extraction with Lightning: `predict_step` takes one video and writes one record.

Records are whole or absent, so an interrupted run goes on where it stopped. A bad video is set aside in
failures.jsonl with its reason and the others go on; a bad model or option ends the run at once.

The networks are no submodules: MMEngine models note their device in their own `to`, which Lightning bypasses.
"""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from lightning import LightningModule, Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from torch.utils.data import DataLoader
from tqdm import tqdm

from hybrid.config_extract import ExtractConfig
from hybrid.errors import ConfigError, ModelError
from skeleton.errors import RecordError, SkeletonError
from skeleton.extraction.overlay import write_overlay
from skeleton.extraction.pipeline import Extractor, Models, Settings, build_extractor, describe
from skeleton.extraction.zoo import fetch_weights, sha256
from skeleton.record import Skeleton, append_index, read_index
from skeleton.video import SUFFIXES, VideoInfo, probe

_NOT_COMPARED = ("dropped_persons", "versions")


@dataclass(frozen=True)
class Job:
    """One video, where its record goes, and where its overlay clip goes (None: not asked for)."""

    video: Path
    record: Path
    overlay: Path | None


@dataclass(frozen=True)
class Summary:
    """What a run did: videos extracted now, finished before, and set aside (with their reasons)."""

    extracted: int
    skipped: int
    failures: list[dict]


def find_jobs(videos: str, output: str, overlay: bool) -> list[Job]:
    """The videos of a file, a folder (searched to the bottom) or a .txt list, each with its own record.

    Raises ConfigError where nothing is found or two videos would write the same record.
    """
    place, folder = Path(videos).expanduser(), Path(output).expanduser()
    if place.is_dir():
        found = sorted(path for path in place.rglob("*") if path.suffix.lower() in SUFFIXES)
        found = [
            path for path in found if not path.name.endswith(".overlay.mp4") and not path.name.startswith(".")
        ]
        names = [path.relative_to(place) for path in found]
    elif place.suffix == ".txt" and place.is_file():
        lines = [line.strip() for line in place.read_text(encoding="utf-8").splitlines()]
        found = [place.parent / line for line in lines if line and not line.startswith("#")]
        names = [Path(path.name) for path in found]
    elif place.is_file():
        found, names = [place], [Path(place.name)]
    else:
        raise ConfigError(
            f"expected a video, folder or .txt list at videos={videos}, found none; check the path"
        )
    if not found:
        raise ConfigError(
            f"expected videos ({' '.join(SUFFIXES)}) in videos={videos}, found none; check the path"
        )
    jobs: dict[Path, Job] = {}
    for video, name in zip(found, names, strict=True):
        record = folder / name.with_suffix(".npz")
        if record in jobs:
            raise ConfigError(
                f"{jobs[record].video} and {video} would both write {record}; rename one of them"
            )
        jobs[record] = Job(video, record, folder / name.with_suffix(".overlay.mp4") if overlay else None)
    return list(jobs.values())


class ExtractionModule(LightningModule):
    """Runs an `Extractor` over `jobs`; the batch is the number of a job."""

    def __init__(self, jobs: list[Job], output: Path, build: Callable[[torch.device], Extractor]):
        """build: makes the extractor on a device, when the first readable video asks for it."""
        super().__init__()
        self.jobs, self.output, self._build = jobs, output, build
        self.extractor: Extractor | None = None
        self.failures: list[dict] = []

    def predict_step(self, batch: int, batch_idx: int = 0) -> int:
        """Extracts one video, or sets it aside; an error of the networks' files ends the run."""
        job = self.jobs[batch]
        try:
            info = probe(job.video)
            if self.extractor is None and not job.record.is_file():
                self.extractor = self._built()
            self._run(job, info)
        except (SkeletonError, torch.OutOfMemoryError) as error:
            self.failures.append({"video": str(job.video), "reason": " ".join(str(error).split())})
        return batch

    def _built(self) -> Extractor:
        try:
            return self._build(self.device)
        except SkeletonError as error:
            raise ModelError(str(error)) from error

    def _run(self, job: Job, info: VideoInfo) -> None:
        if not job.record.is_file():
            fps = self.extractor.settings.fps
            total = info.num_frames if fps is None else round(info.duration * min(fps, info.fps))
            with tqdm(total=total, desc=job.video.name, unit="frame", leave=False) as bar:
                skeleton = self.extractor.extract(job.video, bar.update)
            job.record.parent.mkdir(parents=True, exist_ok=True)
            skeleton.save(job.record)
            append_index(self.output, index_entry(job, skeleton, self.output))
        if job.overlay is not None and not job.overlay.is_file():
            write_overlay(job.video, Skeleton.load(job.record), job.overlay)


def index_entry(job: Job, skeleton: Skeleton, output: Path) -> dict:
    """A record's line in index.jsonl."""
    return {
        "record": job.record.relative_to(output).as_posix(),
        "video": job.video.name,
        "sha256": skeleton.source["sha256"],
        "frames": skeleton.num_frames,
        "persons": skeleton.num_persons,
        "dropped_persons": len(skeleton.source["dropped_persons"]),
    }


def extract_videos(config: ExtractConfig) -> Summary:
    """Extracts all videos of `config`; ConfigError or SkeletonError for a bad model or option."""
    output = Path(config.output).expanduser()
    jobs = find_jobs(config.videos, config.output, config.overlay)
    keys = {
        "detector.checkpoint": config.detector.checkpoint,
        "estimator.checkpoint": config.estimator.checkpoint,
    }
    weights = fetch_weights(keys)
    models = Models.find(
        config.detector.config,
        weights["detector.checkpoint"],
        config.estimator.config,
        weights["estimator.checkpoint"],
    )
    settings = Settings(
        fps=config.fps,
        detector_score=config.detector.score,
        start_score=config.detector.start_score,
        confidence_threshold=config.estimator.threshold,
        patience_seconds=config.tracker.patience_seconds,
        min_rows=config.tracker.min_rows,
        max_persons=config.tracker.max_persons,
    )
    output.mkdir(parents=True, exist_ok=True)
    open_jobs, skipped, failures = _unfinished(jobs, output, describe(models, settings), config.overwrite)
    build = partial(build_extractor, models, settings, batch_size=config.estimator.batch_size)
    module = ExtractionModule(open_jobs, output, build)
    module.failures = failures
    if open_jobs:
        _trainer(config.device).predict(
            module, DataLoader(range(len(open_jobs)), batch_size=None), return_predictions=False
        )
    _write_failures(output / "failures.jsonl", module.failures)
    return Summary(len(jobs) - skipped - len(module.failures), skipped, module.failures)


def _unfinished(
    jobs: list[Job], output: Path, source: dict, overwrite: bool
) -> tuple[list[Job], int, list[dict]]:
    """The jobs to run, how many are finished, and those whose record was made with other settings."""
    indexed = {entry["record"] for entry in read_index(output)}
    todo, skipped, failures = [], 0, []
    for job in jobs:
        if job.record.is_file():
            try:
                skeleton = Skeleton.load(job.record)
                differing = _differing(job, skeleton, source)
                reason = f"{job.record} differs in {', '.join(differing)}" if differing else ""
            except RecordError as error:
                reason = str(error)
            if reason and overwrite:
                job.record.unlink()
                if job.overlay is not None:
                    job.overlay.unlink(missing_ok=True)
            elif reason:
                reason = f"expected no other record, found {reason}; pass overwrite=true or another output"
                failures.append({"video": str(job.video), "reason": reason})
                continue
            else:
                entry = index_entry(job, skeleton, output)
                if entry["record"] not in indexed:
                    append_index(output, entry)
                if job.overlay is None or job.overlay.is_file():
                    skipped += 1
                    continue
        todo.append(job)
    return todo, skipped, failures


def _differing(job: Job, skeleton: Skeleton, source: dict) -> list[str]:
    """What a finished record has otherwise than this run would write; a lost video is no difference."""
    expected = json.loads(json.dumps({"video": job.video.name, **source}))
    if job.video.is_file():
        expected["sha256"] = sha256(job.video)
    keys = [key for key in expected if key not in _NOT_COMPARED]
    return [key for key in keys if skeleton.source.get(key) != expected[key]]


def _trainer(device: str) -> Trainer:
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and not number.isdigit()):
        raise ConfigError(f"device must be auto, cpu, cuda or cuda:N, found {device!r}")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device={device} needs a GPU that torch can use, found none; pass device=cpu")
    on_gpu = kind == "cuda" or (kind == "auto" and torch.cuda.is_available())
    return Trainer(
        accelerator="gpu" if on_gpu else "cpu",
        devices=[int(number or 0)] if on_gpu else 1,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[TQDMProgressBar()],
    )


def _write_failures(path: Path, failures: list[dict]) -> None:
    if not failures:
        path.unlink(missing_ok=True)
        return
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    temporary.write_text("".join(json.dumps(failure) + "\n" for failure in failures), encoding="utf-8")
    os.replace(temporary, path)
