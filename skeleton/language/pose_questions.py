"""Questions about poses: what a person's pose is at a moment, what differs between two moments or two persons.

Tasks `pose description` and `spatial difference`, in the form of questions.py and under its rules: option sets are
closed under the flips ({left, right} x {bent, straight}, {now, before} exchanged, ...), so each option is equally
likely when the pose is not seen, every answer has distractors that differ in one thing, and keys of a family are there
to be balanced. An option is only offered where the pose is known to contradict it. After the proxy tasks of ActionArt
(2025), made from computed poses instead of a language model's words.
"""

from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from skeleton.events.kinematics import SIDES
from skeleton.language.event_questions import Question, Subject
from skeleton.language.pose_descriptions import HEIGHTS, SAID, Words, describe_pose

POSE, DIFFERENCE = "pose description", "spatial difference"
FEWEST = 3  # aspects that must be known of a pose that is described
CHOICES = 2  # questions with options about the pose of one person at one moment
APART_SECONDS = 0.5  # between two moments that are compared
JOINTS = tuple(f"{side} {part}" for side in SIDES for part in ("elbow", "knee"))
BENDS = ("bent", "straight")
OTHER = {"left": "right", "right": "left", "bent": "straight", "straight": "bent"}
Poses = Mapping[float, Words]  # moment in seconds -> words


@dataclass(frozen=True)
class Posed:
    """A question about a pose, and what it compares with: another moment, or another person at `moment`."""

    question: Question
    moment: float | None = None
    other: int | None = None


class _Asker:
    """Makes the questions about one clip."""

    def __init__(self, several: bool, rng: np.random.Generator):
        self.several, self.rng = several, rng

    def ask(self, task: str, person: int, text: str, answer: str, options=None, family="", key=None) -> Question:
        if options is not None:
            options = [options[i] for i in self.rng.permutation(len(options))]
            answer = options.index(answer)
        options = None if options is None else tuple(options)
        return Question(task, text, options, answer, person, self.several, f"{task}/{family}", key)

    def pick(self, items: Sequence):
        return items[int(self.rng.integers(len(items)))]

    def moment(self, found: Mapping[Hashable, Sequence]):
        """A member of a group: groups equally likely, so that what lasts long is not asked of most."""
        return self.pick(found[self.pick(sorted(found, key=str))])


def pose_questions(
    subjects: Sequence[Subject], poses: Mapping[int, Poses], rng: np.random.Generator, several: bool | None = None
) -> list[Posed]:
    """All of both tasks about one clip.

    subjects: from left to right in the picture. poses: of each subject's person, by moments of the clip's clock.
    several: whether the clip shows more than one person; None: where there are several subjects.
    """
    asker = _Asker(len(subjects) > 1 if several is None else several, rng)
    asked: list[Posed] = []
    for subject in subjects:
        own = poses.get(subject.person, {})
        asked += map(Posed, _described(asker, subject, own))
        asked += map(Posed, _one_bent(asker, subject, own))
        asked += _changed(asker, subject, own)
        asked += _when(asker, subject, own)
    for left, right in combinations(subjects, 2):
        asked += _who(asker, left, right, poses)
    return asked


def _described(asker: _Asker, subject: Subject, poses: Poses) -> Iterable[Question]:
    """An open description, and choices about one arm."""
    whole = defaultdict(list)
    for time, words in poses.items():
        if len(set(words) - {"trunk"}) >= FEWEST:
            whole[describe_pose(words, subject.name)].append(time)
    if whole:
        time = asker.moment(whole)
        text = f"Describe the pose of {subject.name} at {time} s."
        yield asker.ask(POSE, subject.person, text, describe_pose(poses[time], subject.name), family="open")
    sets = defaultdict(list)
    for time, words in poses.items():
        for side in SIDES:
            known = words.get(f"{side} arm"), words.get(f"{side} elbow")
            if None not in known:
                for kind, options in _arm_sets(side, *known):
                    if not any(_may_hold(words, option) for option in options[1:]):
                        sets[kind, options[0]].append((time, options))
    for kind, key in [sorted(sets)[i] for i in asker.rng.permutation(len(sets))[:CHOICES]]:
        time, options = asker.pick(sets[kind, key])
        texts = [_arm_text(option) for option in options]
        text = f"Which description fits {subject.name} at {time} s?"
        yield asker.ask(POSE, subject.person, text, texts[0], texts, kind, " ".join(key))


def _arm_sets(side: str, height: str, bend: str) -> Iterable[tuple[str, list[tuple[str, str, str]]]]:
    """(family, [truth, one flip, other flip, both]) of every pair of flips. The family names what is not flipped."""
    others = [other for other in HEIGHTS if other != height]
    yield f"side bend, {height}", [(s, height, b) for s in (side, OTHER[side]) for b in (bend, OTHER[bend])]
    for other in others:
        pair = "-".join(sorted((height, other)))
        yield f"side {pair}, {bend}", [(s, h, bend) for s in (side, OTHER[side]) for h in (height, other)]
        yield f"bend {pair}, {side}", [(side, h, b) for h in (height, other) for b in (bend, OTHER[bend])]


def _may_hold(words: Words, option: tuple[str, str, str]) -> bool:
    side, height, bend = option
    return words.get(f"{side} arm", height) == height and words.get(f"{side} elbow", bend) == bend


def _arm_text(option: tuple[str, str, str]) -> str:
    side, height, bend = option
    return f"the {side} upper arm {SAID.get(height, height)}, the elbow {bend}"


