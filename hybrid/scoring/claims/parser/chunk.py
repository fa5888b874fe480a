"""What the first three stages of the parser hand on: tokens, chunks, clauses."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Token:
    """A word in lower case, spelt as meant, and the characters [start, end) it was written with."""

    word: str
    start: int
    end: int


@dataclass(frozen=True)
class Chunk:
    """A run of words read as one thing.

    kind: verb, limb, part (of a body, but no limb), person, thing, it, side ("the left"), place (how and where a
    movement goes), motion ("gesture"), count, time, prep, to, who, connective, comma, stop, negation, cancel ("about
    to") or alternate. value: the verb's dictionary form, the limb's group, the words of a person or thing, and so on.
    """

    kind: str
    value: str = ""
    start: int = 0  # characters
    end: int = 0
    tags: frozenset[str] = frozenset()  # places, and the words of a limb
    side: str | None = None  # left, right, both, one, other
    plural: bool = False
    target: str | None = None  # the body target that a noun names
    form: str = ""  # of a verb: base, third, past, gerund
    nominal: bool = False  # "a step", "a waving motion"
    count: int | None = None
    seconds: tuple[float, float] | None = None


@dataclass
class Clause:
    """One verb (or none) with its arguments: (role, chunk) before and after it; a role is a preposition, or "" for
    subject and object."""

    link: str
    verb: Chunk | None = None
    before: list[tuple[str, Chunk]] = field(default_factory=list)
    after: list[tuple[str, Chunk]] = field(default_factory=list)
    finite: bool = False
    negated: bool = False
    cancelled: bool = False
    alternate: bool = False
    progressive: bool = False  # "is walking": gerunds in a list with it are like finite verbs
    seconds: tuple[float, float] | None = None

    @property
    def arguments(self) -> list[tuple[str, Chunk]]:
        return self.before + self.after

    def add(self, role: str, chunk: Chunk) -> None:
        (self.before if self.verb is None else self.after).append((role, chunk))

    @property
    def empty(self) -> bool:
        return self.verb is None and not any(chunk.kind not in ("person", "it") for _, chunk in self.arguments)
