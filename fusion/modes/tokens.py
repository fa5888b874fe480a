"""Joint tokens of a graph encoder beside the visual tokens: one for each person, limb and time bin."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from fusion.anchoring import colour_volume
from fusion.batch import Batch, Body, Row
from fusion.event_words import EventWords
from fusion.families import Family
from fusion.injection import check_counts, joint_tokens_in
from fusion.joint_branch import JointBranch, OracleBranch
from fusion.modes.base import FusionMode, FusionOptions
from fusion.tokens import TokenPlan, plan_tokens
from skeleton.encoders import Encoder
from skeleton.events.targets import columns, event_targets
from skeleton.inputs.batch import collate, kept_persons
from skeleton.layouts.layout import LIMBS


class JointTokens(FusionMode):
    """Placeholders in the prompt, over which a hook on the input embedding writes joint tokens."""

    def build(
        self, embedding: nn.Embedding, make_encoder: Callable[[], Encoder] | None, event_head: bool
    ) -> JointBranch | OracleBranch:
        options = self.options
        words = EventWords(embedding, self.encode, events=event_head)
        if make_encoder is None:
            return OracleBranch(words, options.min_activity)
        return JointBranch(make_encoder(), words, options.max_persons, options.anchor, options.min_activity)

    def body(self, rows: Sequence[Row]) -> Body:
        options = self.options
        skeletons = collate([row.skeleton for row in rows], [0.0] * len(rows), options.max_persons, options.layout)
        seconds = torch.tensor([row.seconds for row in rows], dtype=torch.float32)
        persons = skeletons.visible.flatten(2).any(2)
        plan = plan_tokens(persons, seconds, len(LIMBS), options.bin_seconds, options.max_tokens)
        seen = [row.frames.images for row in rows if row.frames is not None and options.anchor]
        colours = [colour_volume(torch.from_numpy(images)) for images in seen]
        return Body(skeletons, plan, colours, self.events(rows, plan), self.looks(rows, plan))

    def events(self, rows: Sequence[Row], plan: TokenPlan) -> Tensor | None:
        """Event targets of all tokens, NaN for null tokens and rows without events."""
        if all(row.events is None for row in rows):
            return None
        count, persons, bins = len(rows), plan.persons.shape[1], int(plan.bins.max())
        targets = np.full((count, persons, bins, len(LIMBS), len(columns())), np.nan, dtype=np.float32)
        for i, row in enumerate(rows):
            if row.events is None or row.skeleton is None:
                continue
            known = event_targets(list(row.events), self.kept(row), int(plan.bins[i]), float(plan.widths[i]))
            targets[i, : len(known), : known.shape[1]] = known
        flat = torch.from_numpy(targets).flatten(1, 3)
        return torch.cat([torch.full_like(flat[:, :1], torch.nan), flat], dim=1)

    def looks(self, rows: Sequence[Row], plan: TokenPlan) -> Tensor | None:
        """Ids of the words for each person's look, -1 where there are fewer."""
        if all(row.looks is None for row in rows):
            return None
        words = [
            [self.encode(" " + look) if (look := (row.looks or {}).get(person)) else [] for person in self.kept(row)]
            for row in rows
        ]
        length = max([1, *(len(ids) for persons in words for ids in persons)])
        looks = torch.full((len(rows), plan.persons.shape[1], length), -1)
        for i, persons in enumerate(words):
            for person, ids in enumerate(persons):
                looks[i, person, : len(ids)] = torch.tensor(ids, dtype=torch.long)
        return looks

    def kept(self, row: Row) -> list[int]:
        """Track ids of the persons that have tokens, in their order."""
        if row.skeleton is None:
            return []
        return row.skeleton.track_ids[kept_persons(row.skeleton, self.options.max_persons)].tolist()

    @contextmanager
    def fused(
        self, mllm: Any, family: Family, joints: nn.Module | None, batch: Batch
    ) -> Iterator[tuple[Batch, dict[str, Tensor]]]:
        with ExitStack() as stack:
            volumes = None
            if self.options.anchor and batch.prompt.media:
                output, volumes = family.video_features(mllm, batch.prompt.media)
                stack.enter_context(family.reuse(mllm, output))
            assert joints is not None and batch.body is not None  # made by `build` and `body`
            tokens, kept, losses = joints(batch.body, batch.prompt, volumes)
            check_counts(batch.prompt.placeholders, batch.body.plan.mask)
            batch = batch.keep(kept)
            embedding = mllm.get_input_embeddings()
            stack.enter_context(joint_tokens_in(embedding, tokens, kept, batch.prompt.placeholders))
            yield batch, losses

    def tokens(self, rows: Sequence[Row], batch: Batch) -> tuple[float, str]:
        return batch.prompt.placeholders.sum(1).float().mean().item(), "joint tokens"

    @staticmethod
    def describe(options: FusionOptions) -> str:
        return f"{options.layout} skeletons, a joint token for each limb and {options.bin_seconds:g} s"


MODE = JointTokens
