"""One row of a batch as a tree (see fusion.placement): the prefix with video and body, questions behind it, and behind each
question what is answered: the truth in training, all options in scoring, nothing in generation."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from fusion.batch import Branch


@dataclass
class RowTokens:
    """A row under construction. positions: pieces [dims, n]; subtree_end: for each token the end of what grows from its
    segment, 0 for the end of the row; placeholders: (first, end); answers: (number, places that predict, ids to predict)."""

    ids: list[int]
    positions: list[Tensor]
    subtree_end: list[int]
    placeholders: tuple[int, int]
    answers: list[tuple[int, list[int], list[int]]]

    def append(self, ids: list[int], start: int) -> int:
        """Plain text from position `start`; returns the next free position."""
        self.ids += ids
        dims = self.positions[0].shape[0]
        self.positions.append((torch.arange(len(ids)) + start).expand(dims, -1))
        return start + len(ids)

    def grow(
        self,
        branches: Sequence[Branch],
        after: list[int],
        encode: Callable[[str], list[int]],
        end: int,
        free: int,
        number: int,
    ) -> None:
        """Appends all branches, each from position `free`; after: ids behind a question; end: the id that ends an answer;
        number: of the first answer within the batch."""
        self.subtree_end = [0] * len(self.ids)
        for branch in branches:
            question = len(self.ids)
            asked = self.append(encode(branch.question) + after, free)
            last = len(self.ids) - 1
            for answer in branch.answers:
                first, answer_tokens = len(self.ids), [*encode(answer), end]
                self.append(answer_tokens, asked)
                self.subtree_end += [0] * (first - len(self.subtree_end)) + [len(self.ids)] * len(answer_tokens)
                sources = [last, *range(first, first + len(answer_tokens) - 1)]
                self.answers.append((number, sources, answer_tokens))
                number += 1
            self.subtree_end += [0] * (last + 1 - len(self.subtree_end))
            self.subtree_end[question : last + 1] = [len(self.ids)] * (last + 1 - question)
