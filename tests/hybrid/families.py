"""Small random models of other families, with their own processors and formats of chat, in Hugging Face format."""

from collections.abc import Callable
from pathlib import Path

import torch
import transformers as hf
from transformers.models.smolvlm.processing_smolvlm import DEFAULT_CHAT_TEMPLATE

from hybrid.models.tiny_mllm import train_tokenizer

TEXT = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "initializer_range": 0.2,
    "tie_word_embeddings": False,
}
QWEN_CHAT = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}VIDEO{% else %}{{ part['text'] }}{% endif %}"
    "{% endfor %}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def _tokenizer(texts: list[str], marks: list[str], **names: str) -> hf.PreTrainedTokenizerFast:
    """The toy tokenizer with a family's own marks; `names` are the attributes by which its processor knows them."""
    tokenizer = train_tokenizer(texts, 320)
    tokenizer.add_special_tokens({"additional_special_tokens": [*marks, *names.values()]})
    if names:
        backend = tokenizer.backend_tokenizer
        tokenizer = hf.PreTrainedTokenizerFast(
            tokenizer_object=backend, eos_token="<|im_end|>", pad_token="<|endoftext|>", extra_special_tokens=names
        )
    return tokenizer


def _text(tokenizer: hf.PreTrainedTokenizerFast, **more: object) -> dict:
    ends = {"bos_token_id": None, "eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    return {**TEXT, "vocab_size": len(tokenizer), **ends, **more}


def _save(folder: Path, model: hf.PreTrainedModel, processor: hf.ProcessorMixin) -> None:
    tokenizer = processor.tokenizer
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    model.save_pretrained(folder)
    processor.save_pretrained(folder)


def _qwen(folder: Path, texts: list[str], version: int) -> None:
    tokenizer = _tokenizer(texts, [])
    ids = {
        f"{name}_token_id": tokenizer.convert_tokens_to_ids(f"<|{mark}|>")
        for name, mark in (("image", "image_pad"), ("video", "video_pad"), ("vision_start", "vision_start"),
                           ("vision_end", "vision_end"))
    }  # fmt: skip
    rope = {"rope_type": "default", "rope_theta": 10000.0, "mrope_section": [4, 2, 2]}
    patches = {"patch_size": 14, "merge_size": 2, "temporal_patch_size": 2}
    limits = {"size": {"shortest_edge": 4 * 28**2, "longest_edge": 256 * 28**2}}
    vision = {"depth": 2, "patch_size": 14, "spatial_merge_size": 2, "temporal_patch_size": 2, "num_heads": 2}
    if version == 2:
        config = hf.Qwen2VLConfig(
            text_config=_text(tokenizer, rope_parameters=rope),
            vision_config={**vision, "embed_dim": 32, "hidden_size": 32, "mlp_ratio": 2},
            tie_word_embeddings=False,
            **ids,
        )
        model, video = (
            hf.Qwen2VLForConditionalGeneration(config),
            hf.Qwen2VLVideoProcessor(**patches, **limits, cap_pixels_per_frame=False),
        )
        family = hf.Qwen2VLProcessor
    else:
        config = hf.Qwen3VLConfig(
            text_config=_text(tokenizer, head_dim=16, rope_parameters={**rope, "mrope_interleaved": True}),
            vision_config={
                **vision, "hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 32,
                "num_position_embeddings": 64, "deepstack_visual_indexes": [0, 1],
            },
            tie_word_embeddings=False,
            **ids,
        )  # fmt: skip
        model, video = (
            hf.Qwen3VLForConditionalGeneration(config),
            hf.Qwen3VLVideoProcessor(**patches, **limits, cap_pixels_per_frame=False),
        )
        family = hf.Qwen3VLProcessor
    processor = family(
        image_processor=hf.Qwen2VLImageProcessor(**patches, **limits),
        tokenizer=tokenizer,
        video_processor=video,
        chat_template=QWEN_CHAT.replace("VIDEO", "<|vision_start|><|video_pad|><|vision_end|>"),
    )
    _save(folder, model, processor)


def qwen2_vl(folder: Path, texts: list[str]) -> None:
    """M-RoPE without seconds: one temporal id a step."""
    _qwen(folder, texts, 2)


def qwen3_vl(folder: Path, texts: list[str]) -> None:
    """One-frame groups with timestamps in words; features of inner vision layers enter the decoder (DeepStack)."""
    _qwen(folder, texts, 3)


def llava_onevision(folder: Path, texts: list[str]) -> None:
    """SigLIP and Qwen2: one-dimensional positions, frames of one fixed size."""
    tokenizer = _tokenizer(texts, ["<image>", "<video>"])
    size, vision = {"height": 56, "width": 56}, {"image_size": 56, "patch_size": 14, "vision_use_head": False}
    config = hf.LlavaOnevisionConfig(
        text_config={"model_type": "qwen2", **_text(tokenizer)},
        vision_config={
            "model_type": "siglip_vision_model", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
            "num_attention_heads": 2, **vision,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<video>"),
        image_grid_pinpoints=[[56, 56]],
        vision_feature_layer=-1,
        tie_word_embeddings=False,
    )  # fmt: skip
    processor = hf.LlavaOnevisionProcessor(
        image_processor=hf.LlavaOnevisionImageProcessor(size=size, image_grid_pinpoints=[[56, 56]]),
        tokenizer=tokenizer,
        video_processor=hf.LlavaOnevisionVideoProcessor(size=size),
        num_image_tokens=16,
        vision_feature_select_strategy="full",
        chat_template=QWEN_CHAT.replace("VIDEO", "<video>\n"),
    )
    _save(folder, hf.LlavaOnevisionForConditionalGeneration(config), processor)


def internvl(folder: Path, texts: list[str]) -> None:
    """A video is a list of images in the text and among the pixels."""
    names = {
        "start_image_token": "<img>", "end_image_token": "</img>", "context_image_token": "<IMG_CONTEXT>",
        "video_token": "<video>",
    }  # fmt: skip
    tokenizer = _tokenizer(texts, [], **names)
    size = {"height": 56, "width": 56}
    config = hf.InternVLConfig(
        text_config={"model_type": "qwen2", **_text(tokenizer)},
        vision_config={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": [56, 56], "patch_size": [14, 14],
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<IMG_CONTEXT>"),
        image_seq_length=4,
        tie_word_embeddings=False,
    )  # fmt: skip
    processor = hf.InternVLProcessor(
        image_processor=hf.GotOcr2ImageProcessor(size=size),
        tokenizer=tokenizer,
        video_processor=hf.InternVLVideoProcessor(size=size),
        image_seq_length=4,
        chat_template=QWEN_CHAT.replace("VIDEO", "<video>\n"),
    )
    _save(folder, hf.InternVLForConditionalGeneration(config), processor)


def smolvlm(folder: Path, texts: list[str]) -> None:
    """Frames as padded images with a mask of pixels; needs the package num2words."""
    marks = ["<fake_token_around_image>", "<image>", "<global-img>", "<video>"]
    tokenizer = _tokenizer(texts, [*marks, "<end_of_utterance>"])
    tokenizer.eos_token = "<end_of_utterance>"
    config = hf.SmolVLMConfig(
        text_config={"model_type": "llama", **_text(tokenizer)},
        vision_config={
            "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2,
            "image_size": 56, "patch_size": 14,
        },
        image_token_id=tokenizer.convert_tokens_to_ids("<image>"),
        scale_factor=2,
        tie_word_embeddings=False,
    )  # fmt: skip
    edge = {"longest_edge": 56}
    processor = hf.SmolVLMProcessor(
        image_processor=hf.SmolVLMImageProcessor(size=edge, max_image_size=edge),
        tokenizer=tokenizer,
        video_processor=hf.SmolVLMVideoProcessor(size=edge, max_image_size=edge),
        image_seq_len=4,
        chat_template=DEFAULT_CHAT_TEMPLATE,
    )
    _save(folder, hf.SmolVLMForConditionalGeneration(config), processor)


FAMILIES: dict[str, Callable[[Path, list[str]], None]] = {
    family.__name__: family for family in (qwen2_vl, qwen3_vl, llava_onevision, internvl, smolvlm)
}


FAMILY_NAMES = ("tiny", *FAMILIES)
CLOCKED = ("tiny", "qwen2_vl", "qwen3_vl")  # positions are (t, h, w)
QUESTION = "Which limb does the person raise?"
WORDS = [QUESTION, "the left arm", "kick", "both"]


def build_family(name: str, folder: Path, texts: list[str]) -> Path:
    """Write the model of a family and its processor to `folder`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        FAMILIES[name](folder, texts)
    return folder
