"""Skeletons of many videos: in one process or several, from networks or from stored files."""

from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from lightning import Trainer
from lightning.pytorch.callbacks import TQDMProgressBar
from torch.utils.data import DataLoader

from hybrid.config.extraction import ExtractConfig
from hybrid.data.video_jobs import Job, failures, find_jobs, note_failures, unfinished, write_index
from hybrid.errors import ConfigError, ModelError
from hybrid.modules.extraction import ExtractionModule
from skeleton.errors import SkeletonError
from skeleton.extraction.build import HUB, Network, Runtime, build_extractor, describe
from skeleton.extraction.pipeline import Extractor
from skeleton.extraction.stored import Stored, stored_file
from skeleton.extraction.zoo import fetch_weights


@dataclass(frozen=True)
class Summary:
    """What a run did: videos extracted now, finished before, and set aside (with their reasons)."""

    extracted: int
    skipped: int
    failures: list[dict]


def extract_videos(config: ExtractConfig) -> Summary:
    """Extracts all videos of `config`; ConfigError or SkeletonError for a bad model or option."""
    output = Path(config.output).expanduser()
    jobs = find_jobs(config.videos, config.output, config.overlay, config.shard)
    trainer = _trainer(config.device, config.devices)
    makers = Stores(config) if config.stored.path else Networks(config)
    output.mkdir(parents=True, exist_ok=True)
    todo, refused = unfinished(jobs, makers.source, config.overwrite)
    module = ExtractionModule(todo, makers)
    module.reasons |= refused
    if todo:
        trainer.predict(module, DataLoader(range(len(todo)), batch_size=None), return_predictions=False)
    for job in module.left:
        module.extract(job, wait=True)
    note_failures(output, module.reasons, [job for job in jobs if job.done and job not in refused])
    trainer.strategy.barrier()
    if trainer.is_global_zero:
        write_index(output)
    done = sum(job.done for job in todo)
    return Summary(done, len(jobs) - len(todo) - len(refused), failures(output, jobs, module.reasons))


class Networks:
    """One extractor for all videos, built when the first readable video asks for it."""

    def __init__(self, config: ExtractConfig):
        """Finds configs and fetches weights; ExtractionError where that fails."""
        self._config, self._settings = config, config.settings()
        self._parts = networks(config)
        self.source = describe(*self._parts, self._settings, config.half)
        self._extractor: Extractor | None = None

    def __call__(self, job: Job, device: str) -> Extractor:
        """ModelError, which ends the run, where the networks cannot be built."""
        if self._extractor is None:
            config = self._config
            runtime = Runtime(device, config.estimator.batch_size, config.half, config.compile)
            try:
                self._extractor = build_extractor(*self._parts, self._settings, runtime)
            except SkeletonError as error:
                raise ModelError(str(error)) from error
        return self._extractor


class Stores:
    """An extractor for each video, over the file that holds its persons."""

    def __init__(self, config: ExtractConfig):
        self._stored, self._settings = config.stored, config.settings()
        self._videos = Path(config.videos).expanduser()
        settings = asdict(self._settings)
        self.source = {
            "extractor": f"stored: {config.stored.format}",
            "settings": settings,
            "confidence_threshold": self._settings.confidence_threshold,
        }

    def __call__(self, job: Job, device: str) -> Extractor:
        """ExtractionError or FormatError, which sets the video aside, where its file is missing or unfit."""
        name = job.video.relative_to(self._videos) if self._videos.is_dir() else Path(job.video.name)
        path = stored_file(Path(self._stored.path).expanduser(), name)
        persons = Stored(path, self._stored.format, self._stored.first_frame)
        return Extractor(persons, self._settings, {**self.source, "file": path.name}, persons.stages)


def networks(config: ExtractConfig) -> tuple[Network | None, Network]:
    """Detector (None where the estimator needs none) and estimator of a configuration, their weights fetched."""
    parts = {"detector": config.detector, "estimator": config.estimator}
    if config.detector.config == "none":
        del parts["detector"]
    places = {f"{name}.checkpoint": part.checkpoint for name, part in parts.items()}
    fetched = {key: place for key, place in places.items() if parts[key.partition(".")[0]].config != HUB}
    places |= fetch_weights(fetched)
    found = {
        name: Network.find(part.config, places[f"{name}.checkpoint"], getattr(part, "size", None))
        for name, part in parts.items()
    }
    return found.get("detector"), found["estimator"]


def _trainer(device: str, devices: int) -> Trainer:
    kind, _, number = device.partition(":")
    if kind not in ("auto", "cpu", "cuda") or (number and not number.isdigit()):
        raise ConfigError(f"device must be auto, cpu, cuda or cuda:N, found {device!r}")
    if kind == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device={device} needs a GPU that torch can use, found none; pass device=cpu")
    if number and devices > 1:
        raise ConfigError(f"device={device} names one device, found devices={devices}; drop one of the two")
    on_gpu = kind == "cuda" or (kind == "auto" and torch.cuda.is_available())
    return Trainer(
        accelerator="gpu" if on_gpu else "cpu",
        devices=[int(number)] if on_gpu and number else devices,
        logger=False,
        enable_checkpointing=False,
        enable_model_summary=False,
        callbacks=[TQDMProgressBar()],
    )
