"""Chunks -> clauses: the third stage of the parser of motion claims (hybrid/scoring/claims/read_claims.py).

A clause is one verb with what stands around it, and `link`, the way it joins what was said before: "stop" (a new
sentence, "stop_while" and so on where one begins with "while"), "then", "before", "after", "comma", "and", "while",
"like", "with" (a state: "with both arms up"), "purpose" ("to pick up"), "participle" ("steps back putting"), "lead" (a
relative clause or participle before the main verb), "main" (the main verb behind it) and "who". Light verbs melt into
what they carry ("takes a step", "starts to walk", "is sitting"). A clause without a verb repeats an earlier one ("then
the left") or is a state ("hands on hips").
"""

from __future__ import annotations

from dataclasses import replace

from hybrid.scoring.claims.parser.chunk import Chunk, Clause
from hybrid.scoring.claims.parser.joining import coordinates, kept_in_place, opens_state
from hybrid.scoring.claims.parser.lexicon import lexicon

_STRENGTH = ("comma", "participle", "and", "with", "while", "like", "purpose", "before", "after", "then", "stop")
_SAME_TIME = ("while", "with", "participle", "purpose", "main", "like", "and")
_ARGUMENTS = ("limb", "part", "thing", "person", "it", "side", "place", "count", "motion")
_FIRST = {"while": "stop_while", "after": "stop_after", "before": "stop_before"}  # "While X, Y" begins a sentence
_STROKES = ("punch", "kick", "jab", "uppercut")  # are thrown


def clauses(read: list[Chunk]) -> list[Clause]:
    """The clauses of chunks, in the order of the text."""
    splitter = _Splitter(read)
    splitter.run()
    found = [clause for clause in splitter.found if not clause.empty or clause.seconds is not None]
    _settle_forms(found)
    return found


