"""Makes a test set of motion capture: real motion, seen by drawn cameras as a pose estimator would find it.

Each capture is cut into windows of at most `seconds`, each window is seen by `views` cameras, and every such view is
one clip NAME_WINDOW_VIEW. Events are found by our own kinematics in the clean 3D joints, not written down by people;
they count as observable where every side that the person shows meanwhile can tell them. A clip follows from seed
and name alone. A capture is done when its part file (.parts) is there; info.json is written last.
"""

import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from hybrid.config.datasets import MocapConfig
from hybrid.datasets.mocap_views import look, sides_shown, windows
from hybrid.datasets.resumable import make_set
from hybrid.errors import DataError
from skeleton.events.limb_event import LimbEvent, event_from_json, event_to_json, save_events
from skeleton.events.viewpoints import VIEWS, is_observable
from skeleton.files import sha256
from skeleton.formats.bvh import read_motion
from skeleton.formats.mocap import Motion, read_captures, to_record
from skeleton.jsonl import write_jsonl
from skeleton.language.answer_balance import balance, frequent
from skeleton.language.event_questions import TASKS, Question, Subject, build_questions, counted_movements
from skeleton.record import Skeleton

VERSION = 1
QUESTIONS_PER_CLIP = 7.0  # on average, at most; where answers are balanced
SUBJECT = Subject(0, "the person")
NEVER = tuple(event for event in counted_movements(SUBJECT.person) if event.group != "head")  # captures have no face
Detect = Callable[[Skeleton], list[LimbEvent]]


@dataclass(frozen=True, eq=False)
class Capture:
    """One capture: its name, what is done in it if that is known, how it is read, and which axis is up."""

    name: str
    content: str | None
    load: Callable[[], Motion]
    up: str


def list_captures(config: MocapConfig) -> tuple[list[Capture], str]:
    """(captures in order, a hash that tells other input). Raises DataError where there are none or names clash, and
    FormatError for an unusable .npz."""
    place = Path(config.file).expanduser()
    if place.suffix.lower() == ".npz":
        found = read_captures(place, config.fps)
        up = found.up() if config.up == "auto" else config.up
        captures = [Capture(name.replace("/", "-"), content, load, up) for name, content, load in found.clips]
        told = sha256(place)[:16]
    else:
        files = (
            [place] if place.is_file() else sorted(path for path in place.rglob("*") if path.suffix.lower() == ".bvh")
        )
        names = [path.stem if path == place else path.relative_to(place).with_suffix("").as_posix() for path in files]
        up = "y" if config.up == "auto" else config.up
        captures = [
            Capture(name.replace("/", "-"), None, partial(read_motion, path), up)
            for name, path in zip(names, files, strict=True)
        ]
        told = f"{zlib.crc32(' '.join(names).encode()):08x}"
    if not captures:
        raise DataError(
            f"expected an .npz, a .bvh or a folder of .bvh at file={config.file}, found none: check the path"
        )
    twice = [name for name, count in Counter(capture.name for capture in captures).items() if count > 1]
    if twice:
        raise DataError(f"expected captures of different names in {config.file}, found {twice[0]!r} twice: rename one")
    return captures, told


def generator(seed: int, name: str, purpose: str) -> np.random.Generator:
    """The generator of one clip or window; each purpose draws from its own stream."""
    return np.random.default_rng([seed, zlib.crc32(name.encode()), zlib.crc32(purpose.encode())])


def make_clips(config: MocapConfig, capture: Capture, detect: Detect) -> list[dict]:
    """Writes the records of one capture; returns what its part file says of each clip: events, questions."""
    folder, clips, records = Path(config.output), [], {}
    record = to_record(capture.load(), Path(config.file).name, config.metres_per_unit, capture.up, stand=True)
    for number, window in enumerate(windows(record, config.seconds, config.fps)):
        place, duration = f"{capture.name}_{number:03d}", window.num_frames / window.source["fps"]
        events = detect(window)
        drawn = [config.view] if config.view else generator(config.seed, place, "view").permutation(VIEWS).tolist()
        for view in drawn[: config.views]:
            name = f"{place}_{view}"
            draw = partial(generator, config.seed, name)
            named = replace(window, source=window.source | {"clip": name, "version": VERSION})
            estimate, truth = look(named, view, tuple(config.frame_size), config.swap, draw("camera"), draw("noise"))
            records |= {f"skeletons/{name}.npz": estimate, f"truth/{name}.npz": truth}
            marked, questions = ask(truth, events, duration, draw("questions"))
            clips.append(
                {
                    "clip": name, "view": view, "content": capture.content, "duration": duration,
                    "events": [event_to_json(event) for event in marked],
                    "questions": [asdict(question) for question in questions],
                }
            )  # fmt: skip
    for path, skeleton in records.items():  # nothing is left of a capture that fails half-way
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        skeleton.save(folder / path)
    return clips


