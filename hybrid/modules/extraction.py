"""Extraction with Lightning: `predict_step` takes one video and writes one record.

Records are whole or absent, so an interrupted run goes on where it stopped. A bad video is set aside in
failures.jsonl with its reason and the others go on; a bad model or option ends the run at once.

The networks are no submodules: MMEngine models note their device in their own `to`, which Lightning bypasses.
"""

from collections.abc import Callable

import torch
from lightning import LightningModule
from tqdm import tqdm

from hybrid.data.video_jobs import Job
from skeleton.errors import SkeletonError
from skeleton.extraction.overlay import write_overlay
from skeleton.extraction.pipeline import Extractor
from skeleton.files import claimed, sweep
from skeleton.record import Skeleton
from skeleton.video import probe


class ExtractionModule(LightningModule):
    """Runs an `Extractor` over `jobs`; the batch is the number of a job."""

    def __init__(self, jobs: list[Job], extractor_for: Callable[[Job, str], Extractor]):
        """extractor_for: the extractor of a job's video on a device."""
        super().__init__()
        self.jobs, self._extractor_for = jobs, extractor_for
        self.reasons: dict[Job, str] = {}
        self.left: list[Job] = []  # another process was at work on them

    def predict_step(self, batch: int, batch_idx: int = 0) -> int:
        """Extracts one video, or sets it aside; an error of the networks' files ends the run."""
        self.extract(self.jobs[batch])
        return batch

    def extract(self, job: Job, wait: bool = False) -> None:
        """The same for a job. wait: until another process has let go of the video, if one has it."""
        with claimed(job.record, wait) as mine:
            if not mine:
                self.left.append(job)
            elif not job.done:
                try:
                    self._run(job)
                except (SkeletonError, OSError, MemoryError, torch.OutOfMemoryError) as error:
                    self.reasons[job] = " ".join(str(error).split()) or type(error).__name__

    def _run(self, job: Job) -> None:
        if not job.record.is_file():
            info = probe(job.video)
            extractor = self._extractor_for(job, str(self.device))
            fps = extractor.settings.fps
            total = info.num_frames if fps is None else round(info.duration * min(fps, info.fps))
            with tqdm(total=total, desc=job.video.name, unit="frame", leave=False) as bar:
                skeleton = extractor.extract(job.video, bar.update)
            skeleton.save(job.record)
        if job.overlay is not None:
            sweep(job.overlay)
            write_overlay(job.video, Skeleton.load(job.record), job.overlay)
