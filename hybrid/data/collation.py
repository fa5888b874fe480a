"""Clips and questions -> one batch of tensors, on the CPU.

A row is a tree (see fusion.placement): the prefix with video and joint placeholders, questions behind it, and behind
each question what is answered: the truth in training, all options in scoring, nothing in generation. Nothing is
truncated: a row longer than the model's limit is an error of the caller's settings. In mode `text` the pose stands in
words where else the joints stand, once for all questions; a row without a skeleton reads as in mode `none`.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from einops import rearrange
from torch import Tensor
from transformers import ProcessorMixin
from transformers.video_utils import VideoMetadata

from fusion.anchoring import colour_volume
from fusion.batch import Batch, Row
from fusion.placement import joint_positions
from fusion.pose_text import pose_as_text
from fusion.tokens import TokenPlan, plan_tokens
from hybrid.config.instruction import FusionConfig
from hybrid.data.prompt import render
from hybrid.errors import ModelError
from hybrid.models.mllm import GRID, Positions
from skeleton.events.targets import columns, event_targets
from skeleton.inputs.batch import SkeletonBatch, collate, kept_persons
from skeleton.layouts.layout import LIMBS
from skeleton.record import Skeleton

# What a processor gives for videos goes to the model; these also decide position ids.
CLOCKS = (GRID, "second_per_grid_ts")


@dataclass
class _Tokens:
    """A row under construction. positions: pieces [dims, n]; until: for each token the end of what grows from its
    segment, 0 for the end of the row; answers: (number, places that predict, ids to predict)."""

    ids: list[int]
    positions: list[Tensor]
    until: list[int]
    placeholders: tuple[int, int]
    answers: list[tuple[int, list[int], list[int]]]

    def append(self, ids: list[int], start: int) -> int:
        """Plain text from position `start`; returns the next free position."""
        self.ids += ids
        dims = self.positions[0].shape[0]
        self.positions.append((torch.arange(len(ids)) + start).expand(dims, -1))
        return start + len(ids)


class Collator:
    """Builds batches for one model: its processor, its rule of positions, and the fusion settings."""

    def __init__(self, processor: ProcessorMixin, positions: Positions, fusion: FusionConfig, layout: str):
        self.processor, self.positions, self.fusion, self.layout = processor, positions, fusion, layout
        self.joints = fusion.mode == "tokens"
        self.frames = {video: render(processor, video, self.joints) for video in (True, False)}
        self.told = lru_cache(maxsize=4096)(self._told)
        self.end, self.pad = processor.tokenizer.eos_token_id, processor.tokenizer.pad_token_id
        self.known: dict[str, list[int]] = {}

    def encode(self, text: str) -> list[int]:
        """Token ids of a piece of text, remembered: questions and options repeat."""
        if text not in self.known:
            self.known[text] = self.processor.tokenizer.encode(text, add_special_tokens=False)
        return self.known[text]

    def pose(self, row: Row) -> list[int]:
        """Ids of the pose in words and of the line's end behind it; none without a skeleton and in the other modes."""
        return self.told(row.skeleton, row.seconds) if self.fusion.mode == "text" and row.skeleton is not None else []

    def _told(self, skeleton: Skeleton, seconds: float) -> list[int]:
        def ids(text: str) -> list[int]:
            return self.processor.tokenizer.encode(text + "\n", add_special_tokens=False)

        fusion = self.fusion
        return ids(
            pose_as_text(skeleton, 0.0, seconds, fusion.text_tokens, lambda text: len(ids(text)), fusion.max_persons)
        )

    def __call__(self, rows: list[Row], left: bool = False) -> Batch:
        """Tensors of `rows`; `left` pads on the left, for generation."""
        prefixes, media = self.prefixes(rows)
        body, plan = self.bodies(rows)
        built, answers = [], 0
        for i, (row, (ids, own)) in enumerate(zip(rows, prefixes, strict=True)):
            times = torch.zeros(0) if plan is None else plan.times[i][plan.mask[i]]
            built.append(self.build(row, ids, own, times, answers))
            answers += sum(len(branch.answers) for branch in row.branches)
        return self.pack(rows, built, media, body, plan, answers, left)

    def bodies(self, rows: list[Row]) -> tuple[SkeletonBatch | None, TokenPlan | None]:
        """Skeleton tensors and the plan of their tokens; None in all modes but tokens."""
        if not self.joints:
            return None, None
        body = collate([row.skeleton for row in rows], [0.0] * len(rows), self.fusion.max_persons, self.layout)
        seconds = torch.tensor([row.seconds for row in rows], dtype=torch.float32)
        persons = body.visible.flatten(2).any(2)
        return body, plan_tokens(persons, seconds, len(LIMBS), self.fusion.bin_seconds, self.fusion.max_tokens)

    def events(self, rows: list[Row], plan: TokenPlan | None) -> Tensor | None:
        """Event targets of all tokens, NaN for null tokens and rows without events."""
        if plan is None or all(row.events is None for row in rows):
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

    def kept(self, row: Row) -> list[int]:
        """Track ids of the persons that have tokens, in their order."""
        return row.skeleton.track_ids[kept_persons(row.skeleton, self.fusion.max_persons)].tolist()

    def looks(self, rows: list[Row], plan: TokenPlan | None) -> Tensor | None:
        """Ids of the words for each person's look, -1 where there are fewer."""
        if plan is None or all(row.looks is None for row in rows):
            return None
        told = [
            [self.encode(" " + look) if (look := (row.looks or {}).get(person)) else [] for person in self.kept(row)]
            if row.skeleton is not None
            else []
            for row in rows
        ]
        length = max([1, *(len(ids) for persons in told for ids in persons)])
        looks = torch.full((len(rows), plan.persons.shape[1], length), -1)
        for i, persons in enumerate(told):
            for person, ids in enumerate(persons):
                looks[i, person, : len(ids)] = torch.tensor(ids, dtype=torch.long)
        return looks

    def colours(self, rows: list[Row]) -> list[Tensor]:
        """What the anchor samples besides the tower's output."""
        seen = [row.frames.images for row in rows if row.frames is not None and self.fusion.anchor]
        return [colour_volume(torch.from_numpy(images)) for images in seen]

    def prefixes(self, rows: list[Row]) -> tuple[list[tuple[list[int], dict[str, Tensor]]], dict[str, Tensor]]:
        """For each row the token ids up to the joints, placeholders of the video expanded by the processor, with
        what its positions depend on; and the pixels of all videos."""
        silent = (self.encode(self.frames[False].before), {})
        seen = [row for row in rows if row.frames is not None]
        if not seen:
            return [silent] * len(rows), {}
        counts = [len(row.frames.images) for row in seen]
        output = self.processor(
            text=[self.frames[True].before] * len(seen),
            videos=[torch.from_numpy(row.frames.images).permute(0, 3, 1, 2) for row in seen],
            # at twice the rate the odd frames are the middles of equal parts: what data.clips reads
            video_metadata=[
                VideoMetadata(
                    2 * count,
                    2 * count / row.seconds,
                    duration=row.seconds,
                    frames_indices=list(range(1, 2 * count, 2)),
                )
                for row, count in zip(seen, counts, strict=True)
            ],
            do_sample_frames=False,
            add_special_tokens=False,  # the chat template wrote them
            padding=True,
            return_tensors="pt",
        )
        real = output.pop("attention_mask").bool()
        per_token = {key: output.pop(key) for key in ("input_ids", "mm_token_type_ids") if key in output}
        media = {key: torch.as_tensor(output[key]) for key in output if key in self.positions.inputs}
        if not media:
            raise ModelError(
                f"expected pixels that the model takes from {type(self.processor).__name__}, found only "
                f"{', '.join(output)}: set mllm.path to a video MLLM"
            )
        clocks = {key: media[key] for key in CLOCKS if key in media}
        prefixes = iter(
            (
                per_token["input_ids"][i, mask].tolist(),
                {key: value[i : i + 1] for key, value in clocks.items()}
                | {key: value[i : i + 1, mask] for key, value in per_token.items() if key != "input_ids"},
            )
            for i, mask in enumerate(real)
        )
        return [silent if row.frames is None else next(prefixes) for row in rows], media

    def build(self, row: Row, ids: list[int], own: dict[str, Tensor], times: Tensor, answers: int) -> _Tokens:
        """One row: prefix, joint placeholders at `times` or the pose in words, then the tree of its branches."""
        frame = self.frames[row.frames is not None]
        base = self.positions(torch.tensor(ids), own)
        dims, free = base.shape[0], int(base[0, -1])
        video = None
        if GRID in own:
            patches = base[:, :-1][:, torch.tensor(ids) == self.positions.video_token_id]
            steps = int(own[GRID][0, 0])
            height = int(own[GRID][0, 1]) // self.positions.merge
            video = rearrange(patches, "d (t h w) -> d t h w", t=steps, h=height)
        pieces = [base[:, :-1]]
        if len(times):
            joints = joint_positions(times, video, row.seconds, free, dims, self.fusion.position)
            pieces.append(joints)
            if video is None or self.fusion.position == "text":
                free = int(joints[0].max()) + 1
        start = len(ids)
        tokens = _Tokens(list(ids), pieces, [], (start, start + len(times)), [])
        tokens.ids += [self.pad] * len(times)
        free = tokens.append(self.pose(row) + (self.encode(frame.between) if frame.between else []), free)
        tokens.until = [0] * len(tokens.ids)
        for branch in row.branches:
            question = len(tokens.ids)
            asked = tokens.append(self.encode(branch.question) + self.encode(frame.after), free)
            last = len(tokens.ids) - 1
            for answer in branch.answers:
                first, spoken = len(tokens.ids), [*self.encode(answer), self.end]
                tokens.append(spoken, asked)
                tokens.until += [0] * (first - len(tokens.until)) + [len(tokens.ids)] * len(spoken)
                tokens.answers.append((answers, [last, *range(first, first + len(spoken) - 1)], spoken))
                answers += 1
            tokens.until += [0] * (last + 1 - len(tokens.until))
            tokens.until[question : last + 1] = [len(tokens.ids)] * (last + 1 - question)
        return tokens

    def pack(self, rows, built, media, body, plan, answers: int, left: bool) -> Batch:
        """Pads rows to one length and flattens their answers."""
        length = max(len(tokens.ids) for tokens in built)
        shifts = [length - len(tokens.ids) if left else 0 for tokens in built]
        dims = built[0].positions[0].shape[0]
        ids = torch.full((len(built), length), self.pad)
        positions = torch.zeros(dims, len(built), length, dtype=torch.long)
        until = torch.zeros(len(built), length, dtype=torch.long)
        placeholders = torch.zeros(len(built), length, dtype=torch.bool)
        for i, (tokens, shift) in enumerate(zip(built, shifts, strict=True)):
            place = slice(shift, shift + len(tokens.ids))
            ids[i, place] = torch.tensor(tokens.ids)
            positions[:, i, place] = torch.cat(tokens.positions, dim=1)
            until[i, place] = torch.tensor([(end or len(tokens.ids)) + shift for end in tokens.until])
            placeholders[i, shift + tokens.placeholders[0] : shift + tokens.placeholders[1]] = True
        branched = any(len(row.branches) > 1 or any(len(b.answers) > 1 for b in row.branches) for row in rows)
        flat = [
            (i, source + shift, target, number)
            for i, (tokens, shift) in enumerate(zip(built, shifts, strict=True))
            for number, sources, targets in tokens.answers
            for source, target in zip(sources, targets, strict=True)
        ]
        spoken = torch.tensor(flat, dtype=torch.long).reshape(-1, 4)
        return Batch(
            input_ids=ids,
            attention_mask=(until > 0).long(),
            until=until if branched else None,
            position_ids=positions if dims > 1 else positions[0],
            placeholders=placeholders,
            media=media,
            with_video=torch.tensor([row.frames is not None for row in rows]),
            colours=self.colours(rows),
            seconds=torch.tensor([row.seconds for row in rows], dtype=torch.float32),
            body=body,
            plan=plan,
            events=self.events(rows, plan),
            looks=self.looks(rows, plan),
            rows=spoken[:, 0],
            sources=spoken[:, 1],
            targets=spoken[:, 2],
            answers=spoken[:, 3],
            num_answers=answers,
        )
