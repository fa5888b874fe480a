"""Claims -> steps: the last stage of the parser of motion claims (hybrid/scoring/claims/read_claims.py), the told order in time.

"Then", "before", a full stop and lists of finite verbs open a new step; "while", "with" and participles do not. "And"
opens one when the same limb would have to do two things. What is told twice for one moment is told once.
"""

from __future__ import annotations

from hybrid.scoring.claims.parser.chunk import Clause
from hybrid.scoring.claims.parser.reading import Said

_GOING = ("walk", "run", "pivot")
_NOT_GOING = ("bow", "reach", "sit", "kneel", "squat", "lie", "handshake", "throw", "touch")  # one stops for these
_POSTURES = ("raise", "squat", "sit", "kneel", "bow", "touch", "lean", "lie")
_POSTURE_VERBS = ("stand", "be", "have", "hold", "keep")


class Steps:
    """Takes the claims of one clause after another."""

    def __init__(self) -> None:
        self.steps: list[list[Said]] = []
        self.sentence = 0  # the first step of the sentence under way
        self.current = 0  # where the last claims stand
        self.pending = ""  # the link of what was told before the main verb
        self.broken = False  # a clause without claims has ended the last step
        self.stance = False  # the last clause was "stands", without a claim
        self.progressive = False  # "is walking, turning": its gerunds are a list

    def add(self, clause: Clause, found: list[list[Said]]) -> None:
        """Place the claims of a clause: each inner list is one step, the first placed by the clause's link."""
        if clause.link.startswith("stop"):
            self.sentence, self.pending = len(self.steps), ""
        if not found:
            if clause.verb is not None:
                self.broken |= clause.link in ("then", "before", "after") or (clause.link == "comma" and clause.finite)
                self.stance = clause.verb.value in ("stand", "be", "start") and clause.link in ("stop", "lead")
                self.progressive = clause.progressive
            return
        self.current = self._place(clause, found[0])
        for claims in found[1:]:
            self.steps.append(list(claims))
            self.current = len(self.steps) - 1
        self.pending = clause.link if self._leads(clause, found[0]) else ""
        self.broken = self.stance = False
        if clause.link not in ("with", "participle"):
            self.progressive = clause.progressive

    def _leads(self, clause: Clause, claims: list[Said]) -> bool:
        """Whether what was told is in the step of the main verb that follows: a posture, a relative clause."""
        if clause.link in ("lead", "stop_while", "stop_before") or (self.stance and clause.link == "with"):
            return True
        postures = all(said.movement in _POSTURES for said in claims)
        return clause.link == "stop" and (clause.verb is None or (clause.verb.value in _POSTURE_VERBS and postures))

    def _place(self, clause: Clause, claims: list[Said]) -> int:
        """Adds claims to a step or as a new one, and gives its number."""
        link, steps = clause.link, self.steps
        if self.broken or (link == "comma" and self.progressive and not clause.finite):
            link = {"while": "while", "after": "after"}.get(link, "then")
        if len(steps) == self.sentence or link.startswith("stop"):
            return self._new(claims)
        if link == "after" or (self.pending == "stop_before" and link in ("comma", "main")):
            steps.insert(len(steps) - 1, list(claims))
            return len(steps) - 1
        if link in ("then", "before"):
            return self._new(claims)
        if self.pending and not _meet(steps[-1], claims) and link not in ("like", "purpose"):
            return self._join(len(steps) - 1, claims)
        if link == "while":
            return self._join(self.sentence, claims)
        if link in ("with", "like", "participle"):
            return self._join(self.current, claims)
        if link == "purpose":
            going = any(said.movement in (*_GOING, "step") for said in steps[-1])
            return self._new(claims) if going else self._join(len(steps) - 1, claims)
        if (link == "comma" and clause.finite) or (link == "and" and _conflict(steps[-1], claims)):
            return self._new(claims)
        return self._join(len(steps) - 1, claims)

    def _new(self, claims: list[Said]) -> int:
        self.steps.append(list(claims))
        return len(self.steps) - 1

    def _join(self, step: int, claims: list[Said]) -> int:
        self.steps[step] += claims
        return step

    def result(self) -> list[list[Said]]:
        """The steps, without what is told twice for the same moment."""
        return [kept for step in self.steps if (kept := _without_repeats(step))]


def _without_repeats(step: list[Said]) -> list[Said]:
    kept: list[Said] = []
    for said in step:
        if not any(_repeats(said, other) for other in kept):
            kept.append(said)
    names = {said.movement for said in kept}
    if names & {"walk", "run"}:  # "steps carefully while walking"
        kept = [said for said in kept if said.movement != "step"]
    if names & {"kneel", "sit", "lie"}:  # "leans down to kneel"
        kept = [said for said in kept if said.movement != "bow"]
    return kept


def _repeats(said: Said, other: Said) -> bool:
    same = all(getattr(said, name) == getattr(other, name) for name in ("movement", "target", "negated", "person"))
    return same and said.limb in (other.limb, other.group) and said.direction in (None, other.direction)


def _conflict(step: list[Said], claims: list[Said]) -> bool:
    """Whether one body cannot do both at once, or would not."""
    pairs = [(earlier.movement, later.movement) for earlier in step for later in claims]
    stops = any(one in _GOING and other in _NOT_GOING for one, other in pairs)
    carries = any(one == "reach" and other in (*_GOING, "step") for one, other in pairs)
    return _meet(step, claims) or stops or carries


def _meet(step: list[Said], claims: list[Said]) -> bool:
    return any(_parts(earlier) & _parts(later) for earlier in step for later in claims)


def _parts(said: Said) -> set[str]:
    """The parts of the body that a claim may take up; an arm without a side may be either."""
    if said.group not in ("arm", "leg"):
        return {said.group}
    sided = said.limb.startswith(("left ", "right "))
    return {said.limb} if sided else {f"left {said.group}", f"right {said.group}"}
