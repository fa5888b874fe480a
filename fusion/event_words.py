"""What the limbs do, written in the language model's own word embeddings, and counted over a whole clip."""

from collections.abc import Callable

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from fusion.tokens import TokenPlan
from skeleton.events.targets import columns, num_movements
from skeleton.layouts.layout import LIMBS


def activity(events: Tensor) -> Tensor:
    """[B, N]: the probability of the likeliest movement of each token; events [B, N, F] as in EventWords."""
    return events[..., : num_movements()].amax(-1)


def total_counts(events: Tensor, plan: TokenPlan) -> Tensor:
    """How often, in the whole clip, the limb of each token does what it does in the token's bin.

    events [B, 1 + M * K * G, F]: probabilities of columns, and repetitions within the bin -> [B, 1 + M * K * G].
    """
    grid = rearrange(events[:, 1:], "b (m k g) f -> b m k g f", m=plan.persons.shape[1], g=plan.limbs)
    doing = grid[..., : num_movements()]
    share = doing / doing.sum(-1, keepdim=True).clamp(min=0.5)  # repetitions belong to some movement, however unsure
    totals = (share * grid[..., -1:]).sum(2, keepdim=True)
    counts = (doing * totals).sum(-1) / doing.sum(-1).clamp(min=1e-3)
    return nn.functional.pad(rearrange(counts, "b m k g -> b (m k g)"), (1, 0))


class EventWords(nn.Module):
    """Vectors of the body's words: always the language model's own embeddings of them, so it reads what it writes."""

    limb: Tensor
    second: Tensor
    event: Tensor
    count: Tensor
    SECONDS, COUNTS = 60, 12  # later tokens say the last second; more repetitions the last count
    LOOK_WEIGHT = 4.0  # times a look outweighs another word: it alone says whose token this is, and is found last

    def __init__(self, embedding: nn.Embedding, encode: Callable[[str], list[int]], events: bool):
        """From the language model's embeddings and a tokenizer's `encode`; `events`: there will be some to tell."""
        super().__init__()
        self.vocabulary = (embedding,)  # in a tuple, because the weights are the language model's
        names = {
            "limb": [f" {limb}" for limb in LIMBS],
            "second": [f"{tenth / 10:.1f}" for tenth in range(10 * self.SECONDS + 1)],
            "event": [f" {column}" for column in columns()][:-1],
            "count": [str(count) for count in range(self.COUNTS + 1)],
        }
        for name, words in names.items():
            ids = [encode(word) for word in words]
            table = torch.tensor([[*row, *[-1] * (max(map(len, ids)) - len(row))] for row in ids])
            self.register_buffer(name, table, persistent=False)
        self.scale = embedding.weight.detach().float().square().mean().sqrt().item()
        self.width = embedding.weight.shape[1]
        self.rest = nn.Parameter(self.scale * torch.randn(self.width)) if events else None

    def of(self, ids: Tensor) -> Tensor:
        """Summed embeddings [..., width] of phrases: ids [..., words], -1 where there are fewer."""
        vectors = nn.functional.embedding(ids.clamp(min=0), self.vocabulary[0].weight).float()
        return (vectors * (ids >= 0)[..., None]).sum(-2)

    def looks(self, looks: Tensor, plan: TokenPlan) -> Tensor:
        """[B, N, width]: the words for the look of each token's person; zeros where nothing is told. looks [B, M, words]: ids."""
        each = (plan.mask.shape[1] - 1) // looks.shape[1]
        return nn.functional.pad(repeat(self.of(looks), "b m d -> b (m n) d", n=each), (0, 0, 1, 0))

    def forward(self, plan: TokenPlan, events: Tensor | None, look: Tensor | float) -> Tensor:
        """[B, N, width]. events [B, N, F]: probabilities of columns, and repetitions; None says nothing about them.
        look: what is added to each token about its person or place."""
        limbs = repeat(self.of(self.limb), "g d -> (m g) d", m=(plan.mask.shape[1] - 1) // plan.limbs)
        tenths = (10 * plan.times).long().clamp(max=10 * self.SECONDS)
        words = nn.functional.pad(limbs, (0, 0, 1, 0)) + self.of(self.second[tenths]) + self.LOOK_WEIGHT * look
        if events is None or self.rest is None:
            return words
        counts = total_counts(events, plan).clamp(0, self.COUNTS)[..., None]
        among = (1 - (counts - torch.arange(self.COUNTS + 1, device=counts.device)).abs()).clamp(min=0)
        among = among * (counts > 0.3)  # what is not counted has no number
        words = words + events[..., :-1] @ self.of(self.event) + among @ self.of(self.count)
        active = activity(events)[..., None]
        return active * words + (1 - active) * self.rest
