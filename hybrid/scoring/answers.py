"""From the words of a model to an answer, or to None when the words do not settle one.

Strict on purpose: a text that could mean two answers is unparsable and counts as wrong; the first capital
letter of a sentence is never taken for a choice ("A man waves" is not option A). Numbers may be digits or
words.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from hybrid.data.sample import Answer, Sample

_WORDS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen twenty"
)
NUMBERS = {word: number for number, word in enumerate(_WORDS.split())} | {
    "none": 0, "never": 0, "once": 1, "twice": 2, "thrice": 3,
}  # fmt: skip
_TOKEN = re.compile(r"\d+(?:[.,:]\d+)*|\w+(?:['’]\w+)*")
_PREFIX = re.compile(r"\s*(?:the\s+)?(?:(?:correct|final|best|right)\s+)?(?:answer|option)\s*(?:is\b|:)\s*:?\s*", re.I)
_LETTER = re.compile(r"(?:option\s+)?(?:\(([a-z])\)|\[([a-z])\]|\b([a-z])(?:[.):](?=\s|$)|\s*$))[.:]?\s*", re.I)
_NEGATIONS = {"not", "no", "nor", "neither", "never", "none", "cannot"}
_TIME = r"(?:(\d+):)?(\d+(?:\.\d+)?)(?![\d:.]*\d)"
_UNIT = r"(?:\s*(?:s|sec|secs|second|seconds)\b\.?)?"
_JOIN = r"\s*(?:,|-|–|—|\bto\b|\buntil\b|\btill\b|\bthrough\b|\band\b(?:\s+(?:it\s+)?(?:ends|stops)\s+at\b)?)\s*"
_INTERVAL = re.compile(rf"(?<![\d.:\-−]){_TIME}{_UNIT}{_JOIN}{_TIME}", re.I)


def parse_answer(text: str, sample: Sample) -> Answer:
    """The answer that `text` gives to the sample's question, or None.

    A hidden answer is parsed as a choice when there are options, and is the text itself otherwise.
    """
    if sample.options is not None:
        return parse_choice(text, sample.options)
    if sample.kind == "count":
        return parse_count(text)
    if sample.kind == "interval":
        return parse_interval(text)
    return " ".join(text.split()) or None


def parse_choice(text: str, options: Sequence[str]) -> int | None:
    """The index of the option that `text` names, or None.

    Tried in this order: the text of one option; a letter ("B", "(B)", "B.", "Answer: B", "B. left arm"),
    whose explanation must not name another option; among numbers, the one number in the text; exactly one
    option's words within the text, and no negation that the option lacks.
    """
    text = _PREFIX.sub("", text, count=1) if _PREFIX.match(text) else text
    wanted = [_tokens(option) for option in options]
    tokens = _tokens(text)
    exact = [index for index, option in enumerate(wanted) if option == tokens]
    if len(exact) == 1:
        return exact[0]
    letter = _LETTER.match(text.strip())
    if letter:
        index = ord(next(filter(None, letter.groups())).lower()) - ord("a")
        named = _named(_tokens(text.strip()[letter.end() :]), wanted)
        return index if index < len(options) and named <= {index} else None
    numbers = [parse_count(option) for option in options]
    if None not in numbers and len(set(numbers)) == len(numbers):
        number = parse_count(text)
        return numbers.index(number) if number in numbers else None
    named = _named(tokens, wanted)
    if len(named) != 1:
        return None
    index = named.pop()
    denied = {token for token in tokens if token in _NEGATIONS or token.endswith(("n't", "n’t"))}
    return index if denied <= set(wanted[index]) else None


def parse_count(text: str) -> int | None:
    """The one whole number that `text` holds, in digits or in words; None for none or for two that differ."""
    found = set()
    for match in _TOKEN.finditer(text):
        token = match.group().lower()
        if token.isdecimal():
            if text[: match.start()].endswith(("-", "−")):
                return None
            found.add(int(token))
        elif token[0].isdecimal():
            return None
        elif token in NUMBERS:
            found.add(NUMBERS[token])
    return found.pop() if len(found) == 1 else None


def parse_interval(text: str) -> tuple[float, float] | None:
    """(start, end) in seconds from "1.2 to 2.8", "from 1.2 s to 2.8 s", "[1.2, 2.8]" or "0:01 - 0:03".

    None unless the text holds exactly two times, joined as an interval, with start before end.
    """
    found = _INTERVAL.findall(text)
    if len(found) != 1 or len(re.findall(_TIME, text)) != 2:
        return None
    minutes, seconds, end_minutes, end_seconds = found[0]
    start = 60 * int(minutes or 0) + float(seconds)
    end = 60 * int(end_minutes or 0) + float(end_seconds)
    return (start, end) if start < end else None


def temporal_iou(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Intersection over union of intervals: [..., 2] and [..., 2] seconds, broadcast, to [...] in 0..1."""
    first, second = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    start = np.maximum(first[..., 0], second[..., 0])
    end = np.minimum(first[..., 1], second[..., 1])
    shared = np.clip(end - start, 0.0, None)
    lengths = (first[..., 1] - first[..., 0]) + (second[..., 1] - second[..., 0])
    return shared / np.maximum(lengths - shared, 1e-9)


def normalize(text: str) -> str:
    """A text for comparison: lower case, single spaces, no punctuation."""
    return " ".join(_tokens(text))


def _tokens(text: str) -> list[str]:
    return [token.lower() for token in _TOKEN.findall(text)]


def _named(tokens: list[str], options: list[list[str]]) -> set[int]:
    """Options whose words stand in a row in `tokens`, except inside the words of a longer option."""
    spans = [
        (start, start + len(option), index)
        for index, option in enumerate(options)
        for start in range(len(tokens) - len(option) + 1)
        if option and tokens[start : start + len(option)] == option
    ]
    return {
        index
        for start, end, index in spans
        if not any(s <= start and end <= e and e - s > end - start for s, e, _ in spans)
    }
