"""What goes into one pass of the model: clips with their questions, and the tensors that are made of them."""

from dataclasses import dataclass, fields, is_dataclass, replace
from typing import Any

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
class Prompt:
    """input_ids, attention_mask [B, L]; position_ids [3, B, L] or [B, L]; placeholders [B, L] bool: where joint tokens go;
    subtree_end [B, L] where rows branch, for fusion.placement.tree_mask, else None; media: the processor's tensors of all
    videos; with_video [B] bool; seconds [B] of the clips."""

    input_ids: Tensor
    attention_mask: Tensor
    position_ids: Tensor
    placeholders: Tensor
    subtree_end: Tensor | None
    media: dict[str, Tensor]
    with_video: Tensor
    seconds: Tensor


@dataclass(frozen=True)
class Body:
    """skeletons: input of the encoder; plan: which joint tokens there are; colours: of the rows with video, for
    fusion.anchoring, [] without anchor; events [B, 1 + M * K * G, F]: targets of joint tokens (see
    skeleton.events.targets), NaN where unknown, None without any; looks [B, M, words]: ids of the words for each person's
    look, -1 for none, None without any."""

    skeletons: SkeletonBatch
    plan: TokenPlan
    colours: list[Tensor]
    events: Tensor | None
    looks: Tensor | None


@dataclass(frozen=True)
class Answers:
    """The tokens of all answers, flat [n]: `targets` are predicted at (`rows`, `sources`) and belong to answer `numbers`
    of `count`."""

    rows: Tensor
    sources: Tensor
    targets: Tensor
    numbers: Tensor
    count: int


@dataclass(frozen=True)
class Batch:
    """body: None in modes without joint tokens."""

    prompt: Prompt
    body: Body | None
    answers: Answers

    def to(self, device: torch.device | str) -> "Batch":
        """The same batch on another device."""
        return to_device(self, device)

    def keep(self, kept_tokens: Tensor) -> "Batch":
        """The same batch with the placeholders of `kept_tokens` [B, N] bool alone (a part of plan.mask)."""
        assert self.body is not None  # only modes with joint tokens leave some out
        prompt, planned = self.prompt, self.body.plan.mask
        if torch.equal(kept_tokens, planned):
            return self
        kept = prompt.attention_mask.bool()
        kept[prompt.placeholders] = kept_tokens[planned]
        counts = kept.sum(1, keepdim=True)
        length, left = int(counts.max()), bool(prompt.attention_mask[:, -1].all())
        order = torch.sort(kept, dim=1, descending=not left, stable=True).indices
        order = order[:, -length:] if left else order[:, :length]
        before = nn.functional.pad(kept.cumsum(1), (1, 0)) + (length - counts) * left
        real, ends = kept.gather(1, order), prompt.subtree_end
        shorter = replace(
            prompt,
            input_ids=prompt.input_ids.gather(1, order),
            attention_mask=real.long(),
            position_ids=prompt.position_ids.gather(-1, order.expand(*prompt.position_ids.shape[:-1], -1)),
            placeholders=prompt.placeholders.gather(1, order) & real,
            subtree_end=None if ends is None else before.gather(1, ends.gather(1, order)) * real,
        )
        answers = replace(self.answers, sources=before[self.answers.rows, self.answers.sources])
        return replace(self, prompt=shorter, answers=answers)


def to_device(value: Any, device: torch.device | str) -> Any:
    """`value` with every tensor in it on another device, in dataclasses, lists and dicts too."""
    if isinstance(value, Tensor):
        return value.to(device)
    if isinstance(value, dict):
        return {key: to_device(item, device) for key, item in value.items()}
    if isinstance(value, list):
        return [to_device(item, device) for item in value]
    if is_dataclass(value) and not isinstance(value, type):
        return replace(value, **{f.name: to_device(getattr(value, f.name), device) for f in fields(value) if f.init})
    return value
