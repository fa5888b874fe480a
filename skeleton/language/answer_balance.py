"""Chooses questions so that a constant answer scores chance."""

from collections import defaultdict
from collections.abc import Sequence

import numpy as np

from skeleton.language.event_questions import Question


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


def frequent(questions: Sequence[Question]) -> list[int]:
    """Indices of the questions whose keys are frequent enough to be balanced without losing most of their family.

    Of each family those keys stay of which balancing keeps most questions, two of them at least: what people do is
    uneven, and a rare movement would leave little of the others. A family of a single key goes: its answer is known.
    """
    families: dict = defaultdict(lambda: defaultdict(list))
    for i, question in enumerate(questions):
        families[question.family][question.key].append(i)
    chosen = []
    for keys in families.values():
        if set(keys) == {None}:
            chosen.extend(keys[None])
            continue
        by_size = sorted(keys.values(), key=len, reverse=True)
        most = max(range(2, len(by_size) + 1), key=lambda n: n * len(by_size[n - 1]), default=0)
        chosen.extend(i for indices in by_size[:most] for i in indices)
    return sorted(chosen)
