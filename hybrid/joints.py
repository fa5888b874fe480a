"""Skeletons -> joint tokens in the language model's width, and the same tokens from events that are known.

A joint token begins as a sum of words that the language model already reads: its limb, its second, what the limb is
predicted to do there and how often in all. Where nothing happens it is one learned `rest` vector, or is left out of the
prompt, so that a question finds the few moments that matter. The projector adds what has no word, the anchor the look of
the limb's owner.
"""

import math
from collections.abc import Callable

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from fusion.anchoring import Anchor
from fusion.projector import Projector
from fusion.tokens import JointTokens, LimbTokens, TokenPlan
from hybrid.data.collation import Batch
from hybrid.data.event_targets import columns, num_movements
from hybrid.schema import EncoderConfig, FusionConfig
from skeleton.encoders import build_encoder
from skeleton.layouts import LIMBS, get_layout

USUAL = 0.01  # share of what happens among all columns of all tokens
RARE = 5.0  # weight of what happens against what does not


def happening(predicted: Tensor) -> Tensor:
    """What the event head says, [B, N, F]: probabilities of columns, and repetitions. The loss makes what happens RARE times
    likelier than it is; this takes it back."""
    return torch.cat([(predicted[..., :-1] - math.log(RARE)).sigmoid(), predicted[..., -1:]], dim=-1)


def event_loss(predicted: Tensor, targets: Tensor | None, plan: TokenPlan) -> Tensor:
    """Cross entropies of the events, and squared errors of the repetitions in the bin and (where a limb repeats) in the clip;
    summed over columns, mean over tokens.

    predicted, targets [B, N, F]; tokens whose targets are NaN do not count (0 when none does).
    """
    if targets is None:
        return 0.0 * predicted.sum()
    predicted, known, targets = predicted.float(), ~targets[..., :1].isnan(), targets.nan_to_num(0.0)
    words = nn.functional.binary_cross_entropy_with_logits(
        predicted[..., :-1], targets[..., :-1], reduction="none", pos_weight=predicted.new_tensor(RARE)
    )
    bins = (predicted[..., -1:] - targets[..., -1:]).square()
    clip = (total_counts(happening(predicted), plan) - total_counts(targets, plan)).square() * (targets[..., -1] > 0)
    return ((words.sum(-1, keepdim=True) + bins + clip[..., None]) * known).sum() / known.sum().clamp(min=1)


def look_loss(seen: Tensor, told: Tensor, known: Tensor) -> Tensor:
    """Squared error of what the anchor adds (`seen`) against the words for the person's look (`told`), relative to
    their size; mean over the tokens `known` (0 when there is none). seen, told [B, N, width]; known [B, N] bool."""
    error = (seen - told).square().mean(-1) / told.square().mean(-1).clamp(min=1e-6)
    return (error * known).sum() / known.sum().clamp(min=1)


def activity(events: Tensor) -> Tensor:
    """[B, N]: the probability of the likeliest movement of each token; events [B, N, F] as in EventWords."""
    return events[..., : num_movements()].amax(-1)


