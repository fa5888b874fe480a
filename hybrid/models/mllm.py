"""Loads any Hugging Face video MLLM, and answers the few questions that the fusion asks of it.

The contact surface with transformers is kept small: `AutoModelForImageTextToText`, `AutoProcessor`, the public forward
and `generate`, and on the inner model `get_rope_index` (position ids) and `get_video_features` (anchoring).
"""

import inspect
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from typing import Any

import torch
from torch import Tensor, nn
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    PreTrainedModel,
    ProcessorMixin,
)

from hybrid.config.instruction import MLLMConfig
from hybrid.errors import ModelError

# Sizes that say which videos stand in a batch, beside their pixels.
GRID = "video_grid_thw"


def load_processor(config: MLLMConfig) -> ProcessorMixin:
    """The model's own processor. Raises ModelError where there is none, or it knows no videos or no chat template."""
    processor = _pretrained(AutoProcessor, config, trust_remote_code=config.trust_remote_code)
    if getattr(processor, "video_processor", None) is None:
        raise ModelError(
            f"expected a processor of videos in {config.path}, found {type(processor).__name__}: "
            "set mllm.path to a video MLLM"
        )
    if getattr(processor, "chat_template", None) is None:
        raise ModelError(f"{config.path} has no chat template: use an instruction-tuned checkpoint")
    return processor


def load_model(config: MLLMConfig) -> PreTrainedModel:
    """The model with its frozen parts frozen and LoRA layers added, as the configuration says."""
    model = _pretrained(
        AutoModelForImageTextToText, config, dtype=config.dtype, trust_remote_code=config.trust_remote_code
    )
    freeze(model, config)
    return model


def load_hf_config(config: MLLMConfig) -> Any:
    """The Hugging Face configuration alone."""
    return _pretrained(AutoConfig, config, trust_remote_code=config.trust_remote_code)


def _pretrained(factory: type, config: MLLMConfig, **options: Any) -> Any:
    try:
        return factory.from_pretrained(config.path, revision=config.revision, **options)
    except (OSError, ValueError, ImportError) as error:  # some processors need a package of their own
        reason = " ".join(str(error).split())[:300]
        raise ModelError(
            f"mllm.path={config.path!r} cannot be loaded by {factory.__name__}: {reason} "
            "Give a hub name that this machine can reach, or a folder written by save_pretrained"
        ) from error


def freeze(model: PreTrainedModel, config: MLLMConfig) -> None:
    """Freeze the vision tower or the language model, then add LoRA layers (these train)."""
    tower = vision_tower(model)
    if config.freeze_language:
        model.requires_grad_(False)
        tower.requires_grad_(not config.freeze_vision)
    elif config.freeze_vision:
        tower.requires_grad_(False)
    if config.lora_rank:
        add_lora(model, config.lora_rank)


def add_lora(model: PreTrainedModel, rank: int) -> None:
    """LoRA layers in the decoder's linear layers, in place; vision tower, projector and head are left alone."""
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise ModelError("mllm.lora_rank needs the package peft: pip install 'hybrid-pose[lora]'") from error
    language = set(model.get_decoder().modules())
    names = [name for name, module in model.named_modules() if isinstance(module, nn.Linear) and module in language]
    trainable = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    inject_adapter_in_model(LoraConfig(r=rank, lora_alpha=2 * rank, lora_dropout=0.05, target_modules=names), model)
    for name, parameter in model.named_parameters():  # peft freezes all the rest; keep what was to be trained
        if "lora_" in name:
            parameter.data = parameter.data.float()  # bfloat16 would swallow small steps
        parameter.requires_grad_("lora_" in name or name.replace(".base_layer", "") in trainable)


def inner_model(model: PreTrainedModel) -> nn.Module:
    """The model without its language head (`model.model` in every current family)."""
    return model.model


def vision_tower(model: PreTrainedModel) -> nn.Module:
    """The part that sees. Raises ModelError for a family that names it otherwise."""
    inner = inner_model(model)
    for name in ("visual", "vision_tower", "vision_model"):
        if hasattr(inner, name):
            return getattr(inner, name)
    raise ModelError(f"{type(model).__name__} has no vision tower named visual, vision_tower or vision_model")


class Positions:
    """Position ids of prompts, by the model's own rule, without its weights (the model is built on the meta device).

    `dims` is 3 for M-RoPE families and 1 for the others; `inputs` are the names of what the model takes.
    """

    def __init__(self, hf_config: Any):
        with torch.device("meta"):
            shell = AutoModelForImageTextToText.from_config(hf_config)
        self.inner = inner_model(shell)
        self.inputs = frozenset(inspect.signature(shell.forward).parameters)
        self.dims = 3 if hasattr(self.inner, "get_rope_index") else 1
        self.merge = getattr(getattr(hf_config, "vision_config", None), "spatial_merge_size", 1)
        self.video_token_id = getattr(hf_config, "video_token_id", getattr(hf_config, "video_token_index", None))

    def __call__(self, ids: Tensor, media: dict[str, Tensor]) -> Tensor:
        """ids [L] of one prompt with at most one video -> [dims, L + 1]; the last one is the next free position."""
        longer = torch.cat([ids, ids.new_zeros(1)])[None]
        plain = torch.arange(longer.shape[1])
        if self.dims == 1:
            return plain[None]
        if GRID not in media:
            return plain.expand(3, -1)
        given = {**media, "input_ids": longer, "attention_mask": torch.ones_like(longer)}
        if "mm_token_type_ids" in media:
            given["mm_token_type_ids"] = nn.functional.pad(media["mm_token_type_ids"], (0, 1))
        accepted = inspect.signature(self.inner.get_rope_index).parameters
        positions, _ = self.inner.get_rope_index(**{key: value for key, value in given.items() if key in accepted})
        return positions[:, 0]


def video_features(model: PreTrainedModel, media: dict[str, Tensor]) -> tuple[Any, list[Tensor]]:
    """The vision tower's output, and for each video its volume [T, H, W, width] of visual tokens.

    Raises ModelError for a family whose videos have no (t, h, w) grid.
    """
    if GRID not in media:
        raise ModelError(
            f"fusion.anchor needs a family with {GRID}; {type(model).__name__} has none: set fusion.anchor=false"
        )
    inner = inner_model(model)
    accepted = inspect.signature(inner.get_video_features).parameters
    output = inner.get_video_features(**{key: value for key, value in media.items() if key in accepted})
    merge = vision_tower(model).spatial_merge_size
    grids = [(t, h // merge, w // merge) for t, h, w in media[GRID].tolist()]
    flat = torch.cat(list(output.pooler_output))
    pieces = flat.split([t * h * w for t, h, w in grids])
    return output, [piece.view(*grid, -1) for piece, grid in zip(pieces, grids, strict=True)]


@contextmanager
def reuse_video_features(model: PreTrainedModel, output: Any) -> Iterator[None]:
    """Within the block the model takes `output` for its video features and does not run the vision tower again."""
    inner = inner_model(model)
    # `generate` reads the signature to know which arguments the tower takes: keep it
    inner.get_video_features = wraps(inner.get_video_features)(lambda *_args, **_kwargs: output)
    try:
        yield
    finally:
        del inner.get_video_features