class _Splitter:
    """Walks over the chunks once; `now` is the clause under way."""

    def __init__(self, read: list[Chunk]) -> None:
        self.read, self.found, self.now = read, [], Clause("stop")
        self.prep, self.purpose, self.who, self.not_, self.cancel = "", False, False, False, False

    def run(self) -> None:
        for place, chunk in enumerate(self.read):
            if chunk.kind in ("place", "count"):
                self.now.add("", chunk)
            elif chunk.kind in _ARGUMENTS:
                self.now.add(next(iter(chunk.tags), self.prep) if chunk.kind == "side" else self.prep, chunk)
                self.prep = ""
            else:
                getattr(self, f"_{chunk.kind}")(chunk, place)
        self._cut("stop")

    def _cut(self, link: str) -> None:
        """Ends the clause under way; where it holds nothing yet, the stronger of the two links stays."""
        now = self.now
        self.prep = ""
        if not now.empty or now.seconds is not None:
            self.found.append(now)
            self.now = Clause(link, seconds=now.seconds if link in _SAME_TIME else None)
            return
        now.before = [argument for argument in now.before if argument[1].kind in ("person", "it")]
        if now.link == "stop":
            now.link = _FIRST.get(link, "stop")
        elif (now.link, link) != ("comma", "and"):  # which is the last of a list
            now.link = max(now.link, link, key=lambda name: _STRENGTH.index(name) if name in _STRENGTH else 0)

    def _stop(self, chunk: Chunk, place: int) -> None:
        self._cut("stop")
        self.purpose = self.who = self.not_ = self.cancel = False

    def _comma(self, chunk: Chunk, place: int) -> None:
        if (role := coordinates(self.read, place + 1, self.now, comma=True)) is None:
            self._cut("comma")
        else:
            self.prep = role

    def _connective(self, chunk: Chunk, place: int) -> None:
        value = chunk.value
        if value == "and":
            if (role := coordinates(self.read, place + 1, self.now)) is None:
                self._cut("and")
            else:
                self.prep = role
        elif value == "after_have":  # "having sat"
            self._cut("participle")
        elif value == "same":
            return
        elif value == "purpose":
            self.purpose = True
        elif value == "with":
            self.prep = "with"
        else:
            self._cut(value)

    def _prep(self, chunk: Chunk, place: int) -> None:
        self.prep = chunk.value
        if chunk.value == "with" and opens_state(self.read, place + 1, self.now):
            self._cut("with")
            self.prep = "with"

    def _negation(self, chunk: Chunk, place: int) -> None:
        self.not_ = True

    def _cancel(self, chunk: Chunk, place: int) -> None:
        self.cancel = True
        if self.now.verb is not None:
            self._cut("participle")

    def _alternate(self, chunk: Chunk, place: int) -> None:
        self.now.alternate = True

    def _who(self, chunk: Chunk, place: int) -> None:
        self.who = True

    def _to(self, chunk: Chunk, place: int) -> None:
        self.purpose = True

    def _time(self, chunk: Chunk, place: int) -> None:
        if self.now.verb is not None and self._peek(place + 1) in ("person", "verb", "it"):
            self._cut("comma")
        self.now.seconds = chunk.seconds

    def _verb(self, chunk: Chunk, place: int) -> None:
        now = self.now
        if chunk.nominal and chunk.value == "step" and now.verb is not None:
            if now.verb.value in lexicon().going and self.prep in ("", "for", "of"):
                return  # "walks a few steps"
            if now.verb.value == "step":
                now.verb = replace(now.verb, count=chunk.count)  # "steps forward two steps"
                return
        if now.verb is None:
            self._begin(chunk)
        elif self._melts(chunk):
            now.before, now.after = now.arguments, []
            now.finite = now.finite or now.verb.form in ("third", "past", "base")
            now.progressive |= now.verb.value == "be" and chunk.form == "gerund"
            merged = replace(chunk, form=now.verb.form if not now.finite else "third", count=chunk.count)
            if now.verb.value in lexicon().stop:
                now.cancelled = True
            now.verb = merged
            now.negated |= self.not_
            self.not_ = self.purpose = False
        else:
            self._follow(chunk)
        self.prep = ""

    def _begin(self, chunk: Chunk) -> None:
        self._part_state(chunk)
        now = self.now
        if self.who and now.link in ("stop", "comma", "and", "then") and not now.finite:
            now.link = "who" if now.link != "stop" else "lead"
        now.verb = chunk
        now.finite = chunk.form in ("third", "base") or chunk.nominal or chunk.form == "past"
        now.negated, now.cancelled = self.not_, self.cancel
        if now.link == "stop" and not now.finite and any(c.kind == "person" for _, c in now.before):
            now.link = "lead"
        if self.purpose and now.link not in ("then", "stop", "lead"):
            now.link = "purpose"
        self.not_ = self.cancel = self.purpose = self.who = False

    def _part_state(self, chunk: Chunk) -> None:
        """Before a verb: "a person with arms up walks", a state of its own."""
        now = self.now
        if chunk.form in ("past", "gerund") or not kept_in_place(now, chunk):
            return
        now.link = "lead" if now.link == "stop" else now.link
        self.found.append(now)
        self.now = Clause("main", seconds=now.seconds)

    def _follow(self, chunk: Chunk) -> None:
        """A further verb without a connective before it. It takes the limb before it, where that is its own."""
        now = self.now
        last = now.after[-1] if now.after else None
        own = now.after.pop() if last is not None and self._belongs(last, chunk) else None
        leading = now.link in ("lead", "who") or (not now.finite and now.link == "stop")
        passive = chunk.form == "past" and (own is not None or last is None or last[1].kind != "person")
        if self.who:
            link = "lead" if leading else "participle"
        elif self.purpose:
            link = "purpose"
        elif chunk.form == "gerund" or passive:
            link = "participle" if own is None else "with"
        else:
            link = "main" if leading else "comma"
        finite = link in ("comma", "main") or (chunk.form in ("third", "base") and link != "purpose")
        self.found.append(now)
        self.now = Clause(link, verb=chunk, finite=finite, seconds=now.seconds)
        if own is not None:
            self.now.before.append(own)
        self.now.negated, self.now.cancelled = self.not_, self.cancel
        self.not_ = self.cancel = self.purpose = self.who = False

    def _belongs(self, last: tuple[str, Chunk], chunk: Chunk) -> bool:
        """Whether a limb is that of the verb behind it: "with arms raised", "lets the arm drop", "his arm swings"."""
        role, limb = last
        if limb.kind != "limb" or self.purpose:
            return False
        verb = self.now.verb.value
        if role == "with" and verb not in lexicon().instrument.get(limb.value, ()):
            return True
        caused = chunk.form == "base" and verb in ("let", "make", "have")
        subject = chunk.form == "third" and not chunk.nominal and not role
        return chunk.form == "past" or caused or subject or verb in ("have", "keep")

    def _melts(self, chunk: Chunk) -> bool:
        """Whether the verb under way is a light one that `chunk` takes the place of."""
        now, words = self.now, lexicon()
        light = now.verb.value
        if light == "throw" and chunk.nominal and chunk.value in _STROKES:
            return True
        stops = light in words.stop
        if self.cancel or not (light in words.light or stops):
            return False
        if chunk.nominal:
            return not now.verb.nominal
        limbs = any(c.kind == "limb" for _, c in now.after)
        if any(c.kind in ("thing", "it", "part") and not role for role, c in now.after):
            return (
                chunk.form == "base" and not self.purpose and light in ("do", "be", "have", "go", "try") and not limbs
            )
        if self.purpose:
            return not stops
        if chunk.form == "gerund":
            return light in ("keep", "be", "have") or ((light in words.opening or stops) and not limbs)
        if chunk.form == "past":
            return light in words.helping
        if chunk.form == "base":
            return light in ("do", "be", "have", "go", "try") and not limbs
        return light == "be" and not now.after  # "is stand"

    def _peek(self, place: int) -> str:
        return self.read[place].kind if place < len(self.read) else ""


def _settle_forms(found: list[Clause]) -> None:
    """In a sentence without a finite verb ("stepping to the side, then turning") gerunds stand for finite verbs."""
    first = 0
    while first < len(found):
        last = first + 1
        while last < len(found) and not found[last].link.startswith("stop"):
            last += 1
        sentence = found[first:last]
        if not any(clause.finite for clause in sentence):
            for clause in sentence:
                clause.finite = clause.link in ("stop", "lead", "comma", "and", "then", "before")
                if clause.link == "lead":
                    clause.link = "stop"
        first = last
