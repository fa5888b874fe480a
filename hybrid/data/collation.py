"""Clips and questions -> one batch of tensors, on the CPU.

Nothing is truncated: a row longer than the model's limit is an error of the caller's settings. What stands of the body in
prompt and frames is the fusion mode's business (fusion.modes).
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from transformers import ProcessorMixin

from fusion.batch import Answers, Batch, Body, Prompt, Row
from fusion.families import Family
from fusion.modes import MODES, build_mode
from fusion.placement import joint_positions
from hybrid.config.instruction import FusionConfig
from hybrid.data.prompt import render
from hybrid.data.row_tokens import RowTokens
from hybrid.data.video_prefix import Prefix, video_prefixes


class Collator:
    """Builds batches for one model: its processor, its family, and the fusion settings. Its `mode` says how a body enters."""

    def __init__(self, processor: ProcessorMixin, family: Family, fusion: FusionConfig, layout: str):
        self.processor, self.family, self.position = processor, family, fusion.position
        self.mode = build_mode(fusion.mode, fusion.options(layout), self.tokenize)
        encodes = MODES[fusion.mode].encodes
        self.templates = {video: render(processor, video, encodes) for video in (True, False)}
        self.end, self.pad = processor.tokenizer.eos_token_id, processor.tokenizer.pad_token_id
        self.known: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """Token ids of a piece of text, remembered: questions and options repeat."""
        if text not in self.known:
            self.known[text] = self.tokenize(text)
        return self.known[text]

    def tokenize(self, text: str) -> list[int]:
        """Token ids of a piece of text, not remembered: a mode tries many."""
        return self.processor.tokenizer.encode(text, add_special_tokens=False)

    def __call__(self, rows: Sequence[Row], left: bool = False) -> Batch:
        """Tensors of `rows`; `left` pads on the left, for generation."""
        shown = [replace(row, frames=self.mode.frames(row)) for row in rows]
        videos = [(row.frames, row.seconds) for row in shown if row.frames is not None]
        seen, media = video_prefixes(self.processor, self.family, self.templates[True].before, videos)
        prefixes, silent = iter(seen), Prefix(self.encode(self.templates[False].before), {})
        body = self.mode.body(rows)
        built, number = [], 0
        for i, row in enumerate(rows):
            prefix = silent if row.frames is None else next(prefixes)
            times = torch.zeros(0) if body is None else body.plan.times[i][body.plan.mask[i]]
            built.append(self.build(row, prefix, times, number))
            number += sum(len(branch.answers) for branch in row.branches)
        return self.pack(rows, built, media, body, number, left)

    def build(self, row: Row, prefix: Prefix, times: Tensor, number: int) -> RowTokens:
        """One row: prefix, joint placeholders at `times`, what the mode writes, then the tree of its branches."""
        template = self.templates[row.frames is not None]
        ids = torch.tensor(prefix.ids)
        base = self.family.positions(ids, prefix.clocks)
        free, pieces = int(base[0, -1]), [base[:, :-1]]
        if len(times):
            video = self.family.patch_positions(ids, base, prefix.clocks)
            joints = joint_positions(times, video, row.seconds, free, base.shape[0], self.position)
            pieces.append(joints)
            if video is None or self.position == "text":
                free = int(joints[0].max()) + 1
        start = len(prefix.ids)
        tokens = RowTokens(prefix.ids + [self.pad] * len(times), pieces, [], (start, start + len(times)), [])
        between = self.encode(template.between) if template.between else []
        free = tokens.append(self.mode.prompt(row) + between, free)
        tokens.grow(row.branches, self.encode(template.after), self.encode, self.end, free, number)
        return tokens

    def pack(
        self,
        rows: Sequence[Row],
        built: list[RowTokens],
        media: dict[str, Tensor],
        body: Body | None,
        count: int,
        left: bool,
    ) -> Batch:
        """Pads rows to one length and flattens their `count` answers."""
        length = max(len(tokens.ids) for tokens in built)
        shifts = [length - len(tokens.ids) if left else 0 for tokens in built]
        dims = built[0].positions[0].shape[0]
        ids = torch.full((len(built), length), self.pad)
        positions = torch.zeros(dims, len(built), length, dtype=torch.long)
        ends = torch.zeros(len(built), length, dtype=torch.long)
        placeholders = torch.zeros(len(built), length, dtype=torch.bool)
        for i, (tokens, shift) in enumerate(zip(built, shifts, strict=True)):
            place = slice(shift, shift + len(tokens.ids))
            ids[i, place] = torch.tensor(tokens.ids)
            positions[:, i, place] = torch.cat(tokens.positions, dim=1)
            ends[i, place] = torch.tensor([(end or len(tokens.ids)) + shift for end in tokens.subtree_end])
            placeholders[i, shift + tokens.placeholders[0] : shift + tokens.placeholders[1]] = True
        branched = any(len(row.branches) > 1 or any(len(b.answers) > 1 for b in row.branches) for row in rows)
        prompt = Prompt(
            input_ids=ids,
            attention_mask=(ends > 0).long(),
            position_ids=positions if dims > 1 else positions[0],
            placeholders=placeholders,
            subtree_end=ends if branched else None,
            media=media,
            with_video=torch.tensor([row.frames is not None for row in rows]),
            seconds=torch.tensor([row.seconds for row in rows], dtype=torch.float32),
        )
        return Batch(prompt, body, flatten(built, shifts, count))


def flatten(built: list[RowTokens], shifts: list[int], count: int) -> Answers:
    """The answer tokens of all rows, whose places are `shifts` further right in the batch."""
    flat = [
        (i, source + shift, target, number)
        for i, (tokens, shift) in enumerate(zip(built, shifts, strict=True))
        for number, sources, targets in tokens.answers
        for source, target in zip(sources, targets, strict=True)
    ]
    return Answers(*torch.tensor(flat, dtype=torch.long).reshape(-1, 4).unbind(1), count)
