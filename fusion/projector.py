"""Joint tokens into the language model's width, at the scale of its own embeddings.

The output is RMS-normalised and multiplied by a learned scale that starts at the RMS of the model's
embedding table: a token far louder or quieter than text tokens is what makes a pretrained model ignore or break on it.
"""

import torch
from torch import Tensor, nn


class Projector(nn.Module):
    """MLP [..., D] -> [..., width]; `extra` [..., width], of the embeddings' size, is added before the scale is set."""

    def __init__(self, input_width: int, width: int, scale: float):
        super().__init__()
        self.layers = nn.Sequential(nn.Linear(input_width, width), nn.GELU(), nn.Linear(width, width))
        self.unit = float(scale)  # an MLP begins near size 1, which would drown words of a pretrained model's size
        self.scale = nn.Parameter(torch.tensor(float(scale)))

    def forward(self, tokens: Tensor, extra: Tensor | None = None) -> Tensor:
        projected = self.unit * self.layers(tokens)
        if extra is not None:
            projected = projected + extra
        return nn.functional.rms_norm(projected, projected.shape[-1:]) * self.scale
