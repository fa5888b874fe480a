"""The words by which claims are read: lexicon.json, expanded into look-up tables.

A phrase may hold alternatives ("to/at the side") and "$", which stands for any possessive, "the", a word such as
"himself", or nothing. Verbs are listed in dictionary form; regular forms are made here, and a final consonant may be
doubled or not, because writers do both.
"""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from skeleton.events.vocabulary import vocabulary

_FILE = Path(__file__).with_name("lexicon.json")
_LISTS = (
    "abstract", "adjectives", "adverbs", "determiners", "motions", "parts", "persons", "plural", "prepositions",
    "pronouns", "self_words", "states", "things", "vague",
)  # fmt: skip
Entry = tuple[str, str]  # kind and value of a phrase


@dataclass(frozen=True)
class Frame:
    """What a verb claims when what stands around it fits. limb: groups that may act, "none" included; need: places
    or kinds of objects of which one must be there; also: as need; never: of which none may be."""

    claims: tuple[tuple[str, ...], ...]  # steps of MOVEMENT or MOVEMENT|DIRECTION
    limb: tuple[str, ...] = ()
    need: frozenset[str] = frozenset()
    also: frozenset[str] = frozenset()
    never: frozenset[str] = frozenset()
    default: str | None = None  # the limb when none is told


class Lexicon:
    """Look-up tables over lexicon.json."""

    def __init__(self, data: dict) -> None:
        self.spelling: dict[str, str] = data["spelling"]
        self.numbers: dict[str, int] = data["numbers"]
        for name in _LISTS:
            setattr(self, name, frozenset(data[name].split()))
        self.body = {noun: group for group, nouns in data["nouns"].items() for noun in nouns.split()}
        self.targets = {noun: target for target, nouns in data["targets"].items() for noun in nouns.split()}
        self.colours = frozenset(vocabulary().shirt_colours)
        self.body_adjectives = self.adjectives - {"side", "sideways", "forward", "back", "backwards"} | {"forward"}
        self.noun_verbs = {
            form for lemma in data["verbs"]["noun"].split() for form in _forms(lemma)["base"] + _forms(lemma)["third"]
        }
        self.repeated = frozenset(("step", "jump", "punch", "kick"))  # nouns in the plural without a determiner
        for name in ("light", "stop", "going", "helping", "opening"):
            setattr(self, name, frozenset(data["verbs"][name].split()))
        self.instrument = {
            "arm": frozenset(data["verbs"]["with_arms"].split()),
            "leg": frozenset(data["verbs"]["with_legs"].split()),
        }
        self._trie: dict = {}
        free = [*data["possessives"].split(), "the", "a", *data["self_words"].split()]
        for kind, phrases in data["phrases"].items():
            for pattern, value in phrases.items():
                for words in _expand(pattern):
                    self._insert(words, (kind, str(value)), free)
        self._verbs = _verb_table(data["verbs"])
        self.frames = _frames(data["frames"])

    def number(self, word: str) -> int | None:
        """The whole number that a word or its digits say."""
        return int(word) if word.isdecimal() else self.numbers.get(word)

    def verb(self, word: str) -> tuple[str, tuple[str, ...]] | None:
        """(dictionary form, forms it may be) of a verb; None for other words."""
        return self._verbs.get(word)

    def longest(self, words: list[str], at: int) -> tuple[int, Entry | None]:
        """Length and entry of the longest phrase that starts at word `at`; (0, None) without one."""
        node, best, entry = self._trie, 0, None
        for j in range(at, len(words)):
            node = node.get(words[j])
            if node is None:
                break
            if "" in node:
                best, entry = j - at + 1, node[""]
        return best, entry

    def _insert(self, words: list[str], entry: Entry, free: list[str]) -> None:
        nodes = [self._trie]
        for word in words:
            if word == "$":
                nodes += [node.setdefault(option, {}) for node in nodes for option in free]
            else:
                nodes = [node.setdefault(word, {}) for node in nodes]
        for node in nodes:
            node.setdefault("", entry)


@cache
def lexicon() -> Lexicon:
    """The lexicon, read once."""
    return Lexicon(json.loads(_FILE.read_text(encoding="utf-8")))


def _expand(pattern: str) -> list[list[str]]:
    return [list(words) for words in itertools.product(*(word.split("/") for word in pattern.split()))]


def _forms(lemma: str) -> dict[str, list[str]]:
    """Regular forms; the doubled consonant beside the plain one."""
    third = lemma + "s"
    if re.search(r"(s|x|z|ch|sh|o)$", lemma):
        third = lemma + "es"
    elif re.search(r"[^aeiou]y$", lemma):
        third = lemma[:-1] + "ies"
    stems = [lemma[:-1] if re.search(r"[^eoy]e$", lemma) else lemma]
    if re.search(r"^[^aeiou]*(?:qu)?[aeiou][^aeiouwxy]$", lemma) or lemma in ("uppercut", "equip"):
        stems.append(lemma + lemma[-1])
    past = [lemma[:-1] + "ied" if re.search(r"[^aeiou]y$", lemma) else stem + "ed" for stem in stems]
    return {"base": [lemma], "third": [third], "gerund": [stem + "ing" for stem in stems], "past": past}


def _verb_table(data: dict) -> dict[str, tuple[str, tuple[str, ...]]]:
    table: dict[str, list[str]] = {}
    lemmas = dict.fromkeys(word for key in ("light", "stop", "plain", "noun") for word in data[key].split())
    for lemma in lemmas:
        for form, words in _forms(lemma).items():
            for word in words:
                table.setdefault(word, [lemma]).append(form)
    for lemma, words in data["irregular"].items():
        for word in words.split():
            form = (
                "gerund" if word.endswith("ing") else "third" if word.endswith("s") and word not in ("was",) else "past"
            )
            if word in ("are", "is", "was", "were", "does", "has", "goes"):
                form = "third"
            if word == lemma:
                table[word].append("past")
            else:
                table[word] = [lemma, form]
    return {word: (entry[0], tuple(entry[1:])) for word, entry in table.items()}


def _frames(entries: list[dict]) -> dict[str, tuple[Frame, ...]]:
    frames: dict[str, list[Frame]] = {}
    for entry in entries:
        claims = tuple(tuple(part.strip() for part in step.split("&")) for step in entry["claims"].split(">"))
        sets = {key: frozenset(entry.get(key, "").split()) for key in ("need", "also", "never")}
        frame = Frame(claims, tuple(entry.get("limb", "").split()), **sets, default=entry.get("default"))
        for verb in entry["verbs"].split():
            frames.setdefault(verb, []).append(frame)
    return {verb: tuple(found) for verb, found in frames.items()}
