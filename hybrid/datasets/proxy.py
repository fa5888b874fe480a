"""Makes training samples of unlabelled videos from their skeletons: `tools/prepare.py proxy`.

Three proxy tasks after ActionArt (2025): descriptions of poses, spatial differences between moments and persons, and
fine-grained questions of limb events; and a caption of each person. All answers are computed from the estimate, none by
people, and asked only where the view and the joints can tell them. Records and videos stay where they are; a video is
the file beside its record, else one of its name in a folder near by that has the hash in the record. Times in
a text count from the window's start; `start`, `end`, intervals and `second` are seconds of the video. Videos, not
windows, are kept for validation; equal files count as one. A record is done when its part file (.parts) is there;
info.json is written last.
"""

import glob
import os
import warnings
import zlib
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np

from hybrid.config.datasets import ProxyConfig
from hybrid.data.records import list_records, name_of
from hybrid.data.sample import Clip, Sample, write_samples
from hybrid.datasets.mocap import generator
from hybrid.datasets.proxy_windows import Window, could_tell, legs_seen, observed, people, windows
from hybrid.datasets.resumable import make_set
from hybrid.errors import DataError
from skeleton.events.vocabulary import vocabulary
from skeleton.files import sha256
from skeleton.language.answer_balance import balance, frequent
from skeleton.language.event_captions import describe
from skeleton.language.event_questions import TASKS, Question, build_questions
from skeleton.language.pose_descriptions import poses
from skeleton.language.pose_questions import DIFFERENCE, POSE, Posed, pose_questions
from skeleton.record import Skeleton

VERSION = 2
CAPTION = "caption"
ASKED = (POSE, DIFFERENCE, *TASKS, CAPTION)
LEVELS_UP = 3  # how far above the records their videos are looked for
MOMENT_SECONDS = 0.25  # before and after a moment that `second` names


def video_of(path: Path, record: Skeleton, config: ProxyConfig) -> str | None:
    """The video that a record names; None where there is none. Raises DataError where videos= is given and has none."""
    name = record.source.get("video")
    inside = path.relative_to(Path(config.skeletons).expanduser()).parent
    if config.videos is None:
        if not isinstance(name, str) or not name:
            return None
        if (path.parent / name).is_file():
            return str((path.parent / name).resolve())
        return near(Path(config.skeletons).expanduser(), inside / name, record.source.get("sha256"))
    root = Path(config.videos).expanduser()
    places = [root / inside / Path(name).name, root / name] if isinstance(name, str) else []
    found = next((place for place in places if place.is_file()), None)
    if found is None:
        raise DataError(f"expected the video of {path} below {root}, found no {name}: check videos= or leave it out")
    return str(found.resolve())


def near(records: Path, name: Path, digest: str | None) -> str | None:
    """The video `name` beside the folder of records, or in a folder beside it, or up to LEVELS_UP above; extraction
    keeps the folders that videos lie in. `digest`: the SHA-256 it must have; without one nothing is taken for it."""
    for above in Path(os.path.abspath(records)).parents[:LEVELS_UP]:
        folder, tail = glob.escape(str(above)), glob.escape(str(name))
        for found in [*glob.glob(f"{folder}/{tail}"), *sorted(glob.glob(f"{folder}/*/{tail}"))]:
            if digest and os.path.isfile(found) and os.access(found, os.R_OK) and sha256(found) == digest:
                return os.path.realpath(found)
    return None


def make_window(window: Window, config: ProxyConfig, draw: Callable[[str], np.random.Generator]) -> dict:
    """What a part file says of one window: persons, why others were dropped, questions."""
    persons, there, reasons = people(window.body, config.max_persons)
    told = {"start": window.start, "end": window.end, "there": there, "kept": len(persons), "dropped": dict(reasons)}
    if not persons:
        return told | {"questions": []}
    subjects, several = [person.subject for person in persons], there > 1
    events = observed(window, persons)
    questions = build_questions(
        events, subjects, window.seconds, draw("questions"), can_tell=partial(could_tell, window, persons)
    )
    legs = {person.subject.person: legs_seen(window.body, person.row) for person in persons}
    posed = [Posed(replace(question, binding=several)) for question in questions if _fair(question, legs)]
    known = {person.subject.person: poses(person.body) for person in persons}
    posed += pose_questions(subjects, known, draw("poses"), several)
    for subject in subjects:
        if text := describe(events, subject):
            question = f"What does {subject.name} do?"
            posed.append(Posed(Question(CAPTION, question, None, text, subject.person, several, "caption/all", None)))
    views = {str(person.subject.person): person.body.view() for person in persons}
    return told | {"views": views, "questions": [asdict(one) for one in posed]}