def ask(
    truth: Skeleton, events: Sequence[LimbEvent], duration: float, rng: np.random.Generator
) -> tuple[list[LimbEvent], list[Question]]:
    """(events with what the sides shown can tell marked as observable, questions) of one window and view; truth: as
    `look` gives it."""
    marked = [
        replace(event, observable=event.observable and _told(event, sides_shown(truth, event))) for event in events
    ]
    can_tell = partial(_told, sides=sides_shown(truth))
    return marked, build_questions(marked, [SUBJECT], duration, rng, can_tell=can_tell, never=NEVER)


def _told(event: LimbEvent, sides: Sequence[str]) -> bool:
    return all(is_observable(event, side) for side in sides)


def prepare_mocap(
    config: MocapConfig, progress: Callable[[int, int], object] = lambda done, total: None, detect: Detect | None = None
) -> dict:
    """Makes the set and returns what info.json says; a finished set is only read, captures that failed are tried again.

    detect: finds the events of a 3D record; None: skeleton.events.detectors. progress(done, total) is called after each
    capture. Raises DataError where the folder holds a set made with other settings, or no capture can be used.
    """
    if detect is None:
        from skeleton.events.detectors import detect_events as detect
    folder = Path(config.output).expanduser()
    config = replace(config, output=str(folder))
    captures, told = list_captures(config)
    settings = asdict(config) | {"file": Path(config.file).name, "input": told, "version": VERSION}
    del settings["output"]
    pieces = {
        f"{capture.name}.clips": (capture.name, partial(make_clips, config, capture, detect)) for capture in captures
    }
    return make_set(folder, "mocap", "capture", settings, pieces, partial(_assemble, config), progress)


def _assemble(config: MocapConfig, clips: list[dict]) -> dict:
    """Writes test.jsonl and truth/events.jsonl; returns what info.json says of the clips."""
    folder = Path(config.output)
    owners = [(clip, Question(**question)) for clip in clips for question in clip["questions"]]
    most = round(QUESTIONS_PER_CLIP * len(clips) / len(TASKS))
    chosen = list(range(len(owners)))
    if config.balance:
        chosen = frequent([question for _, question in owners])
        kept = balance([owners[i][1] for i in chosen], generator(config.seed, "", "balance"), most)
        chosen = [chosen[i] for i in kept]
    lines, numbers = [], Counter()
    for clip, question in (owners[i] for i in chosen):
        name, content = clip["clip"], {} if clip["content"] is None else {"content": clip["content"]}
        numbers[name] += 1
        lines.append(
            question.sample(
                f"{name}_{numbers[name] - 1:02d}", None, f"skeletons/{name}.npz", clip["duration"],
                clip=name, view=clip["view"], **content,
            )
        )  # fmt: skip
    write_jsonl(folder / "test.jsonl", lines)
    events = [(clip["clip"], [event_from_json(event) for event in clip["events"]]) for clip in clips]
    save_events(folder / "truth" / "events.jsonl", events)
    every = [event for _, found in events for event in found]
    return {
        "clips": len(clips),
        "views": dict(sorted(Counter(clip["view"] for clip in clips).items())),
        "events": dict(Counter(f"{event.group} {event.movement}" for event in every).most_common()),
        "observable": sum(event.observable for event in every),
        "all_questions": _yield(owners, len(clips)),
        "splits": {"test": {"clips": len(clips), **_yield([owners[i] for i in chosen], len(clips))}},
    }


def _yield(asked: Sequence[tuple[dict, Question]], clips: int) -> dict:
    """How many questions, by task; share of the clips with any; mean number of tasks that a clip is asked."""
    tasks = Counter(question.task for _, question in asked)
    pairs = {(clip["clip"], question.task) for clip, question in asked}
    return {
        "questions": len(asked),
        "tasks": {task: tasks[task] for task in TASKS},
        "clips_asked": round(len({clip for clip, _ in pairs}) / clips, 4),
        "tasks_per_clip": round(len(pairs) / clips, 4),
    }


def told(info: dict, config: MocapConfig) -> list[str]:
    """The yield of a set, before and after its answers were balanced, and where reasons are if any were left out."""
    lines = [f"{info['captures']} captures, {info['left_out']} left out, {info['clips']} clips"]
    for name, part in (("all", info["all_questions"]), ("test", info["splits"]["test"])):
        tasks = ", ".join(f"{task} {count}" for task, count in part["tasks"].items())
        share = f"{100 * part['clips_asked']:.0f} % of the clips, {part['tasks_per_clip']:.1f} tasks a clip"
        lines.append(f"{name}: {part['questions']} questions to {share} ({tasks})")
    return [*lines, *([f"reasons in {Path(config.output) / 'failures.jsonl'}"] if info["left_out"] else [])]