def _one_bent(asker: _Asker, subject: Subject, poses: Poses) -> Iterable[Question]:
    """Which of elbows and knees is bent, or straight, where it is only one."""
    found = defaultdict(list)
    for time, words in poses.items():
        known = [words.get(joint) for joint in JOINTS]
        for word in BENDS:
            if None not in known and known.count(word) == 1:
                found[word, JOINTS[known.index(word)]].append(time)
    if found:
        word, joint = asker.pick(sorted(found))
        text = f"Which joint of {subject.name} is {word} at {asker.pick(found[word, joint])} s?"
        options = [f"the {each}" for each in JOINTS]
        yield asker.ask(POSE, subject.person, text, f"the {joint}", options, f"one {word}", joint)


def _changed(asker: _Asker, subject: Subject, poses: Poses) -> Iterable[Posed]:
    """What differs at a later moment: one side's arm, elbow or knee, or the posture; all else of that kind is alike."""
    changes = defaultdict(list)
    for part in ("arm", "elbow", "knee"):
        for side in SIDES:
            here, there = f"{side} {part}", f"{OTHER[side]} {part}"
            for now, before in _pairs(poses, here, there):
                if poses[now][there] == poses[before][there]:
                    pair = poses[now][here], poses[before][here]
                    options = [(s, *p) for s in (side, OTHER[side]) for p in (pair, pair[::-1])]
                    texts = [_change_text(part, *option) for option in options]
                    family = f"{part} {'-'.join(sorted(pair))}"
                    changes[family, f"{side} {pair[0]}"].append((now, before, texts))
    for now, before in _pairs(poses, "posture"):
        pair = poses[now]["posture"], poses[before]["posture"]
        options = [f"{subject.name} is {one} instead of {other}" for one, other in (pair, pair[::-1])]
        changes[f"posture {'-'.join(sorted(pair))}", pair[0]].append((now, before, options))
    if changes:
        family, key = asker.pick(sorted(changes))
        now, before, texts = asker.pick(changes[family, key])
        text = f"What is different about {subject.name} at {now} s from {before} s?"
        yield Posed(asker.ask(DIFFERENCE, subject.person, text, texts[0], texts, family, key), moment=before)


def _pairs(poses: Poses, *aspects: str) -> Iterable[tuple[float, float]]:
    """(later, earlier) moments that differ in the first aspect, all aspects being known: the first and the last moment
    of each combination of words stand for the rest."""
    known = defaultdict(list)
    for time, words in poses.items():
        if all(aspect in words for aspect in aspects):
            known[tuple(words[aspect] for aspect in aspects)].append(time)
    ends = [(key, time) for key, times in known.items() for time in {times[0], times[-1]}]
    for (one, first), (other, second) in combinations(sorted(ends, key=lambda end: end[1]), 2):
        if one[0] != other[0] and second - first >= APART_SECONDS:
            yield second, first


def _change_text(part: str, side: str, now: str, before: str) -> str:
    name = f"the {side} upper arm" if part == "arm" else f"the {side} {part}"
    return f"{name} is {SAID.get(now, now)} instead of {SAID.get(before, before)}"


def _when(asker: _Asker, subject: Subject, poses: Poses) -> Iterable[Posed]:
    """At which of two moments an arm is higher."""
    found = defaultdict(list)
    for side in SIDES:
        for now, before in _pairs(poses, f"{side} arm"):
            higher = max((now, before), key=lambda time: _height(poses[time], side))
            found[higher == now].append((side, higher, before + now - higher, before))
    if found:
        later = asker.pick(sorted(found))
        side, higher, lower, before = asker.pick(found[later])
        options = [f"at {higher:.1f} s", f"at {lower:.1f} s"]
        times = " or ".join(sorted(options, key=lambda option: float(option.split()[1])))
        text = f"When does {subject.name} hold the {side} upper arm higher, {times}?"
        key = "later" if later else "earlier"
        yield Posed(asker.ask(DIFFERENCE, subject.person, text, options[0], options, "when", key), moment=before)


def _height(words: Words, side: str) -> int:
    return list(HEIGHTS).index(words[f"{side} arm"])


def _who(asker: _Asker, left: Subject, right: Subject, poses: Mapping[int, Poses]) -> Iterable[Posed]:
    """Which of two persons holds an arm higher, has an elbow bent, or is in a posture."""
    found = defaultdict(list)
    one, other = (poses.get(subject.person, {}) for subject in (left, right))
    for time in sorted(set(one) & set(other)):
        for aspect in sorted(set(one[time]) & set(other[time])):
            words = one[time][aspect], other[time][aspect]
            if words[0] == words[1]:
                continue
            side, _, part = aspect.partition(" ")
            if part == "arm":
                first = _height(one[time], side) > _height(other[time], side)
                found[f"higher {side} arm", first].append((time, f"holds the {side} upper arm higher"))
            elif part in ("elbow", "knee"):
                word = asker.pick(BENDS)
                found[f"{word} {aspect}", words[0] == word].append((time, f"has the {aspect} {word}"))
            elif aspect == "posture":
                word = asker.pick(words)
                found[f"posture {word}", words[0] == word].append((time, f"is {word}"))
    if found:
        family, first = asker.pick(sorted(found))
        time, what = asker.pick(found[family, first])
        names = [left.name, right.name]
        text = f"Who {what} at {time} s, {' or '.join(names)}?"
        key = "left" if first else "right"
        question = asker.ask(DIFFERENCE, left.person, text, names[0 if first else 1], names, "who " + family, key)
        yield Posed(question, moment=time, other=right.person)