def _fair(question: Question, legs: dict[int, bool]) -> bool:
    """Not a posture of unseen legs, nor "whom": its other options are persons by their shirts, which nobody is here."""
    if question.task == "interaction":
        return vocabulary().movement(question.family.partition("/")[2]).target != "person"
    return question.task != "posture" or legs[question.person]


def make_windows(config: ProxyConfig, path: Path) -> list[dict]:
    """The lines of one record's part file."""
    name = name_of(path, config.skeletons)
    record = Skeleton.load(path)
    common = {"record": name, "video": video_of(path, record, config), "identity": record.source.get("sha256", name)}
    lines = []
    with warnings.catch_warnings():  # a limb that is never seen is an empty mean, and then says nothing
        warnings.filterwarnings("ignore", message="Mean of empty slice|All-NaN", category=RuntimeWarning)
        for number, window in enumerate(windows(record, config.seconds)):
            clip = f"{name}_{number:03d}"
            lines.append(common | {"clip": clip} | make_window(window, config, partial(generator, config.seed, clip)))
    return lines


def prepare_proxy(config: ProxyConfig, progress: Callable[[int, int], object] = lambda done, total: None) -> dict:
    """Makes the set and returns what info.json says; a finished set is only read, records that failed are tried again.

    progress(done, total) is called after each record. Raises DataError where the folder holds a set made with other
    settings or from other records, and where nothing can be asked for training.
    """
    folder = Path(config.output).expanduser()
    config = replace(config, output=str(folder))
    records, told = list_records(config.skeletons)
    settings = asdict(config) | {"input": told, "version": VERSION}
    del settings["output"]
    for key in ("skeletons", "videos"):
        if settings[key] is not None:
            settings[key] = Path(os.path.relpath(Path(settings[key]).expanduser(), folder)).as_posix()
    pieces = {}
    for path in records:
        name = path.relative_to(Path(config.skeletons).expanduser()).as_posix()
        part = f"{name.replace('/', '-')}.{zlib.crc32(name.encode()):08x}"
        pieces[part] = (name, partial(make_windows, config, path))
    return make_set(folder, "proxy", "record", settings, pieces, partial(_assemble, config), progress)


def _assemble(config: ProxyConfig, lines: list[dict]) -> dict:
    """Writes train.jsonl and val.jsonl; returns what info.json says of windows, persons and questions."""
    owners = [(line, _posed(entry)) for line in lines for entry in line["questions"]]
    identities = sorted({line["identity"] for line in lines})
    drawn = generator(config.seed, "", "split").permutation(len(identities)).tolist()
    held = min(max(round(config.val_share * len(identities)), int(config.val_share > 0)), len(identities) - 1)
    val = {identities[i] for i in drawn[: max(held, 0)]}
    splits, every = {}, {}
    for split in ("train", "val"):
        part = [line for line in lines if (line["identity"] in val) == (split == "val")]
        own = [(line, one) for line, one in owners if (line["identity"] in val) == (split == "val")]
        own = [(line, one) for line, one in own if split == "train" or one.question.task != CAPTION]
        every[split] = own
        if config.balance:
            chosen = frequent([one.question for _, one in own])
            kept = balance([own[i][1].question for i in chosen], generator(config.seed, split, "balance"))
            own = [own[chosen[i]] for i in kept]
        splits[split] = own, part
    if not splits["train"][0]:
        raise DataError(
            f"expected questions for training, found none in {len(lines)} windows of {len(identities)} videos: "
            "give more or longer videos of persons seen whole, or balance=false"
        )
    dropped: Counter = Counter()
    for line in lines:
        dropped.update(line["dropped"])
    info = {
        "windows": len(lines),
        "with_video": sum(line["video"] is not None for line in lines),
        "videos_found": len({line["record"] for line in lines if line["video"] is not None}),
        "persons": {"there": sum(line["there"] for line in lines), "kept": sum(line["kept"] for line in lines)},
        "dropped": dict(dropped.most_common()),
        "windows_without_questions": sum(not line["questions"] for line in lines),
        "all_questions": _yield(every["train"] + every["val"], lines),
        "splits": {split: _yield(own, part) for split, (own, part) in splits.items()},
    }
    for split, (own, _) in splits.items():
        if own:
            write_samples(Path(config.output) / f"{split}.jsonl", _samples(config, own))
        else:
            (Path(config.output) / f"{split}.jsonl").unlink(missing_ok=True)
    return info


