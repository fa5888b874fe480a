"""One question about one clip: the line of JSONL that training, benchmarks and users write.

The answer's form says how it is scored, so task names are free:

| options | answer | kind |
|---|---|---|
| a list | an index into it | choice |
| none | a whole number, or a text that is one ("3") | count |
| none | [start, end] in seconds | interval |
| none | a text | text |
| any | null | hidden: a prediction is written, nothing is scored |

`video: null` is a skeleton-only sample and `skeleton: null` a video-only one. Paths in a file are relative to
that file; in memory they are resolved. An interval lies within its clip, give or take a rounding, which is cut off.
"""

from __future__ import annotations

import dataclasses
import difflib
import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hybrid.errors import DataError
from skeleton.jsonl import numbered_jsonl, write_jsonl

Answer = int | str | tuple[float, float] | None
ROUNDING_SECONDS = 0.5  # an interval may pass its clip's ends by as much


@dataclass(frozen=True)
class Clip:
    """The second moment of a comparison: paths as in `Sample`, start and end in seconds of its video."""

    video: str | None
    skeleton: str | None
    start: float
    end: float

    def __post_init__(self) -> None:
        _check_clip(self, "second.")


@dataclass(frozen=True)
class Sample:
    """A question; see the module's table for `answer`. Wrong values raise DataError naming key and value."""

    id: str
    question: str
    task: str
    start: float  # seconds of the video
    end: float
    video: str | None = None
    skeleton: str | None = None
    options: tuple[str, ...] | None = None
    answer: Answer = None
    group: str | None = None  # questions of a group count only together
    person: int | None = None  # a track id
    second: Clip | None = None
    meta: dict[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        for key in ("id", "question", "task"):
            value = getattr(self, key)
            _expect(isinstance(value, str) and value.strip() != "", key, "a text that is not empty", value)
        _check_clip(self)
        group, person = self.group, self.person
        _expect(group is None or isinstance(group, str), "group", "a text or null", group)
        _expect(person is None or _is_whole(person), "person", "a track id or null", person)
        _expect(self.second is None or isinstance(self.second, Clip), "second", "a clip or null", self.second)
        _expect(isinstance(self.meta, dict), "meta", "a mapping", self.meta)
        if self.options is not None:
            options = self.options
            listed = isinstance(options, list | tuple) and all(isinstance(text, str) for text in options)
            _expect(listed and len(options) >= 2, "options", "two or more texts", options)
            _expect(len(set(options)) == len(options), "options", "texts that differ", options)
            object.__setattr__(self, "options", tuple(options))
        object.__setattr__(self, "answer", self._checked_answer())

    @property
    def kind(self) -> str:
        """choice, count, interval, text or hidden."""
        if self.answer is None:
            return "hidden"
        if self.options is not None:
            return "choice"
        if isinstance(self.answer, tuple):
            return "interval"
        return "count" if isinstance(self.answer, int) or self.answer.strip().isdecimal() else "text"

    @property
    def answer_text(self) -> str | None:
        """The right answer in words: the option's text, the count, the interval in seconds, the text."""
        if self.kind == "choice":
            return self.options[self.answer]
        if self.kind == "interval":
            return f"{self.answer[0]:g} to {self.answer[1]:g}"
        return None if self.answer is None else str(self.answer)

    def _checked_answer(self) -> Answer:
        answer = self.answer
        if self.options is not None:
            index = _is_whole(answer) and 0 <= answer < len(self.options)
            wanted = f"an index below {len(self.options)}, the number of options, or null"
            _expect(answer is None or index, "answer", wanted, answer)
        elif isinstance(answer, list | tuple):
            two = len(answer) == 2 and all(_is_number(second) for second in answer)
            _expect(two and answer[0] < answer[1], "answer", "[start, end] with start < end", answer)
            return clipped(answer, self.start, self.end)
        elif isinstance(answer, str):
            _expect(answer.strip() != "", "answer", "a text that is not empty", answer)
        else:
            count = _is_whole(answer) and answer >= 0
            wanted = "a text, a count, [start, end] or null (an index needs options)"
            _expect(answer is None or count, "answer", wanted, answer)
        return answer


def clipped(answer: Sequence[float], start: float, end: float) -> tuple[float, float]:
    """The interval `answer` within the clip from start to end, all in seconds of the video.

    Raises: DataError where more than ROUNDING_SECONDS of it, or all of it, lies outside.
    """
    first, last = max(float(answer[0]), start), min(float(answer[1]), end)
    rounded = first - answer[0] <= ROUNDING_SECONDS and answer[1] - last <= ROUNDING_SECONDS
    wanted = f"[start, end] in seconds of the video, within the clip's {start:g} to {end:g}"
    _expect(rounded and first < last, "answer", wanted, list(answer))
    return first, last


def read_samples(path: str | Path) -> list[Sample]:
    """Read a JSONL file of samples; `video` and `skeleton` come back resolved against the file's folder.

    Files that the samples name are not opened. Blank lines are skipped.

    Raises: DataError naming file:line, key and value; also for an id that occurs twice.
    """
    path = Path(path)
    samples, lines = [], {}
    for number, line in numbered_jsonl(path):
        try:
            sample = from_json(line, folder=path.parent)
            first = lines.setdefault(sample.id, number)
            _expect(first == number, "id", f"another id than that of line {first}", sample.id)
        except DataError as error:
            raise DataError(f"{path}:{number}: {error}") from error
        samples.append(sample)
    return samples


def write_samples(path: str | Path, samples: Iterable[Sample]) -> None:
    """Write samples as JSONL, with paths relative to the file; the file appears when it is whole."""
    write_jsonl(path, (to_json(sample, folder=Path(path).parent) for sample in samples))


def from_json(line: Any, folder: Path) -> Sample:
    """A sample from a parsed line; a `second` without paths is another moment of the same clip."""
    _expect(isinstance(line, dict), "line", "a JSON object", line)
    values = _known(line, Sample)
    for key in ("id", "question", "task", "end"):
        _expect(values.get(key) is not None, key, "a value", values.get(key))
    if "video" not in values and "skeleton" not in values:
        raise DataError("video: expected a path (or null beside a skeleton), found neither video nor skeleton")
    values.setdefault("start", 0.0)
    values["meta"] = values.get("meta") or {}
    second = values.get("second")
    if second is not None:
        _expect(isinstance(second, dict), "second", "a mapping", second)
        second = _known(second, Clip, "second.")
        for key in ("start", "end"):
            _expect(second.get(key) is not None, f"second.{key}", "a value", second.get(key))
        if "video" not in second and "skeleton" not in second:
            second.update({key: values.get(key) for key in ("video", "skeleton")})
        second = {"video": None, "skeleton": None} | second
        values["second"] = Clip(**_resolved(second, folder, "second."))
    return Sample(**_resolved(values, folder))


def to_json(sample: Sample, folder: Path) -> dict[str, Any]:
    """The line of a sample, in the order of the documented format, with paths relative to `folder`."""
    order = ("id", "video", "skeleton", "start", "end", "task", "question", "options", "answer")
    line = dataclasses.asdict(sample)
    line = {key: line[key] for key in (*order, *(key for key in line if key not in order))}
    for clip in (line, line["second"] or {}):
        for key in ("video", "skeleton"):
            if clip.get(key) is not None:
                clip[key] = os.path.relpath(clip[key], folder)
    return line


def _known(line: dict, kind: type, prefix: str = "") -> dict:
    legal = [entry.name for entry in dataclasses.fields(kind)]
    for key in line:
        if key not in legal:
            near = difflib.get_close_matches(str(key), legal, 1)
            hint = f"did you mean {near[0]!r}?" if near else "put what is your own under 'meta'"
            raise DataError(f"{prefix}{key}: expected one of {', '.join(legal)}, found {key!r}; {hint}")
    return dict(line)


def _resolved(values: dict, folder: Path, prefix: str = "") -> dict:
    for key in ("video", "skeleton"):
        value = values.get(key)
        _expect(value is None or (isinstance(value, str) and value), prefix + key, "a path or null", value)
        if value is not None:
            values[key] = os.path.abspath(folder / value)
    return values


def _check_clip(clip: Sample | Clip, prefix: str = "") -> None:
    for key in ("video", "skeleton"):
        value = getattr(clip, key)
        if isinstance(value, Path):
            object.__setattr__(clip, key, str(value))
            continue
        _expect(value is None or (isinstance(value, str) and value), prefix + key, "a path or null", value)
    start, end = clip.start, clip.end
    _expect(_is_number(start) and start >= 0, f"{prefix}start", "seconds, 0 or more", start)
    _expect(_is_number(end) and end > start, f"{prefix}end", f"seconds, more than start ({start})", end)


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number(value: Any) -> bool:
    # A whole number of any length is legal JSON: comparing never overflows, and is false for NaN
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) <= sys.float_info.max


def _expect(holds: Any, key: str, wanted: str, found: Any) -> None:
    if not holds:
        raise DataError(f"{key}: expected {wanted}, found {found!r}")
