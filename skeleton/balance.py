"""Chooses questions so that a constant answer scores chance."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from skeleton.questions import Question


def balance(questions: Sequence[Question], rng: np.random.Generator, most_per_task: int | None = None) -> list[int]:
    """Indices (sorted) of a random part in which the keys of each family are equally frequent.

    A family keeps n of each of its keys, n being what its rarest key has. `most_per_task` bounds each task:
    its families are then thinned evenly, keys staying equal.
    """
    families: dict = defaultdict(lambda: defaultdict(lambda: defaultdict(list)))  # task -> family -> key -> indices
    for i in rng.permutation(len(questions)):
        question = questions[i]
        families[question.task][question.family][question.key].append(int(i))
    chosen = []
    for _, members in sorted(families.items()):
        kept = {}
        for family, keys in sorted(members.items()):
            n = min(len(indices) for indices in keys.values())
            kept[family] = [[indices[i] for _, indices in sorted(keys.items(), key=str)] for i in range(n)]
        total = sum(len(row) for rows in kept.values() for row in rows)
        share = 1.0 if most_per_task is None else min(1.0, most_per_task / max(total, 1))
        for rows in kept.values():
            for row in rows[: round(share * len(rows))]:
                chosen.extend(row)
    return sorted(chosen)
