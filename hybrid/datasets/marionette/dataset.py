"""Makes the Marionette data set: clips, skeletons, truth, questions (DESIGN section 4).

Every clip follows from (seed, split, number) alone, so any number of workers gives the same bytes, and an
interrupted run goes on where it stopped: a clip is done when its part file (.parts/NAME.json) is there. The
questions are balanced over a whole split at the end. info.json is written last and marks a finished set.
"""

import json
import multiprocessing
import shutil
import zlib
from collections import Counter
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import cv2
import numpy as np

from hybrid.config.datasets import PrepareConfig
from hybrid.datasets.marionette.noise import LAYOUT, THRESHOLD, NoiseModel, bounding_boxes, estimate, true_joints
from hybrid.datasets.marionette.render import render
from hybrid.datasets.marionette.scene import Scene, draw_scene
from hybrid.datasets.marionette.script import focus_of
from hybrid.datasets.marionette.splits import SPLITS
from hybrid.datasets.resumable import claim
from skeleton.events.limb_event import event_from_json, event_to_json, save_events
from skeleton.events.viewpoints import is_observable
from skeleton.files import atomic
from skeleton.jsonl import write_json, write_jsonl
from skeleton.language.answer_balance import balance
from skeleton.language.event_captions import describe
from skeleton.language.event_questions import TASKS, Question, Subject, build_questions
from skeleton.record import Skeleton
from skeleton.video import write_video

VERSION = 3
QUESTIONS_PER_CLIP = 7.0  # on average, at most


def clip_generator(seed: int, split: str, number: int, purpose: str) -> np.random.Generator:
    """The generator of one clip; each purpose draws from its own stream."""
    return np.random.default_rng([seed, SPLITS.index(split), number, zlib.crc32(purpose.encode())])


def make_scene(config: PrepareConfig, split: str, number: int) -> Scene:
    """The scene of one clip."""
    foci = [focus_of(config.seed, number, place) for place in range(3)]
    return draw_scene(clip_generator(config.seed, split, number, "scene"), split, foci, config.size, config.fps)


def make_clip(config: PrepareConfig, split: str, number: int) -> None:
    """Write the video, the skeletons and the part file of one clip; does nothing when the part file is there."""
    folder, name = Path(config.output), f"{split}_{number:05d}"
    part = folder / ".parts" / f"{name}.json"
    if part.is_file():
        return
    scene = make_scene(config, split, number)
    frames = render(scene, clip_generator(config.seed, split, number, "render"))
    write_video(folder / "clips" / f"{name}.mp4", frames, config.fps)
    noisy, true = skeletons(scene, clip_generator(config.seed, split, number, "noise"), name)
    noisy.save(folder / "skeletons" / f"{name}.npz")
    true.save(folder / "truth" / f"{name}.npz")
    questions = ask(scene, clip_generator(config.seed, split, number, "questions"))
    if split == "train":  # captions teach; what is measured is the grammar's tasks
        questions += captions(scene)
    persons = [{"track_id": person.track_id, "view": person.view, "shirt": person.shirt} for person in scene.persons]
    with atomic(part) as file:
        json.dump(
            {
                "clip": name, "duration": scene.duration, "persons": persons,
                "events": [event_to_json(event) for event in scene.events],
                "questions": [asdict(question) for question in questions],
            },
            file,
        )  # fmt: skip


def subjects_of(scene: Scene) -> list[Subject]:
    """A lone person is "the person", else shirts name them."""
    single = len(scene.persons) == 1
    return [Subject(person.track_id, "the person" if single else person.name) for person in scene.persons]


def ask(scene: Scene, rng: np.random.Generator) -> list[Question]:
    """Every question of the grammar about a scene."""
    views = {person.track_id: person.view for person in scene.persons}
    return build_questions(
        scene.events, subjects_of(scene), scene.duration, rng, [thing.name for thing in scene.things],
        can_tell=lambda event: is_observable(event, views[event.person]),
    )  # fmt: skip


def captions(scene: Scene) -> list[Question]:
    """What each person does, as open questions."""
    several = len(scene.persons) > 1
    return [
        Question("caption", f"What does {subject.name} do?", None, text, subject.person, several, "caption/all", None)
        for subject in subjects_of(scene)
        if (text := describe(scene.events, subject))
    ]


