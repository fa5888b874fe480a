"""The fusion point: joint tokens written into the language model's embeddings.

Placeholders in `input_ids` carry an ordinary id; the mask says where they are. A forward hook on the input
embedding replaces exactly those positions. `input_ids` keep going in, so every model family computes what it
wants from them. Keyed by position, not by shape: under `generate` without a cache the sequence grows, under a
beam search the batch repeats, and one decoded token of a cached step is no placeholder.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from fusion.errors import FusionError


def write_joint_tokens(embeddings: Tensor, tokens: Tensor, mask: Tensor) -> Tensor:
    """Embeddings [B, L, D] with `tokens` [n, D] at the True places of `mask` [B, L], in row order."""
    return embeddings.masked_scatter(mask[..., None], tokens.to(embeddings.dtype))


def check_counts(placeholders: Tensor, tokens: Tensor) -> None:
    """Raises FusionError unless every row of `placeholders` [B, L] holds as many as `tokens` [B, N] has (bool masks)."""
    found, expected = placeholders.sum(1), tokens.sum(1)
    wrong = torch.nonzero(found != expected).flatten().tolist()
    if wrong:
        row = wrong[0]
        raise FusionError(
            f"sample {row} of the batch has {int(found[row])} joint placeholders in its text but {int(expected[row])} "
            "joint tokens: build both from the same TokenPlan, and never truncate a joint block"
        )


@contextmanager
def joint_tokens_in(embedding: nn.Module, tokens: Tensor, token_mask: Tensor, placeholders: Tensor) -> Iterator[None]:
    """Within the block, `embedding` returns joint tokens at the placeholders.

    tokens [B, N, D], token_mask [B, N] bool, placeholders [B, L] bool. Raises FusionError when the counts differ,
    when a call's batch is no multiple of B, or when the block ends without the tokens having been used.
    """
    check_counts(placeholders, token_mask)
    rows, length = placeholders.shape
    used = 0

    def hook(_module: nn.Module, inputs: tuple, output: Tensor) -> Tensor | None:
        nonlocal used
        ids = inputs[0]
        if ids.ndim != 2 or ids.shape[1] < length:
            return None  # one token of a cached step, or a look-up of a single id
        if ids.shape[0] % rows:
            raise FusionError(
                f"the embedding saw {ids.shape[0]} rows, no multiple of the {rows} rows with joint tokens"
            )
        repeats = ids.shape[0] // rows
        mask = nn.functional.pad(placeholders, (0, ids.shape[1] - length)).repeat_interleave(repeats, dim=0)
        flat = tokens.repeat_interleave(repeats, dim=0)[token_mask.repeat_interleave(repeats, dim=0)]
        used += 1
        return write_joint_tokens(output, flat, mask)

    handle = embedding.register_forward_hook(hook)
    try:
        yield
    finally:
        handle.remove()
    if not used:
        raise FusionError(
            f"the {int(token_mask.sum())} joint tokens were not consumed: the model never embedded the whole prompt of "
            f"{length} tokens (was it given inputs_embeds, or a cache that already holds the prompt?)"
        )
