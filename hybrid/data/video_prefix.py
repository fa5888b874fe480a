"""The start of each prompt up to the body, with the video's placeholders expanded by the model's own processor."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from transformers import ProcessorMixin
from transformers.video_utils import VideoMetadata

from fusion.families import Family
from hybrid.errors import ModelError
from skeleton.video import Frames


@dataclass(frozen=True)
class Prefix:
    """Token ids up to the body, and of the processor's outputs what their positions depend on."""

    ids: list[int]
    clocks: dict[str, Tensor]


def video_prefixes(
    processor: ProcessorMixin, family: Family, text: str, videos: Sequence[tuple[Frames, float]]
) -> tuple[list[Prefix], dict[str, Tensor]]:
    """A prefix for each video and its seconds, and the pixels of all. Raises ModelError where the model takes none."""
    if not videos:
        return [], {}
    output = processor(
        text=[text] * len(videos),
        videos=[torch.from_numpy(frames.images).permute(0, 3, 1, 2) for frames, _ in videos],
        video_metadata=[metadata(len(frames.images), seconds) for frames, seconds in videos],
        do_sample_frames=False,
        add_special_tokens=False,  # the chat template wrote them
        padding=True,
        return_tensors="pt",
    )
    real = output.pop("attention_mask").bool()
    per_token = {key: output.pop(key) for key in ("input_ids", "mm_token_type_ids") if key in output}
    media = {key: torch.as_tensor(output[key]) for key in output if key in family.inputs}
    if not media:
        raise ModelError(
            f"expected pixels that the model takes from {type(processor).__name__}, found only "
            f"{', '.join(output)}: set mllm.path to a video MLLM"
        )
    clocks = {key: media[key] for key in family.clocks if key in media}
    ids = per_token.pop("input_ids")
    prefixes = [
        Prefix(
            ids[i, mask].tolist(),
            {key: value[i : i + 1] for key, value in clocks.items()}
            | {key: value[i : i + 1, mask] for key, value in per_token.items()},
        )
        for i, mask in enumerate(real)
    ]
    return prefixes, media


def metadata(count: int, seconds: float) -> VideoMetadata:
    """Frames at the middles of `count` equal parts, which is what data.clips reads: at twice the rate they are the odd ones."""
    return VideoMetadata(2 * count, 2 * count / seconds, duration=seconds, frames_indices=list(range(1, 2 * count, 2)))
