"""Part-text alignment, after GAP (Xiang et al. 2023, arXiv 2208.05318): limbs near what is said of them.

The text side are embeddings made beforehand: for each clip one of the whole and one of each limb, from any text encoder.
Clips of which the same is said are all right answers.
"""

import math
from collections.abc import Callable

import torch
from torch import Generator, Tensor, nn
from torch.nn import functional

from skeleton.encoders.base import Encoder, JointFeatures
from skeleton.errors import SkeletonError
from skeleton.inputs.batch import SkeletonBatch
from skeleton.layouts.layout import LIMBS, get_layout

SHARPNESS = 10.0  # of the targets: softmax(10 * same)


class Alignment(nn.Module):
    """Symmetric divergence between who is like whose text and who has whose text, averaged over the whole and the limbs.

    `texts` [B, 1 + limbs, E] of the next batch must be set before each call (NaN where nothing is known of a limb).
    """

    def __init__(self, encoder: Encoder, text_width: int = 512):
        super().__init__()
        self.heads = nn.ModuleList(nn.Linear(encoder.width, text_width) for _ in range(1 + len(LIMBS)))
        self.scales = nn.Parameter(torch.full((1 + len(LIMBS),), math.log(1 / 0.07)))
        limb = torch.as_tensor(get_layout(encoder.layout).limb_index.copy())
        parts = torch.stack([torch.ones_like(limb, dtype=torch.bool), *[limb == place for place in range(len(LIMBS))]])
        self.register_buffer("parts", parts, persistent=False)  # [1 + limbs, V]
        self.texts: Tensor | None = None

    def forward(
        self, encoder: Encoder, batch: SkeletonBatch, clean: Callable[[], JointFeatures], random: Generator
    ) -> Tensor:
        """The loss; SkeletonError without texts of this batch."""
        if self.texts is None or len(self.texts) != len(batch.aspect):
            found = "none" if self.texts is None else f"{len(self.texts)}"
            raise SkeletonError(
                f"expected texts of {len(batch.aspect)} clips for alignment, found {found}: set them first"
            )
        found, loss = clean(), 0.0
        for place, (head, members) in enumerate(zip(self.heads, self.parts, strict=True)):
            mask = found.visible & members
            mean = (found.features * mask[..., None]).sum((1, 2, 3)) / mask.sum((1, 2, 3)).clamp(min=1)[:, None]
            texts = self.texts[:, place].to(mean)
            loss = loss + _aligned(head(mean), texts, self.scales[place].exp(), mask.flatten(1).any(1))
        return loss / len(self.heads)


def _aligned(bodies: Tensor, texts: Tensor, scale: Tensor, there: Tensor) -> Tensor:
    """Both directions of one part; clips without the part or without its text are left out."""
    told = there & ~texts.isnan().any(1)
    bodies, texts = functional.normalize(bodies[told], dim=1), functional.normalize(texts[told], dim=1)
    if not len(texts):
        return bodies.sum() * scale * 0.0
    same = (texts @ texts.T > 1 - 1e-5).to(texts)
    target, scores = (SHARPNESS * same).softmax(1), scale * bodies @ texts.T
    return sum(functional.kl_div(s.log_softmax(1), target, reduction="batchmean") for s in (scores, scores.T)) / 2
