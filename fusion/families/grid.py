"""Families with (t, h, w) positions (M-RoPE) and a grid of visual tokens for each video: Qwen2-VL and its successors."""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from einops import rearrange
from torch import Tensor, nn

from fusion.families.base import Family, inner_model, vision_tower

GRID = "video_grid_thw"  # [videos, 3]: vision patches in time, height and width


class GridFamily(Family):
    """The model's `get_rope_index` gives positions, its `get_video_features` volumes."""

    dims = 3
    clocks = (GRID, "second_per_grid_ts")

    def __init__(self, model: Any):
        super().__init__(model)
        self.video_token_id = model.config.video_token_id
        self.merge = getattr(model.config.vision_config, "spatial_merge_size", 1)

    @classmethod
    def fits(cls, model: Any) -> bool:
        return hasattr(inner_model(model), "get_rope_index")

    def positions(self, ids: Tensor, media: dict[str, Tensor]) -> Tensor:
        longer = torch.cat([ids, ids.new_zeros(1)])[None]
        if GRID not in media:
            return torch.arange(longer.shape[1]).expand(3, -1)
        given = {**media, "input_ids": longer, "attention_mask": torch.ones_like(longer)}
        if "mm_token_type_ids" in media:
            given["mm_token_type_ids"] = nn.functional.pad(media["mm_token_type_ids"], (0, 1))
        accepted = inspect.signature(self.inner.get_rope_index).parameters
        positions, _ = self.inner.get_rope_index(**{key: value for key, value in given.items() if key in accepted})
        return positions[:, 0]

    def patch_positions(self, ids: Tensor, positions: Tensor, media: dict[str, Tensor]) -> Tensor | None:
        if GRID not in media:
            return None
        steps, height, _ = media[GRID][0].tolist()
        patches = positions[:, : len(ids)][:, ids == self.video_token_id]
        return rearrange(patches, "d (t h w) -> d t h w", t=steps, h=height // self.merge)

    def video_features(self, model: Any, media: dict[str, Tensor]) -> tuple[Any, list[Tensor]]:
        if GRID not in media:
            return super().video_features(model, media)
        inner = inner_model(model)
        accepted = inspect.signature(inner.get_video_features).parameters
        output = inner.get_video_features(**{key: value for key, value in media.items() if key in accepted})
        merge = vision_tower(model).spatial_merge_size
        grids = [(t, h // merge, w // merge) for t, h, w in media[GRID].tolist()]
        flat = torch.cat(list(output.pooler_output))
        pieces = flat.split([t * h * w for t, h, w in grids])
        return output, [piece.view(*grid, -1) for piece, grid in zip(pieces, grids, strict=True)]

    @contextmanager
    def reuse(self, model: Any, output: Any) -> Iterator[None]:
        inner = inner_model(model)
        # `generate` reads the signature to know which arguments the tower takes: keep it
        inner.get_video_features = wraps(inner.get_video_features)(lambda *_args, **_kwargs: output)
        try:
            yield
        finally:
            del inner.get_video_features
