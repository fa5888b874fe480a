"""How right the proxy tasks are: made of Marionette's noisy estimates, held against what was played.

Questions about limb events are right when the scripted events give the same answer (intervals: IoU of at least 0.5);
words of poses when the same words of the true joints in metres, where those decide, are the same.
"""

import re
import tempfile
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from hybrid.config.datasets import PrepareConfig, ProxyConfig
from hybrid.config.loading import field
from hybrid.datasets.marionette.dataset import clip_generator, make_scene, skeletons
from hybrid.datasets.proxy import prepare_proxy
from hybrid.scoring.answers import temporal_iou
from hybrid.scoring.report import wilson
from skeleton.events.kinematics import measure as kinematics
from skeleton.events.limb_event import LimbEvent
from skeleton.events.vocabulary import limb_phrase, vocabulary
from skeleton.jsonl import read_jsonl
from skeleton.language.event_questions import TASKS
from skeleton.language.pose_descriptions import poses, states
from skeleton.record import Skeleton

SIZE = 256  # pixels: persons smaller than proxy tasks want are no use here
NEAR = 0.3  # seconds by which an event may be longer than scripted


@dataclass
class ProxyBench:
    """Keys of `tools/bench.py proxy`."""

    output: str = field("JSON file of the figures")
    clips: int = field("clips of the test split", 160)
    seed: int = field("seed of the clips", 7)


def measure(config: ProxyBench) -> dict[str, Any]:
    """Yields, and the share of right answers by task and of right words of poses."""
    right: dict[str, list[bool]] = defaultdict(list)
    prepare = PrepareConfig(output="", seed=config.seed, size=SIZE)
    with tempfile.TemporaryDirectory() as folder:
        records, truth = Path(folder) / "records", {}
        records.mkdir()
        for number in tqdm(range(config.clips), unit="clip"):
            scene = make_scene(prepare, "test", number)
            noisy, true = skeletons(scene, clip_generator(config.seed, "test", number, "noise"), f"{number:04d}")
            noisy.save(records / f"{number:04d}.npz")
            truth[f"{number:04d}"] = scene.events
            for row, person in enumerate(noisy.track_ids.tolist()):
                right["pose words"] += _words(noisy, true, row, true.track_ids.tolist().index(person))
        info = prepare_proxy(
            ProxyConfig(skeletons=str(records), output=f"{folder}/set", seconds=10, val_share=0, balance=False)
        )
        for line in read_jsonl(Path(folder) / "set" / "train.jsonl"):
            if line["task"] in TASKS:
                own = [event for event in truth[Path(line["skeleton"]).stem] if event.person == line["person"]]
                right[line["task"]].append(agrees(line, own))
    words, asked = right.pop("pose words"), [value for values in right.values() for value in values]
    return {
        "clips": config.clips,
        "persons": info["persons"],
        "questions": len(asked),
        "right": float(np.mean(asked)),
        "right_ci95": wilson(sum(asked), len(asked)),
        "words": len(words),
        "words_right": float(np.mean(words)),
        "tasks": {task: [sum(right[task]), len(right[task])] for task in TASKS if right[task]},
    }


def _words(noisy: Skeleton, true: Skeleton, row: int, true_row: int) -> list[bool]:
    """For each word told of a person of the estimate, every half second: whether the true joints say the same."""
    body, solid = kinematics(noisy, row), kinematics(true, true_row)
    if body is None or solid is None:
        return []
    known = states(solid)
    found = []
    for time, said in poses(body).items():
        if round(time * 10) % 5:
            continue
        at = int(np.abs(solid.times - time).argmin())
        found += [bool(known[aspect][at] == word) for aspect, word in said.items() if known[aspect][at]]
    return found


def agrees(line: dict, events: list[LimbEvent]) -> bool:
    """Whether the scripted events of its person give the answer of a line about limb events."""
    words, question = vocabulary(), line["question"]
    answer = line["answer"] if line["options"] is None else line["options"][line["answer"]]
    times = [float(time) for time in re.findall(r"at (\d+\.\d) s", question)]
    near = [event for event in events if all(event.start - NEAR <= time <= event.end + NEAR for time in times)]
    about = [event for event in events if f" {event.phrase(with_direction=False)}" in question]
    match line["task"]:
        case "limb":
            return any(limb_phrase(event.limb) == answer for event in near)
        case "movement":
            verbs = {words.movement(event.movement).pattern.format(
                verb=words.movement(event.movement).verb[0], limb="it", target="") for event in near
                if f"with {limb_phrase(event.limb)}" in question}  # fmt: skip
            return answer in verbs
        case "direction":
            return any(event.direction == answer for event in about)
        case "posture":
            kept = {words.movement(event.movement).posture for event in near if event.end - event.start > 1.5} - {None}
            return answer in kept or (answer == "standing" and not kept)
        case "count":
            return str(about[0].count if about else 0) == answer
        case "interval":
            return any(float(temporal_iou((event.start, event.end), answer)) >= 0.5 for event in about)
        case "order":
            return answer in _ordered(question, events)
        case _:
            return any(event.target == answer for event in events)


def _ordered(question: str, events: list[LimbEvent]) -> set[str]:
    """Phrases of the event that an `order` question asks for."""
    later = sorted((event for event in events if event.start > 0), key=lambda event: event.start)
    place = 0 if question.endswith("first?") else -1 if question.endswith("last?") else 1
    if len(later) <= max(place, 0):
        return set()
    return {later[place].phrase(with_direction=direction) for direction in (False, True)}
