"""Where joint tokens stand: their position ids, and the attention of several questions behind one prefix.

Position ids on one clock (`time`): a joint token takes the temporal id of the video patches of its own second
and the height and width ids of the frame's middle; no other token's position changes, so the text stands
exactly where the base model would put it. `text`: joint tokens take the next plain positions and push the text on.

A row is a tree: the prefix (video, joints), behind it questions that see the prefix but not each other,
behind each question its answers or options. With explicit position ids this equals asking each alone.
"""

import torch
from torch import Tensor

from fusion.errors import FusionError

POSITIONS = ("time", "text")


def joint_positions(times: Tensor, video: Tensor | None, seconds: float, start: int, dims: int, mode: str) -> Tensor:
    """Position ids [dims, N] of the joint tokens of one sample.

    times [N] seconds from the sample's start; video [dims, T, H, W]: ids of the video's patches, or None; seconds: of
    the video; start: the next free id; dims 3 for M-RoPE, 1 else. Without a video, `time` counts half seconds from start.
    Raises FusionError for `time` with one-dimensional positions.
    """
    if mode == "text":
        return (torch.arange(len(times)) + start).expand(dims, -1)
    if dims == 1:
        raise FusionError(
            "fusion.position=time needs a model with (t, h, w) positions (M-RoPE): use fusion.position=text"
        )
    if video is None:
        return torch.stack([start + (2 * times).long(), *[torch.full((len(times),), start)] * 2])
    steps, height, width = video.shape[1:]
    step = (times / seconds * steps).long().clamp(0, steps - 1)
    return video[:, step, height // 2, width // 2]


def tree_mask(subtree_end: Tensor, dtype: torch.dtype) -> Tensor:
    """Additive attention mask [B, 1, L, L] of trees written depth first.

    subtree_end [B, L] int64: the place where the token's segment and all that grows from it ends; 0 for padding. A token sees
    the earlier tokens whose `subtree_end` lies behind it, and itself, so that no row of the mask is empty.
    """
    places = torch.arange(subtree_end.shape[1], device=subtree_end.device)
    earlier = places[:, None] >= places
    allowed = earlier & (places[:, None] < subtree_end[:, None, :])
    allowed |= torch.eye(subtree_end.shape[1], dtype=torch.bool, device=subtree_end.device)
    return torch.zeros(allowed.shape, dtype=dtype, device=subtree_end.device).masked_fill(
        ~allowed, torch.finfo(dtype).min
    )[:, None]
