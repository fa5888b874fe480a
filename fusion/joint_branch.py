"""Skeletons -> joint tokens in the language model's width, and the same tokens from events that are known.

A joint token begins as a sum of words that the language model already reads: its limb, its second, what the limb is
predicted to do there and how often in all. Where nothing happens it is one learned `rest` vector, or is left out of the
prompt, so that a question finds the few moments that matter. The projector adds what has no word, the anchor the look of
the limb's owner.
"""

import math

import torch
from torch import Tensor, nn

from fusion.anchoring import Anchor
from fusion.batch import Batch
from fusion.event_words import EventWords, activity
from fusion.losses import RARE, USUAL, event_loss, happening, look_loss
from fusion.projector import Projector
from fusion.tokens import JointTokens, LimbTokens
from hybrid.config.instruction import EncoderConfig, FusionConfig
from skeleton.encoders import build_encoder
from skeleton.events.targets import columns
from skeleton.layouts.layout import get_layout


def moving(mask: Tensor, events: Tensor, least: float) -> Tensor:
    """The part of `mask` [B, N] whose limbs move with a probability of at least `least`, and the null tokens."""
    active = activity(events) >= least
    active[:, 0] = True
    return mask & active


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
