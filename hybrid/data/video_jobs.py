"""The videos of one extraction: which they are, which are done, which failed.

The folder is the only memory: a video is done when its record is there and was made with these settings. So a killed
run goes on where it was, several processes can share a folder (each video is claimed by one of them), and the files
index.jsonl and failures.jsonl are the same whoever did what in which order.
"""

import json
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from hybrid.errors import ConfigError
from skeleton.errors import RecordError
from skeleton.files import claimed, sha256
from skeleton.jsonl import read_jsonl, write_jsonl
from skeleton.record import Skeleton
from skeleton.video import SUFFIXES

_NOT_COMPARED = ("dropped_persons", "versions")


@dataclass(frozen=True)
class Job:
    """One video, where its record goes, and where its overlay clip goes (None: not asked for)."""

    video: Path
    record: Path
    overlay: Path | None

    @property
    def done(self) -> bool:
        """Whether everything asked for is there."""
        return self.record.is_file() and (self.overlay is None or self.overlay.is_file())


def find_jobs(videos: str, output: str, overlay: bool, shard: str = "0/1") -> list[Job]:
    """The videos of a file, a folder (searched to the bottom) or a .txt list, each with its own record.

    shard "i/n": every n-th from the i-th on, counted from 0. Raises ConfigError where nothing is found or two
    videos would write the same record.
    """
    place, folder = Path(videos).expanduser(), Path(output).expanduser()
    if place.is_dir():
        found = sorted(path for path in place.rglob("*") if path.suffix.lower() in SUFFIXES)
        found = [path for path in found if not path.name.endswith(".overlay.mp4") and not path.name.startswith(".")]
        names = [path.relative_to(place) for path in found]
    elif place.suffix == ".txt" and place.is_file():
        lines = [line.strip() for line in place.read_text(encoding="utf-8-sig").splitlines()]
        found = [place.parent / line for line in lines if line and not line.startswith("#")]
        names = [Path(path.name) for path in found]
    elif place.is_file():
        found, names = [place], [Path(place.name)]
    else:
        raise ConfigError(f"expected a video, folder or .txt list at videos={videos}, found none; check the path")
    if not found:
        raise ConfigError(f"expected videos ({' '.join(SUFFIXES)}) in videos={videos}, found none; check the path")
    jobs: dict[Path, Job] = {}
    for video, name in zip(found, names, strict=True):
        record = folder / name.with_suffix(".npz")
        if record in jobs:
            raise ConfigError(f"{jobs[record].video} and {video} would both write {record}; rename one of them")
        jobs[record] = Job(video, record, folder / name.with_suffix(".overlay.mp4") if overlay else None)
    part, parts = parse_shard(shard)
    return list(jobs.values())[part::parts]


def parse_shard(shard: str) -> tuple[int, int]:
    """The numbers of "i/n"; ConfigError unless 0 <= i < n."""
    part, _, parts = shard.partition("/")
    if not (part.isdecimal() and parts.isdecimal() and int(part) < int(parts)):
        raise ConfigError(f"shard must be i/n with 0 <= i < n, found {shard!r}; the first of four is 0/4")
    return int(part), int(parts)


def unfinished(jobs: Iterable[Job], source: dict, overwrite: bool) -> tuple[list[Job], dict[Job, str]]:
    """The jobs to do, and why others cannot be done: their record was made with other settings, or is damaged."""
    todo, refused = [], {}
    for job in jobs:
        reason = _unlike(job, source) if job.record.is_file() else ""
        if reason and not overwrite:
            refused[job] = f"expected no other record, found {reason}; pass overwrite=true or another output"
            continue
        if reason:
            job.record.unlink()
            if job.overlay is not None:
                job.overlay.unlink(missing_ok=True)
        if not job.done:
            todo.append(job)
        else:
            with claimed(job.record):  # takes away the lock of a process that was killed at its very end
                pass
    return todo, refused


def _unlike(job: Job, source: dict) -> str:
    """What a finished record has otherwise than this run would write; a lost video is no difference."""
    try:
        skeleton = Skeleton.load(job.record)
    except RecordError as error:
        return str(error)
    expected = json.loads(json.dumps({"video": job.video.name, **source}))
    if job.video.is_file():
        expected["sha256"] = sha256(job.video)
    keys = [key for key in expected if key not in _NOT_COMPARED]
    differing = [key for key in keys if skeleton.source.get(key) != expected[key]]
    return f"{job.record} differs in {', '.join(differing)}" if differing else ""


def note_failures(output: Path, reasons: dict[Job, str], settled: Iterable[Job]) -> None:
    """Brings failures.jsonl up to date with `reasons`; the lines of `settled`, and of videos that are gone, are taken out.

    Where the disk is full the file stays as it is.
    """
    path = output / "failures.jsonl"
    try:
        with claimed(path, wait=True):
            over = {str(job.video) for job in settled}
            lines = {
                line["video"]: line
                for line in _noted(path)
                if line["video"] not in over and Path(line["video"]).exists()
            }
            lines |= {str(job.video): {"video": str(job.video), "reason": reason} for job, reason in reasons.items()}
            if lines:
                write_jsonl(path, [lines[video] for video in sorted(lines)])
            else:
                path.unlink(missing_ok=True)
    except OSError as error:
        warnings.warn(f"{path} could not be written ({error}); free some space", stacklevel=2)


def failures(output: Path, jobs: Iterable[Job], reasons: dict[Job, str]) -> list[dict]:
    """The lines of those `jobs` that were set aside by any process of this run; `reasons` are this process's own."""
    found = {line["video"]: line["reason"] for line in _noted(output / "failures.jsonl")}
    found |= {str(job.video): reason for job, reason in reasons.items()}
    return [{"video": str(job.video), "reason": found[str(job.video)]} for job in jobs if str(job.video) in found]


def _noted(path: Path) -> list[dict]:
    return read_jsonl(path) if path.is_file() else []


def write_index(output: Path) -> None:
    """index.jsonl: a line for each record in the folder, in the order of their names."""
    with claimed(output / "index.jsonl", wait=True):
        lines = []
        for path in sorted(output.rglob("*.npz")):
            if path.name.startswith("."):
                continue
            try:
                skeleton = Skeleton.load(path)
            except RecordError:  # no record of ours, or a damaged one, which failures.jsonl names
                continue
            lines.append(
                {
                    "record": path.relative_to(output).as_posix(),
                    "video": skeleton.source.get("video"),
                    "sha256": skeleton.source.get("sha256"),
                    "frames": skeleton.num_frames,
                    "seconds": float(skeleton.timestamps[-1]),
                    "persons": skeleton.num_persons,
                    "dropped_persons": len(skeleton.source.get("dropped_persons", ())),
                }
            )
        write_jsonl(output / "index.jsonl", lines)
