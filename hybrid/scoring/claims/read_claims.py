"""What a text says that bodies do: `parse_claims(text)` reads motion claims as docs/claims.md says.

Five stages, each of which can be read on its own: spelling is mended and words are found (wording.tokens), runs of
words become chunks (wording.chunks), chunks become clauses of one verb each (clauses.py), clauses become claims by the
frames of lexicon.json (here and reading.py), and claims are put in order (steps.py). No grammar is learnt and none is
complete: what no rule knows gives no claim.
"""

from __future__ import annotations

from dataclasses import dataclass

from hybrid.scoring.claims.parser.clauses import clauses
from hybrid.scoring.claims.parser.reading import Reading, Said
from hybrid.scoring.claims.parser.steps import Steps
from hybrid.scoring.claims.parser.wording import chunks


@dataclass(frozen=True)
class Claim:
    """One movement that a text says somebody makes.

    limb is one of the vocabulary or "arm" / "leg" where side and number are not told; direction, count and target are
    None where not told; step is the place in the told order, equal for what is told of the same time; person holds the
    words for who it is ("the person in red"), None where nobody is named; start and end are told seconds (equal for "at
    1.2 s"); span the characters [first, last) of the text.
    """

    limb: str
    movement: str
    direction: str | None = None
    count: int | None = None
    target: str | None = None
    negated: bool = False
    step: int = 0
    person: str | None = None
    start: float | None = None
    end: float | None = None
    span: tuple[int, int] = (0, 0)


def parse_claims(text: str) -> list[Claim]:
    """The claims of a text in the order of their steps; [] where it claims nothing."""
    read = chunks(text)
    listing = not any(chunk.kind == "connective" and chunk.value in ("and", "then", "before") for chunk in read)
    reading, steps = Reading(listing), Steps()
    found = clauses(read)
    for place, clause in enumerate(found):
        steps.add(clause, reading.read(clause, found[place + 1] if place + 1 < len(found) else None))
    result = steps.result()
    named = next((said.person for step in result for said in step if said.person is not None), None)
    return [_claim(said, number, said.person or named) for number, step in enumerate(result) for said in step]


def _claim(said: Said, step: int, person: str | None) -> Claim:
    start, end = said.seconds or (None, None)
    return Claim(
        said.limb, said.movement, said.direction, said.count, said.target, said.negated, step, person, start, end,
        said.span,
    )  # fmt: skip