def moving(mask: Tensor, events: Tensor, least: float) -> Tensor:
    """The part of `mask` [B, N] whose limbs move with a probability of at least `least`, and the null tokens."""
    active = activity(events) >= least
    active[:, 0] = True
    return mask & active


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

    SECONDS, COUNTS = 60, 12  # later tokens say the last second; more repetitions the last count
    LOUD = 4.0  # times a look outweighs another word: it alone says whose token this is, and is found last

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

    def looks(self, batch: Batch) -> Tensor:
        """[B, N, width]: the words for the look of each token's person; zeros where nothing is told."""
        each = (batch.plan.mask.shape[1] - 1) // batch.looks.shape[1]
        return nn.functional.pad(repeat(self.of(batch.looks), "b m d -> b (m n) d", n=each), (0, 0, 1, 0))

    def forward(self, plan: TokenPlan, events: Tensor | None, look: Tensor | float) -> Tensor:
        """[B, N, width]. events [B, N, F]: probabilities of columns, and repetitions; None says nothing about them.
        look: what is added to each token about its person or place."""
        limbs = repeat(self.of(self.limb), "g d -> (m g) d", m=(plan.mask.shape[1] - 1) // plan.limbs)
        tenths = (10 * plan.times).long().clamp(max=10 * self.SECONDS)
        words = nn.functional.pad(limbs, (0, 0, 1, 0)) + self.of(self.second[tenths]) + self.LOUD * look
        if events is None:
            return words
        counts = total_counts(events, plan).clamp(0, self.COUNTS)[..., None]
        among = (1 - (counts - torch.arange(self.COUNTS + 1, device=counts.device)).abs()).clamp(min=0)
        among = among * (counts > 0.3)  # what is not counted has no number
        words = words + events[..., :-1] @ self.of(self.event) + among @ self.of(self.count)
        active = activity(events)[..., None]
        return active * words + (1 - active) * self.rest


class JointBranch(nn.Module):
    """Skeletons -> tokens in the MLLM's width: encoder, limb tokens, words, anchor, projector."""

    def __init__(self, encoder: EncoderConfig, fusion: FusionConfig, words: EventWords):
        super().__init__()
        width = words.width
        self.encoder = build_encoder(
            encoder.name,
            layout=encoder.layout,
            width=encoder.width,
            depth=encoder.depth,
            stride=encoder.stride,
            streams=tuple(encoder.streams),
            **encoder.options,
        )
        self.encoder.requires_grad_(not encoder.freeze)
        limbs = torch.tensor(get_layout(encoder.layout).limb_index)
        self.tokens = LimbTokens(self.encoder.width, limbs, fusion.max_persons)
        self.words = words
        self.projector = Projector(self.encoder.width, width, words.scale)
        self.anchor = Anchor(width) if fusion.anchor else None
        self.events = None
        if words.rest is not None:
            self.events = nn.Linear(self.encoder.width, len(columns()))
            nn.init.constant_(self.events.bias[:-1], math.log(RARE * USUAL))  # begins by saying what is usual: nothing
        self.min_activity = fusion.min_activity
        self.event_loss: Tensor | None = None
        self.look_loss: Tensor | None = None

    def pooled(self, batch: Batch) -> JointTokens:
        """Limb tokens in the encoder's width."""
        return self.tokens(self.encoder(batch.body), batch.body, batch.plan)

    def forward(self, batch: Batch, volumes: list[Tensor] | None) -> tuple[Tensor, Tensor]:
        """Tokens [B, N, width] and which to tell [B, N]; volumes: of the rows with video, in order (anchoring only).

        In training `event_loss` and `look_loss` hold these losses of the batch afterwards (event head, anchor)."""
        tokens = self.pooled(batch)
        events, mask = None, tokens.mask
        if self.events is not None:
            predicted = self.events(tokens.features)
            self.event_loss = event_loss(predicted, batch.events, batch.plan) if self.training else None
            events = happening(predicted)
            mask = moving(mask, events, self.min_activity)
        look: Tensor | float = 0.0
        if self.anchor is not None:
            given, painted = iter(volumes or []), iter(batch.colours)
            seen = [
                (next(given).float(), next(painted)) if video else (None, None) for video in batch.with_video.tolist()
            ]
            fractions = tokens.times / batch.seconds[:, None]
            persons = batch.plan.persons.shape[1]
            look = self.anchor(*zip(*seen, strict=True), tokens.points, tokens.placed, fractions, persons)
            self.look_loss = 0.0 * look.sum()
            if self.training and batch.looks is not None:
                told = self.words.looks(batch).detach()
                known = tokens.placed & batch.with_video[:, None] & told.any(-1)
                self.look_loss = look_loss(look, told, known)
        return self.projector(tokens.features, self.words(batch.plan, events, look)), mask


class OracleBranch(nn.Module):
    """Tokens from events that are known, and words for how each person looks: no skeleton and no encoder.

    The ceiling of what any encoder could tell, and what a language model from nothing learns to read joint tokens from.
    """

    anchor = encoder = None

    def __init__(self, words: EventWords, min_activity: float):
        super().__init__()
        self.words, self.min_activity = words, min_activity

    def forward(self, batch: Batch, _volumes: list[Tensor] | None) -> tuple[Tensor, Tensor]:
        """Tokens [B, N, width] and which to tell [B, N]."""
        look: Tensor | float = 0.0
        if batch.looks is not None:
            look = self.words.looks(batch)
        known = batch.events
        if known is None:
            known = torch.zeros(*batch.plan.mask.shape, len(columns()), device=batch.plan.mask.device)
        known = known.nan_to_num(0.0)
        words = self.words(batch.plan, known, look)
        tokens = nn.functional.rms_norm(words, words.shape[-1:]) * self.words.scale
        return tokens, moving(batch.plan.mask, known, self.min_activity)
