"""What stands around a verb, sorted: who acts with what, where to, on what; and whether a frame of the lexicon fits.

Tags are what frames ask for: the places of the lexicon (up, front, circle ...) and the kinds of what is named
(thing, it, person, part, target, weights, self, arm_object ...). reading.py adds those that come from what was said
before (after_low ...).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from hybrid.scoring.claims.parser.chunk import Chunk, Clause
from hybrid.scoring.claims.parser.lexicon import Frame, lexicon

_ACTING = ("", "with", "using", "by", "via", "through")  # roles of a limb that does something
_ONTO = ("to", "on", "onto", "at", "against", "over", "upon", "across", "into", "in")  # roles of what is touched
_HOLDING = ("hold", "grab", "reach")  # "holds on to the rail", "reaches for the ball"
_HELD = ("to", "on", "onto", "at", "of", "from", "for", "towards")
_IN_HAND = ("hold", "carry", "have", "be")
_TOUCHING = ("touch", "scratch", "rub", "pat", "hold", "stroke", "massage", "clutch", "clasp", "cover")
_WITH_LEGS = ("kick", "step", "stand", "hop", "jump", "balance")  # "kicks with the right"
_WEIGHTS = frozenset(("weights", "weight", "dumbbell", "dumbbells", "barbell"))
_LOWER_PARTS = ("thigh", "thighs", "knees", "knee", "toes", "ankles")
_OWN = frozenset(("the", "his", "her", "their", "its", "both", "my"))


@dataclass(frozen=True)
class Scene:
    """The acting limbs, the tags, body targets, a count, other persons and objects by name."""

    limbs: tuple[Chunk, ...] = ()
    tags: frozenset[str] = frozenset()
    targets: tuple[str, ...] = ()
    count: int | None = None
    persons: tuple[str, ...] = ()
    objects: tuple[str, ...] = ()

    def of(self, group: str) -> tuple[Chunk, ...]:
        """The acting limbs of one group."""
        return tuple(limb for limb in self.limbs if limb.value == group)


def scene_of(clause: Clause, it: Chunk | None) -> Scene:
    """The scene of a clause; `it` is the limb that "it" stands for, None where it stands for a thing."""
    return _Sorter(clause, it).run()


def fitting(lemma: str, scene: Scene) -> Frame | None:
    """The first frame of a verb whose conditions hold."""
    for frame in lexicon().frames.get(lemma, ()):
        if (frame.need and not frame.need & scene.tags) or (frame.also and not frame.also & scene.tags):
            continue
        if frame.never & scene.tags:
            continue
        limbs = [limb for limb in scene.limbs if not ("target" in frame.need and limb.target)]
        if frame.limb and not _may_act(frame.limb, limbs, scene.tags):
            continue
        return frame
    return None


def _may_act(groups: tuple[str, ...], limbs: list[Chunk], tags: frozenset[str]) -> bool:
    if not limbs:
        return "none" in groups
    return ("body" in groups and "own_body" in tags) or any(limb.value in groups for limb in limbs)


@dataclass
class _Sorter:
    """Goes through the arguments of a clause once."""

    clause: Clause
    it: Chunk | None
    limbs: list[Chunk] = field(default_factory=list)
    tags: set[str] = field(default_factory=set)
    targets: list[str] = field(default_factory=list)
    persons: list[str] = field(default_factory=list)
    objects: list[str] = field(default_factory=list)
    count: int | None = None

    @property
    def verb(self) -> str:
        return "be" if self.clause.verb is None else self.clause.verb.value

    def run(self) -> Scene:
        for behind, role, chunk in self._arguments():
            if chunk.kind == "place":
                self.tags |= chunk.tags
            elif chunk.kind == "count":
                self.count = chunk.count
            elif chunk.kind == "side" and self.clause.verb is not None and role in ("with", "using", "in"):
                self.limbs.append(Chunk("limb", "leg" if self.verb in _WITH_LEGS else "arm", side=chunk.side))
            elif chunk.kind == "limb":
                self._limb(chunk, role, behind)
            elif chunk.kind == "part":
                self._part(chunk, role)
            elif chunk.kind in ("it", "thing"):
                self._thing(chunk, role, behind)
            elif chunk.kind == "person" and behind:
                self.tags.add("person")
                self.persons.append(chunk.value)
        verb = self.clause.verb
        if verb is not None:
            self.tags |= verb.tags | ({verb.side} if verb.side else set())
            self.count = self.count if verb.count is None else verb.count
        if "waist" in self.tags and any(limb.value == "arm" for limb in self.limbs):
            self.targets.append("the hip")
        if self.targets:
            self.tags.add("target")
        lists = (self.limbs, self.targets, self.persons, self.objects)
        limbs, targets, persons, objects = (tuple(found) for found in lists)
        return Scene(limbs, frozenset(self.tags), targets, self.count, persons, objects)

    def _arguments(self) -> Iterator[tuple[bool, str, Chunk]]:
        """(behind the verb, role, chunk); "it" as the limb it stands for."""
        for place, (role, chunk) in enumerate(self.clause.arguments):
            behind = place >= len(self.clause.before)
            if chunk.kind == "it" and behind and self.it is not None:
                chunk = replace(self.it, side="both") if chunk.value.endswith("them") else self.it
            yield behind, role, chunk

    def _limb(self, chunk: Chunk, role: str, behind: bool) -> None:
        if behind and self.verb == "shake" and chunk.value == "arm" and self._is_handshake(chunk, role):
            self.tags.add("handshake")
            chunk = chunk if role == "with" else replace(chunk, side="one", plural=False)
        if chunk.target and chunk.value != "arm":  # the head, the waist
            touched = role in _ONTO or (not role and self.verb in _TOUCHING)
            if touched and (role or not behind or self.verb in _TOUCHING):
                self.targets.append(chunk.target)
                return
            if role in ("towards", "near"):
                self.tags.add("towards")
                return
        in_hand = role == "in" and self.verb in _IN_HAND
        if role in _ACTING or in_hand or (role == "at" and chunk.value == "leg" and self.verb == "bend"):
            self.limbs.append(chunk)
            if in_hand:
                self.tags.add("in_hand")
            if chunk.value == "torso" and "body" in chunk.tags and "upper" not in chunk.tags:
                self.tags.add("own_body")
            if not role or self.clause.link == "with" or self.clause.verb is None:
                self.tags |= {"limb_object", f"{chunk.value}_object"}
            return
        if role in ("to", "on", "onto") and chunk.value == "leg":
            self.tags.add("to_leg")
        if role in (
            "to",
            "on",
            "at",
            "behind",
            "against",
            "towards",
            "near",
            "over",
            "under",
            "between",
            "above",
            "of",
        ):
            self.tags.add("at_limb")

    def _is_handshake(self, chunk: Chunk, role: str) -> bool:
        """ "shakes hands", "shakes someone's hand", "shakes with the right hand", but not "shakes his hands"."""
        if {"someone's", "person's"} & chunk.tags or ({"hand", "hands"} & chunk.tags and not chunk.tags & _OWN):
            return True
        things = any(other.kind == "thing" for _, other in self.clause.arguments)
        return role == "with" and not self.clause.verb.nominal and not things

    def _part(self, chunk: Chunk, role: str) -> None:
        if chunk.target and (not role or role in _ONTO):
            self.targets.append(chunk.target)
        if chunk.target and role in ("towards", "near"):
            self.tags.add("towards")
        if not role:
            self.tags.add("part")
        if chunk.value in _LOWER_PARTS and role in ("to", "on"):
            self.tags.add("to_leg")

    def _thing(self, chunk: Chunk, role: str, behind: bool) -> None:
        words = set(chunk.value.split())
        if words & lexicon().abstract:
            self.tags.add("abstract")
            return
        if words & lexicon().self_words and chunk.kind != "it":
            self.tags.add("self")
        elif behind and (not role or (role in _HELD and self.verb in _HOLDING)):
            self.tags.add("weights" if words & _WEIGHTS else "thing")
            self.objects.append(chunk.value)
        if role in ("onto", "from"):
            self.tags.add(role)
        if chunk.kind == "it":
            self.tags.add("it")
