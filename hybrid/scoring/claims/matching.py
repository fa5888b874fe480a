"""Which fact each claim tells: as many matches as can be, each fact once, and in the told order where that can be."""

from __future__ import annotations

import numpy as np
from scipy.optimize import linear_sum_assignment

from hybrid.scoring.claims.facts import Fact, Mismatch
from hybrid.scoring.claims.read_claims import Claim

ORDER_SECONDS = 0.3  # starts this close have no order
LASTING = ("walk", "run", "hold", "sit", "kneel", "lie", "squat")
_POSSIBLE, _FREE = 1000.0, 1e6


def match(claims: list[Claim], facts: list[Fact], table: list[list[list[Mismatch]]]) -> tuple[dict[int, int], set[int]]:
    """({claim: fact}, claims that tell a fact again): as many matches as can be, each fact used once; ties go to the
    told order."""
    if not claims or not facts:
        return {}, set()
    last_step = max(claim.step for claim in claims) or 1
    starts = sorted({fact.start for fact in facts})
    rank = {start: place / max(len(starts) - 1, 1) for place, start in enumerate(starts)}
    cost = np.full((len(claims), len(facts)), _FREE)
    for i, claim in enumerate(claims):
        for j, fact in enumerate(facts):
            if not claim.negated and fact.observable and not table[i][j]:
                gap = claim.step / last_step - rank[fact.start]
                late = 0.0 if claim.start is None else abs(fact.start - claim.start)
                cost[i, j] = (
                    gap * gap + 0.1 * late + (5.0 if fact.implied else 0.0) + (0.01 if fact.vaguer(claim) else 0.0)
                )
    chosen = {int(i): int(j) for i, j in zip(*linear_sum_assignment(cost), strict=True) if cost[i, j] < _POSSIBLE}
    _mend_order(claims, facts, cost, chosen)
    repeated = set()
    for i, claim in enumerate(claims):
        if i not in chosen and not claim.negated:
            again = [
                j
                for j in range(len(facts))
                if cost[i, j] < _POSSIBLE and _may_share(claim, i, j, claims, facts, chosen)
            ]
            if again:
                chosen[i] = min(again, key=lambda j: cost[i, j])
                repeated.add(i)
    return chosen, repeated


def _may_share(claim: Claim, i: int, j: int, claims: list[Claim], facts: list[Fact], chosen: dict[int, int]) -> bool:
    """Whether a fact that is told already may be told again: it lasts, or it is the other arm of the same moment."""
    if facts[j].movement in LASTING:
        return True
    others = [claims[k] for k, other in chosen.items() if other == j and k != i]
    return all(
        other.step == claim.step and {other.limb.split()[0], claim.limb.split()[0]} == {"left", "right"}
        for other in others
    )


def _mend_order(claims: list[Claim], facts: list[Fact], cost: np.ndarray, chosen: dict[int, int]) -> None:
    """Moves claims to free facts, or swaps two, while that leaves fewer pairs out of order."""

    def wrong() -> int:
        items = list(chosen.items())
        return sum(
            is_reversed(claims[a].step - claims[b].step, facts[i].start - facts[j].start)
            for a, i in items
            for b, j in items
        )

    count = wrong()
    for _ in range(len(claims)):
        before = count
        for a in list(chosen) if count else ():
            for j in range(len(facts)):
                if cost[a, j] >= _POSSIBLE or chosen[a] == j:
                    continue
                kept = dict(chosen)
                holder = next((b for b, other in chosen.items() if other == j), None)
                if holder is not None and cost[holder, chosen[a]] >= _POSSIBLE:
                    continue
                if holder is not None:
                    chosen[holder] = chosen[a]
                chosen[a] = j
                if (found := wrong()) < count:
                    count = found
                else:
                    chosen.update(kept)
        if count == before:
            return


def is_reversed(steps: int, seconds: float) -> bool:
    """Whether two claims, so many steps apart, tell what began so many seconds apart in the wrong order."""
    return steps < 0 and seconds > ORDER_SECONDS
