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
from fusion.batch import Body, Prompt
from fusion.event_words import EventWords, activity
from fusion.losses import EVENT_PRIOR, POSITIVE_WEIGHT, event_loss, event_probabilities, look_loss
from fusion.projector import Projector
from fusion.tokens import JointTokens, LimbTokens
from skeleton.encoders import Encoder
from skeleton.events.targets import columns
from skeleton.layouts.layout import get_layout


def active_mask(mask: Tensor, events: Tensor, least: float) -> Tensor:
    """The part of `mask` [B, N] whose limbs move with a probability of at least `least`, and the null tokens."""
    active = activity(events) >= least
    active[:, 0] = True
    return mask & active


class JointBranch(nn.Module):
    """Skeletons -> tokens in the MLLM's width: encoder, limb tokens, words, anchor, projector.

    encoder: of skeleton.encoders; the words' `rest` says whether there is an event head.
    """

    def __init__(self, encoder: Encoder, words: EventWords, max_persons: int, anchor: bool, min_activity: float):
        super().__init__()
        width = words.width
        self.encoder = encoder
        limbs = torch.tensor(get_layout(encoder.layout).limb_index)
        self.tokens = LimbTokens(encoder.width, limbs, max_persons)
        self.words = words
        self.projector = Projector(encoder.width, width, words.scale)
        self.anchor = Anchor(width) if anchor else None
        self.events: nn.Linear | None = None
        if words.rest is not None:
            self.events = nn.Linear(encoder.width, len(columns()))
            # begins by saying what is usual: nothing
            nn.init.constant_(self.events.bias[:-1], math.log(POSITIVE_WEIGHT * EVENT_PRIOR))
        self.min_activity = min_activity

    def pooled(self, body: Body) -> JointTokens:
        """Limb tokens in the encoder's width."""
        return self.tokens(self.encoder(body.skeletons), body.skeletons, body.plan)

    def forward(
        self, body: Body, prompt: Prompt, volumes: list[Tensor] | None
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """Tokens [B, N, width], which of them enter the prompt [B, N] bool, and in training the losses `event_loss` (event
        head) and `look_loss` (anchor). volumes: of the rows with video, in order (anchoring only)."""
        losses: dict[str, Tensor] = {}
        tokens = self.pooled(body)
        events, mask = None, tokens.mask
        if self.events is not None:
            predicted = self.events(tokens.features)
            if self.training:
                losses["event_loss"] = event_loss(predicted, body.events, body.plan)
            events = event_probabilities(predicted)
            mask = active_mask(mask, events, self.min_activity)
        look: Tensor | float = 0.0
        if self.anchor is not None:
            look = self.look(self.anchor, body, prompt, tokens, volumes)
            if self.training:
                losses["look_loss"] = self.look_loss(body, prompt, tokens, look)
        return self.projector(tokens.features, self.words(body.plan, events, look)), mask, losses

    def look(
        self, anchor: Anchor, body: Body, prompt: Prompt, tokens: JointTokens, volumes: list[Tensor] | None
    ) -> Tensor:
        """[B, N, width]: what the anchor sees at the limbs."""
        of_videos = zip(volumes or [], body.colours, strict=True)
        views = [next(of_videos) if video else (None, None) for video in prompt.with_video.tolist()]
        seen = [(volume if volume is None else volume.float(), colours) for volume, colours in views]
        fractions = tokens.times / prompt.seconds[:, None]
        persons = body.plan.persons.shape[1]
        return anchor(*zip(*seen, strict=True), tokens.points, tokens.placed, fractions, persons)

    def look_loss(self, body: Body, prompt: Prompt, tokens: JointTokens, look: Tensor) -> Tensor:
        """The loss of the anchor's words for looks; 0 where the batch names none."""
        if body.looks is None:
            return 0.0 * look.sum()
        words = self.words.looks(body.looks, body.plan).detach()
        known = tokens.placed & prompt.with_video[:, None] & words.any(-1)
        return look_loss(look, words, known)


class OracleBranch(nn.Module):
    """Tokens from events that are known, and words for how each person looks: no skeleton and no encoder.

    The ceiling of what any encoder could tell, and what a language model from nothing learns to read joint tokens from.
    """

    anchor = encoder = None

    def __init__(self, words: EventWords, min_activity: float):
        super().__init__()
        self.words, self.min_activity = words, min_activity

    def forward(
        self, body: Body, _prompt: Prompt, _volumes: list[Tensor] | None
    ) -> tuple[Tensor, Tensor, dict[str, Tensor]]:
        """What JointBranch gives, without losses."""
        look = 0.0 if body.looks is None else self.words.looks(body.looks, body.plan)
        known = body.events
        if known is None:
            known = torch.zeros(*body.plan.mask.shape, len(columns()), device=body.plan.mask.device)
        known = known.nan_to_num(0.0)
        words = self.words(body.plan, known, look)
        tokens = nn.functional.rms_norm(words, words.shape[-1:]) * self.words.scale
        return tokens, active_mask(body.plan.mask, known, self.min_activity), {}
