"""Loads any Hugging Face video MLLM, freezes it and adds LoRA layers.

The contact surface with transformers is kept small: `AutoModelForImageTextToText`, `AutoProcessor`, the public forward and
`generate` here, and what fusion.families asks of the inner model.
"""

from typing import Any

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModelForImageTextToText,
    AutoProcessor,
    PreTrainedModel,
    ProcessorMixin,
)

from fusion.families import Family, family_of, vision_tower
from hybrid.config.instruction import MLLMConfig
from hybrid.errors import ModelError


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


def load_family(config: MLLMConfig) -> Family:
    """The model's family without its weights: the model is built on the meta device."""
    hf_config = _pretrained(AutoConfig, config, trust_remote_code=config.trust_remote_code)
    with torch.device("meta"):
        return family_of(AutoModelForImageTextToText.from_config(hf_config))


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
