"""Losses of the joint tokens: the event head against computed events, the anchor against words for a person's look."""

import math

import torch
from torch import Tensor, nn

from fusion.event_words import total_counts
from fusion.tokens import TokenPlan

EVENT_PRIOR = 0.01  # share of what happens among all columns of all tokens
POSITIVE_WEIGHT = 5.0  # weight of what happens against what does not


def event_probabilities(predicted: Tensor) -> Tensor:
    """What the event head says, [B, N, F]: probabilities of columns, and repetitions. The loss makes what happens
    POSITIVE_WEIGHT times likelier than it is; this takes it back."""
    return torch.cat([(predicted[..., :-1] - math.log(POSITIVE_WEIGHT)).sigmoid(), predicted[..., -1:]], dim=-1)


def event_loss(predicted: Tensor, targets: Tensor | None, plan: TokenPlan) -> Tensor:
    """Cross entropies of the events, and squared errors of the repetitions in the bin and (where a limb repeats) in the clip;
    summed over columns, mean over tokens.

    predicted, targets [B, N, F]; tokens whose targets are NaN do not count (0 when none does).
    """
    if targets is None:
        return 0.0 * predicted.sum()
    predicted, known, targets = predicted.float(), ~targets[..., :1].isnan(), targets.nan_to_num(0.0)
    words = nn.functional.binary_cross_entropy_with_logits(
        predicted[..., :-1], targets[..., :-1], reduction="none", pos_weight=predicted.new_tensor(POSITIVE_WEIGHT)
    )
    bins = (predicted[..., -1:] - targets[..., -1:]).square()
    clip = (total_counts(event_probabilities(predicted), plan) - total_counts(targets, plan)).square() * (
        targets[..., -1] > 0
    )
    return ((words.sum(-1, keepdim=True) + bins + clip[..., None]) * known).sum() / known.sum().clamp(min=1)


def look_loss(seen: Tensor, told: Tensor, known: Tensor) -> Tensor:
    """Squared error of what the anchor adds (`seen`) against the words for the person's look (`told`), relative to
    their size; mean over the tokens `known` (0 when there is none). seen, told [B, N, width]; known [B, N] bool."""
    error = (seen - told).square().mean(-1) / told.square().mean(-1).clamp(min=1e-6)
    return (error * known).sum() / known.sum().clamp(min=1)
