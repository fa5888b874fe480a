"""What goes into one pass of the model: questions with their answers, clips, and the tensors of a batch."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from fusion.tokens import TokenPlan
from skeleton.events.limb_event import LimbEvent
from skeleton.inputs.batch import SkeletonBatch
from skeleton.record import Skeleton
from skeleton.video import Frames


@dataclass(frozen=True)
class Branch:
    """One question, and the texts that may follow it."""

    question: str
    answers: tuple[str, ...] = ()


@dataclass(frozen=True)
class Row:
    """A clip as the model sees it, on a clock that starts at 0 and lasts `seconds`; either modality may be absent. `events`
    are what the limbs do and `looks` how persons look, by track id, where that is known and used."""

    frames: Frames | None
    skeleton: Skeleton | None
    seconds: float
    branches: tuple[Branch, ...]
    events: tuple[LimbEvent, ...] | None = None
    looks: dict[int, str] | None = None


@dataclass(frozen=True)
class Batch:
    """input_ids, placeholders [B, L]; attention_mask [B, L]; until [B, L] where rows branch, for fusion.placement.tree_mask,
    else None; position_ids [3, B, L] or [B, L];
    media: the processor's tensors; with_video [B] bool; colours: of the rows with video, for fusion.anchoring, [] without
    anchor; seconds [B]; body, plan: None in modes none and text;
    events [B, 1 + M * K * G, F]: targets of fusion tokens (see event_targets), NaN where unknown, None without any;
    looks [B, M, words]: ids of the words for each person's look, -1 for none, None without any.
    Answer tokens, flat [n]: `targets` are predicted at (`rows`, `sources`) and belong to answer number `answers`."""

    input_ids: Tensor
    attention_mask: Tensor
    until: Tensor | None
    position_ids: Tensor
    placeholders: Tensor
    media: dict[str, Tensor]
    with_video: Tensor
    colours: list[Tensor]
    seconds: Tensor
    body: SkeletonBatch | None
    plan: TokenPlan | None
    events: Tensor | None
    looks: Tensor | None
    rows: Tensor
    sources: Tensor
    targets: Tensor
    answers: Tensor
    num_answers: int

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        moved = {key: value.to(device) for key, value in vars(self).items() if isinstance(value, Tensor)}
        plan = self.plan and TokenPlan(
            self.plan.bins.to(device),
            self.plan.widths.to(device),
            self.plan.persons.to(device),
            self.plan.limbs,
        )
        media = {key: value.to(device) for key, value in self.media.items()}
        colours = [volume.to(device) for volume in self.colours]
        return replace(self, **moved, media=media, colours=colours, body=self.body and self.body.to(device), plan=plan)

    def keep(self, told: Tensor) -> "Batch":
        """The same batch without the placeholders of joint tokens that are not `told` [B, N] bool (a part of plan.mask)."""
        if torch.equal(told, self.plan.mask):
            return self
        kept = self.attention_mask.bool()
        kept[self.placeholders] = told[self.plan.mask]
        counts = kept.sum(1, keepdim=True)
        length, left = int(counts.max()), bool(self.attention_mask[:, -1].all())
        order = torch.sort(kept, dim=1, descending=not left, stable=True).indices
        order = order[:, -length:] if left else order[:, :length]
        before = nn.functional.pad(kept.cumsum(1), (1, 0)) + (length - counts) * left
        real, positions = kept.gather(1, order), self.position_ids
        return replace(
            self,
            input_ids=self.input_ids.gather(1, order),
            attention_mask=real.long(),
            until=self.until if self.until is None else before.gather(1, self.until.gather(1, order)) * real,
            position_ids=positions.gather(-1, order.expand(*positions.shape[:-1], -1)),
            placeholders=self.placeholders.gather(1, order) & real,
            sources=before[self.rows, self.sources],
        )