def skeletons(scene: Scene, rng: np.random.Generator, name: str) -> tuple[Skeleton, Skeleton]:
    """(estimate with noise, pixels; truth, metres in the world of camera.py), persons in order of track id."""
    keypoints, confidence, visible, boxes = estimate(scene, rng)
    size = scene.camera.size
    ids = np.array(sorted(person.track_id for person in scene.persons))
    common = {"timestamps": scene.times, "track_ids": ids, "layout": LAYOUT, "frame_size": (size, size)}
    source = {"video": f"{name}.mp4", "extractor": "marionette", "version": VERSION}
    noisy = Skeleton(
        keypoints=keypoints, confidence=confidence, visible=visible, boxes=boxes,
        source=source | {"confidence_threshold": THRESHOLD, "noise": asdict(NoiseModel())}, **common,
    )  # fmt: skip
    joints = true_joints(scene)
    pixels = np.stack([scene.camera.project(person)[0] for person in joints])
    everywhere = np.ones(joints.shape[:3], bool)
    true = Skeleton(
        keypoints=joints, confidence=everywhere.astype(np.float32), visible=everywhere,
        boxes=bounding_boxes(pixels, everywhere), source=source | {"truth": True}, **common,
    )  # fmt: skip
    return noisy, true


def prepare(config: PrepareConfig, progress: Callable[[int, int], None] = lambda done, total: None) -> dict:
    """Make the data set and return what info.json says; a finished set is only read.

    progress(done, total) is called after each clip. Raises DataError when the folder holds a set made with
    other settings.
    """
    folder = Path(config.output)
    settings = {key: value for key, value in asdict(config).items() if key not in ("output", "workers")}
    settings |= {"version": VERSION, "val_clips": config.counts["val"]}
    claim(folder, settings)
    if (folder / "info.json").is_file():
        return json.loads((folder / "info.json").read_text(encoding="utf-8"))
    for name in ("clips", "skeletons", "truth", ".parts"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    write_json(folder / ".parts" / "settings.json", settings)
    jobs = [(config, split, number) for split, count in config.counts.items() for number in range(count)]
    if config.workers == 1:
        for done, job in enumerate(jobs, start=1):
            _work(job)
            progress(done, len(jobs))
    else:
        with multiprocessing.get_context("spawn").Pool(config.workers) as pool:
            for done, _ in enumerate(pool.imap_unordered(_work, jobs, chunksize=4), start=1):
                progress(done, len(jobs))
    info = _assemble(config, settings)
    shutil.rmtree(folder / ".parts")
    return info


def _work(job: tuple[PrepareConfig, str, int]) -> None:
    cv2.setNumThreads(1)
    make_clip(*job)


def _assemble(config: PrepareConfig, settings: dict) -> dict:
    """Balance the questions of each split; write the sample files, truth/events.jsonl and info.json."""
    folder, events, yields = Path(config.output), [], {}
    for split, count in config.counts.items():
        parts = [
            json.loads((folder / ".parts" / f"{split}_{i:05d}.json").read_text(encoding="utf-8")) for i in range(count)
        ]
        owners = [(part, Question(**question)) for part in parts for question in part["questions"]]
        questions = [question for _, question in owners]
        rng = np.random.default_rng([config.seed, SPLITS.index(split), zlib.crc32(b"balance")])
        most = round(QUESTIONS_PER_CLIP * count / len(TASKS))
        lines, numbers = [], Counter()
        # Training takes every question; what is measured is balanced, so that a constant answer scores chance
        for i in range(len(questions)) if split == "train" else balance(questions, rng, most):
            part, question = owners[i]
            name = part["clip"]
            identifier = f"{name}_{numbers[name]:02d}"
            numbers[name] += 1
            person = next(person for person in part["persons"] if person["track_id"] == question.person)
            lines.append(
                question.sample(
                    identifier, f"clips/{name}.mp4", f"skeletons/{name}.npz", part["duration"],
                    clip=name, persons=len(part["persons"]), view=person["view"], look=person["shirt"],
                )
            )  # fmt: skip
        write_jsonl(folder / f"{split}.jsonl", lines)
        events += [(part["clip"], [event_from_json(event) for event in part["events"]]) for part in parts]
        tasks = Counter(line["task"] for line in lines)
        yields[split] = {
            "clips": count, "questions": len(lines), "binding": sum(line["meta"]["binding"] for line in lines),
            "tasks": {task: tasks[task] for task in (*TASKS, "caption") if task in tasks},
        }  # fmt: skip
    save_events(folder / "truth" / "events.jsonl", events)
    info = {"name": "marionette", "settings": settings, "splits": yields}
    write_json(folder / "info.json", info)
    return info


def headline(config: PrepareConfig) -> str:
    """What is about to be made."""
    counts = ", ".join(f"{count} {split}" for split, count in config.counts.items())
    return f"Marionette, seed {config.seed}: {counts} clips of {config.size} x {config.size} pixels -> {config.output}"


def told(info: dict) -> list[str]:
    """How many questions each split has."""
    lines = []
    for split, figures in info["splits"].items():
        tasks = ", ".join(f"{task} {count}" for task, count in figures["tasks"].items())
        lines.append(f"{split}: {figures['questions']} questions, {figures['binding']} binding ({tasks})")
    return lines
