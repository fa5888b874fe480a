"""Clauses -> claims: the fourth stage of the parser of motion claims (hybrid/scoring/claims/read_claims.py).

A clause's verb has frames in lexicon.json; the first that fits what stands around the verb (scene.py) names the
movements. Limb, direction, count and target then come from the clause and, where it leaves them out, from what was
said before: the limb named last, the verb named last.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from hybrid.scoring.claims.parser.chunk import Chunk, Clause
from hybrid.scoring.claims.parser.directions import direction_of, has_sides
from hybrid.scoring.claims.parser.lexicon import Frame, lexicon
from hybrid.scoring.claims.parser.scene import Scene, fitting, scene_of
from skeleton.events.vocabulary import flip_side, vocabulary

_UNCOUNTED = ("walk", "run")
_LOW = frozenset(("sit", "kneel", "squat", "lie", "bow", "lean"))  # from these one may stand up
_LOW_VERBS = frozenset(("crawl", "fall", "collapse", "bend", "duck", "slide", "lunge"))  # without a claim
_BORROWING = frozenset(("wave", "lower", "throw", "touch", "hold", "reach", "circle", "punch", "raise", "handshake"))
_SHARING = ("raise", "lift", "lower", "extend")  # "raises and lowers the arm"
_WITH_OBJECTS = ("reach", "hold", "throw")
_STATE = Chunk("verb", "be", form="third")
_NO_WAY = frozenset(("in", "off", "away", "in_place", "together", "around", "on_ground", "thing", "person", "part"))
_WAYS = frozenset(("left", "right", "forward", "backwards", "back", "side", "up", "down"))


@dataclass(frozen=True)
class Said:
    """A claim before it has a step; the fields are those of `Claim`."""

    limb: str
    movement: str
    direction: str | None
    count: int | None
    target: str | None
    negated: bool
    person: str | None
    seconds: tuple[float, float] | None
    span: tuple[int, int]

    @property
    def group(self) -> str:
        """The limb group, also of "arm" and "leg"."""
        return vocabulary().limbs.get(self.limb, self.limb)


class Reading:
    """Reads clauses one after another and remembers what later ones may leave out."""

    def __init__(self, listing: bool = False) -> None:
        """listing: the text holds no "and" and no "then", so that "walks back" is no return."""
        self.listing = listing
        self.person: str | None = None
        self.named: dict[str, Chunk] = {}  # limb group -> the limb named last with side or number
        self.it: Chunk | None = None  # the object named last
        self.claims: list[Said] = []  # of the last clause that had any
        self.verb, self.scene = _STATE, Scene()  # of that clause
        self.heard: list[Said] = []  # every claim so far
        self.repeatable = False  # whether the last clause had claims
        self.low = False  # whether the body is below standing

    def read(self, clause: Clause, following: Clause | None) -> list[list[Said]]:
        """The claims of a clause in steps, most often one. A clause whose verb is left out becomes finite: it is one of
        a list."""
        self._name_person(clause)
        verb, scene = clause.verb, self._scene(clause, following)
        if verb is None:
            verb, scene = self._filled(clause, scene)
            if verb is None:
                return []
            clause.finite |= verb is not _STATE
        frame = fitting(verb.value, scene)
        if frame is None:
            frame, scene = self._shared(clause, verb, scene, following)
        found = [] if frame is None else self._claims(frame, clause, verb, scene)
        if frame is not None:
            found = self._with_other_group(found, frame, clause, verb, scene)
        self._remember(clause, verb, scene, found)
        return [] if clause.cancelled else found

    def _name_person(self, clause: Clause) -> None:
        for role, chunk in clause.before:
            pronoun = chunk.value.split()[-1:] and chunk.value.split()[-1] in lexicon().pronouns
            if chunk.kind == "person" and not role and (not pronoun or self.person is None):
                self.person = chunk.value

    def _scene(self, clause: Clause, following: Clause | None) -> Scene:
        """The scene of the clause with the tags that come from the clauses around it."""
        scene, verb = scene_of(clause, self.it if self.it is not None and self.it.kind == "limb" else None), clause.verb
        more = {
            "after_arm": bool(self.claims) and self.claims[-1].limb.split()[-1] in ("arm", "arms"),
            "after_raise": any(said.movement == "raise" for said in self.heard),
            "after_low": self.low,
            "purpose": following is not None and following.link == "purpose",
            "backwards": "back" in scene.tags and (self.listing or clause.seconds is not None),
        }
        if verb is not None:
            again = (
                verb.value == "shake" and not scene.limbs and any(said.movement == "handshake" for said in self.heard)
            )
            more["handshake"], more["nominal"] = again, verb.nominal
            more["gerund_first"] = verb.form == "gerund" and clause.link in ("stop", "lead", "main", "participle")
        return replace(scene, tags=scene.tags | {tag for tag, holds in more.items() if holds})

    def _filled(self, clause: Clause, scene: Scene) -> tuple[Chunk | None, Scene]:
        """The verb and scene of a clause without a verb: the last verb with what is new, or a state; None: nothing."""
        if clause.link in ("with", "while", "stop") or not self.repeatable:
            return _STATE, scene
        groups = {said.group for said in self.claims}
        side = next((chunk.side for _, chunk in clause.arguments if chunk.kind == "side"), None)
        if side is not None:
            group = next((group for group in ("arm", "leg") if group in groups), None)
            if group is None:
                return self.verb, replace(self.scene, tags=frozenset((side,)), limbs=())
            return self.verb, replace(self.scene, limbs=(Chunk("limb", group, side=side),))
        if scene.limbs:
            first, placed = scene.limbs[0], any(chunk.kind == "place" for _, chunk in clause.arguments)
            if first.value not in groups or first.side is None or (clause.link == "comma" and scene.targets):
                return _STATE, scene
            return self.verb, replace(
                self.scene, limbs=scene.limbs, tags=scene.tags if placed else self.scene.tags,
                targets=scene.targets or self.scene.targets, count=scene.count,
            )  # fmt: skip
        if scene.tags <= _NO_WAY or not scene.tags & _WAYS:
            return None, scene
        if "down" in scene.tags and self.claims[-1].movement in ("raise", "touch"):
            return Chunk("verb", "lower", form="third"), self.scene
        tags = scene.tags | (self.scene.tags & {"thing"}) | {"elided"}
        return self.verb, replace(self.scene, tags=tags, count=scene.count)

    def _shared(
        self, clause: Clause, verb: Chunk, scene: Scene, following: Clause | None
    ) -> tuple[Frame | None, Scene]:
        """For a verb that no frame fits: with the next clause's limb ("raises and lowers the arm"), or as a state."""
        joined = following is not None and following.link in ("and", "then") and verb.value in _SHARING
        if joined and not scene.limbs and "thing" not in scene.tags:
            limbs = tuple(chunk for _, chunk in following.after if chunk.kind == "limb")
            shared = replace(scene, limbs=limbs, tags=scene.tags | ({"limb_object", "arm_object"} if limbs else set()))
            if (frame := fitting(verb.value, shared)) is not None:
                return frame, shared
        return (fitting("be", scene) if clause.link == "with" else None), scene

    def _with_other_group(
        self, found: list[list[Said]], frame: Frame, clause: Clause, verb: Chunk, scene: Scene
    ) -> list[list[Said]]:
        """The leg's claims, too, of "raises the left arm and the right leg"."""
        if frame.limb not in (("arm",), ("leg",)):
            return found
        other = "leg" if frame.limb == ("arm",) else "arm"
        rest = replace(scene, limbs=scene.of(other))
        second = fitting(verb.value, rest) if rest.limbs else None
        if second is None or second.limb != (other,):
            return found
        return [found[0] + self._claims(second, clause, verb, rest)[0], *found[1:]]

    def _claims(self, frame: Frame, clause: Clause, verb: Chunk, scene: Scene) -> list[list[Said]]:
        span = _span(clause)
        steps = []
        for step in frame.claims:
            steps.append([])
            for text in step:
                movement, _, told = text.partition("|")
                for limb in self._limbs(movement, frame, clause, scene):
                    for target in _targets(movement, scene):
                        name = "greet" if movement == "wave" and target else movement
                        count = None if movement in _UNCOUNTED else scene.count
                        way = told or direction_of(movement, limb, scene.tags)
                        claim = Said(limb, name, way, count, target, clause.negated, self.person, clause.seconds, span)
                        steps[-1].append(claim)
        for first, second in (("left", "right"), ("right", "left")):  # "looks left and right" is two claims
            if f"{first}_{second}" in scene.tags and has_sides(steps[0][0].movement):
                return [[replace(said, direction=way) for said in steps[0]] for way in (first, second)]
        return steps

    def _limbs(self, movement: str, frame: Frame, clause: Clause, scene: Scene) -> list[str]:
        """The limbs that make a movement, as named here or before."""
        if movement == "clap" or (frame.default and not scene.of("arm")):
            return [frame.default or "both arms"]
        group = _group(movement, frame)
        if group not in ("arm", "leg"):
            return [group]
        acting = scene.of(group)
        if clause.alternate and all(limb.side in (None, "one") for limb in acting):
            return [f"both {group}s"]
        if not acting:
            return [self._left_out(movement, group, clause)]
        names = list(dict.fromkeys(self._limb_name(limb, group) for limb in acting))
        return [f"both {group}s"] if {f"left {group}", f"right {group}"} <= set(names) else names

    def _limb_name(self, limb: Chunk, group: str) -> str:
        earlier = self.named.get(group)
        if limb.side in ("left", "right"):
            return f"{limb.side} {group}"
        if limb.side == "both" or (limb.plural and limb.side is None):
            return f"both {group}s"
        if limb.side == "other":
            sided = earlier is not None and earlier.side in ("left", "right")
            return flip_side(f"{earlier.side} {group}") if sided else group
        if limb.side is None and earlier is not None and not limb.tags & {"a", "an"}:
            return self._limb_name(earlier, group)
        return group

    def _left_out(self, movement: str, group: str, clause: Clause) -> str:
        """The limb of a verb that names none: that of the same movement before, or of what is done at the same time."""
        if same := [said for said in self.heard if said.movement == movement]:
            return same[-1].limb
        if movement == "bend":
            return "both legs"
        last = next((said for said in reversed(self.claims) if said.group == group), None)
        if last is None or movement not in _BORROWING:
            return group
        together = clause.link in ("participle", "purpose", "while", "like", "with")
        raised = last.movement == "raise" and movement in ("wave", "lower", "touch")
        return last.limb if together or raised or movement == "circle" else group

    def _remember(self, clause: Clause, verb: Chunk, scene: Scene, found: list[list[Said]]) -> None:
        for role, chunk in clause.arguments:
            if chunk.kind in ("thing", "part") or (chunk.kind == "limb" and (not role or self.it is None)):
                self.it = chunk
            sided = chunk.side in ("left", "right", "both") or chunk.plural
            if chunk.kind == "limb" and chunk.value in ("arm", "leg") and sided:
                self.named[chunk.value] = chunk
        self.low |= verb.value in _LOW_VERBS
        for said in (said for step in found for said in step):
            if said.movement in _LOW:
                self.low = True
            elif said.movement in ("stand", "walk", "run", "jump"):
                self.low = False
            if said.limb.startswith(("left ", "right ")):
                self.named[said.group] = Chunk("limb", said.group, side=said.limb.split()[0])
            self.heard.append(said)
        self.repeatable = bool(found)
        if found:
            self.claims, self.verb, self.scene = [said for step in found for said in step], verb, scene


def _span(clause: Clause) -> tuple[int, int]:
    """The characters of a clause without the person."""
    said = [chunk for _, chunk in clause.arguments if chunk.kind != "person"]
    said += [] if clause.verb is None else [clause.verb]
    behind = [chunk.end for _, chunk in clause.after]
    return min(chunk.start for chunk in said), max([chunk.end for chunk in said] + behind)


def _targets(movement: str, scene: Scene) -> list[str | None]:
    if movement == "touch":
        return list(dict.fromkeys(scene.targets))
    if movement in _WITH_OBJECTS:
        return [next((name for name in scene.objects if name in vocabulary().objects()), None)]
    if movement in ("wave", "handshake"):
        return [next((name for name in scene.persons if name.startswith("the ") and " in " in name), None)]
    return [None]


def _group(movement: str, frame: Frame) -> str:
    """The limb group that makes a movement; raising and lowering are done by the one that the frame asks for."""
    groups = vocabulary().movement(movement).limbs
    return next((group for group in frame.limb if group in groups), groups[0])