def _posed(entry: dict) -> Posed:
    question = {key: tuple(value) if isinstance(value, list) else value for key, value in entry["question"].items()}
    return Posed(Question(**question), entry["moment"], entry["other"])


def _samples(config: ProxyConfig, owners: Sequence[tuple[dict, Posed]]) -> list[Sample]:
    numbers: Counter = Counter()
    result = []
    for line, one in owners:
        question, start, end, video = one.question, line["start"], line["end"], line["video"]
        skeleton = str((Path(config.skeletons).expanduser() / f"{line['record']}.npz").resolve())
        answer, second = question.answer, None
        if isinstance(answer, tuple):
            answer = tuple(round(seconds + start, 3) for seconds in answer)
        if one.moment is not None:
            around = max(one.moment - MOMENT_SECONDS, 0.0), min(one.moment + MOMENT_SECONDS, end - start)
            second = Clip(video, skeleton, *(round(seconds + start, 3) for seconds in around))
        view = line["views"][str(question.person)]
        other = {} if one.other is None else {"second_person": one.other}
        numbers[line["clip"]] += 1
        result.append(
            Sample(
                id=f"{line['clip']}_{numbers[line['clip']] - 1:02d}", question=question.text, task=question.task,
                start=start, end=end, video=video, skeleton=skeleton, options=question.options, answer=answer,
                person=question.person, second=second,
                meta={"binding": question.binding, "clip": line["clip"], "view": view, **other},
            )
        )  # fmt: skip
    return result


def _yield(asked: Sequence[tuple[dict, Posed]], lines: Sequence[dict]) -> dict:
    """How much is asked: videos, windows, questions by task, share of the windows with any."""
    tasks = Counter(one.question.task for _, one in asked)
    return {
        "videos": len({line["identity"] for line in lines}),
        "windows": len(lines),
        "questions": len(asked),
        "tasks": {task: tasks[task] for task in ASKED},
        "windows_asked": round(len({line["clip"] for line, _ in asked}) / max(len(lines), 1), 4),
    }


def told(info: dict, config: ProxyConfig) -> list[str]:
    """The yield of a set, how many videos were found, why persons were dropped, and where reasons are if any were left out."""
    persons, dropped = info["persons"], ", ".join(f"{reason} {count}" for reason, count in info["dropped"].items())
    lost = config.videos is None and info["videos_found"] < info["records"] - info["left_out"]
    hint = "; give the folder of the others as videos=, or train on poses alone" if lost else ""
    lines = [
        f"{info['records']} records, {info['left_out']} left out; "
        f"{info['windows']} windows, {info['with_video']} with video",
        f"{persons['kept']} of {persons['there']} persons kept" + (f" (dropped: {dropped})" if dropped else ""),
    ]
    for name, part in (("all", info["all_questions"]), *info["splits"].items()):
        tasks = ", ".join(f"{task} {count}" for task, count in part["tasks"].items() if count) or "no file"
        windows_of = f"{100 * part['windows_asked']:.0f} % of {part['windows']} windows of {part['videos']} videos"
        lines.append(f"{name}: {part['questions']} questions to {windows_of} ({tasks})")
    lines.append(f"videos of {info['videos_found']} of {info['records']} records found" + hint)
    return [*lines, *([f"reasons in {Path(config.output) / 'failures.jsonl'}"] if info["left_out"] else [])]
