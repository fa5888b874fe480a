"""A tiny Qwen2.5-VL, made on the spot: the real classes at toy sizes, for machines without weights or a GPU.

Written in Hugging Face format and loaded by the same `from_pretrained` calls as a 7B model. Its weights are
random and its tokenizer (byte-level BPE, digits apart, times like 2.5 and phrases one token) is trained on the texts that
are given: it is a wiring check and a diagnostic, and says nothing about what a pretrained model would do.
"""

import os
import shutil
import tempfile
from collections.abc import Iterable
from pathlib import Path

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    PreTrainedTokenizerFast,
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
    Qwen2VLImageProcessor,
    Qwen2VLVideoProcessor,
)

from hybrid.config.instruction import TinyConfig
from skeleton.events.vocabulary import vocabulary

VERSION = 2  # of what this file builds from equal settings
MARKS = ("<|endoftext|>", "<|im_start|>", "<|im_end|>")
VISION_MARKS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
SECONDS = tuple(f"{tenth / 10:.1f}" for tenth in range(100))  # one token each
ALIKE = 0.25  # seconds within which the embeddings of two times begin alike
# Every token costs time on a CPU: no role names, and the answer begins right behind <|im_start|>.
CHAT_TEMPLATE = (
    "{% for message in messages %}<|im_start|>"
    "{% if message['content'] is string %}{{ message['content'] }}"
    "{% else %}{% for part in message['content'] %}"
    "{% if part['type'] == 'video' %}<|vision_start|><|video_pad|><|vision_end|>"
    "{% elif part['type'] == 'text' %}{{ part['text'] }}{% endif %}"
    "{% endfor %}{% endif %}<|im_end|>{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>{% endif %}"
)


def body_words() -> list[str]:
    """Single words of the closed vocabulary: limbs, movements, directions, postures, targets, colours."""
    known = vocabulary()
    phrases = [*known.limbs, *known.directions, *known.postures, *known.body_targets, *known.object_kinds]
    phrases += [
        *known.object_colours,
        *known.shirt_colours,
        *(verb for m in known.movements.values() for verb in m.verb),
    ]
    return sorted({word for phrase in phrases for word in phrase.split()} - {"the"})


def train_tokenizer(texts: Iterable[str], size: int) -> PreTrainedTokenizerFast:
    """Byte-level BPE of at most `size` entries (and at least the 256 bytes with the special tokens).

    Words of the body stay apart; what stands between them, as "How many times does the person in", may become one token.
    """
    tokenizer = Tokenizer(models.BPE())
    words = Regex(rf" ?\b(?:{'|'.join(body_words())})\b|\d")
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(words, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=[*MARKS, *VISION_MARKS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.add_tokens(list(SECONDS))
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        additional_special_tokens=["<|im_start|>", *VISION_MARKS],
        chat_template=CHAT_TEMPLATE,
    )


def tiny_config(tokenizer: PreTrainedTokenizerFast, settings: TinyConfig) -> Qwen2_5_VLConfig:
    """The configuration of the toy model: every size from `settings`, every id from the tokenizer."""
    head = settings.width // settings.heads
    ids = {name: tokenizer.convert_tokens_to_ids(f"<|{name}|>") for name in ("vision_start", "vision_end")}
    return Qwen2_5_VLConfig(
        text_config={
            "vocab_size": len(tokenizer),
            "hidden_size": settings.width,
            "intermediate_size": 5 * settings.width // 2,
            "num_hidden_layers": settings.layers,
            "num_attention_heads": settings.heads,
            "num_key_value_heads": settings.heads,
            "max_position_embeddings": 4096,
            "tie_word_embeddings": False,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "rope_parameters": {
                "rope_type": "default",
                "rope_theta": 10000.0,
                "mrope_section": [head // 2 - 2 * (head // 6), head // 6, head // 6],
            },
        },
        vision_config={
            "depth": settings.vision_layers,
            "hidden_size": settings.vision_width,
            "intermediate_size": 2 * settings.vision_width,
            "num_heads": max(1, settings.vision_width // 32),
            "patch_size": settings.patch_size,
            "spatial_merge_size": 2,
            "temporal_patch_size": 2,
            "window_size": 8 * settings.patch_size,
            "fullatt_block_indexes": list(range(settings.vision_layers)),
            "out_hidden_size": settings.width,
            "tokens_per_second": 2,
        },
        tie_word_embeddings=False,
        image_token_id=tokenizer.convert_tokens_to_ids("<|image_pad|>"),
        video_token_id=tokenizer.convert_tokens_to_ids("<|video_pad|>"),
        vision_start_token_id=ids["vision_start"],
        vision_end_token_id=ids["vision_end"],
    )


@torch.no_grad()
def initialise(model: Qwen2_5_VLForConditionalGeneration, seconds: list[int]) -> None:
    """Random weights for a narrow model that learns within minutes.

    Embeddings of unit size, so that a token's identity survives the layers, and near times (`seconds`: their ids)
    alike, as they are in a trained model; linear layers by their fan-in (0.02 is made for wide models); layers and head
    begin by adding nothing and saying nothing.
    """
    for name, module in model.named_modules():
        if isinstance(module, torch.nn.Linear):
            torch.nn.init.normal_(module.weight, std=module.in_features**-0.5)
            if module.bias is not None:
                torch.nn.init.zeros_(module.bias)
            if name.endswith(("o_proj", "down_proj", "attn.proj")):
                torch.nn.init.zeros_(module.weight)
    words = model.get_input_embeddings().weight
    torch.nn.init.normal_(words)
    # random Fourier features: the dot product of two times falls off like a Gaussian (Rahimi and Recht, 2007)
    times, phases = torch.arange(len(SECONDS))[:, None] / 10 / ALIKE, 2 * torch.pi * torch.rand(words.shape[1])
    words[seconds] = 2**0.5 * torch.cos(times * torch.randn(words.shape[1]) + phases)
    torch.nn.init.normal_(model.get_output_embeddings().weight, std=0.01)


def build_tiny(folder: Path, texts: Iterable[str], settings: TinyConfig, seed: int) -> Path:
    """Write the model and its processor to `folder`, unless they are there already. Equal input, equal weights."""
    if (folder / "config.json").is_file():
        return folder
    tokenizer = train_tokenizer(texts, settings.vocabulary)
    config = tiny_config(tokenizer, settings)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = Qwen2_5_VLForConditionalGeneration(config)
        initialise(model, tokenizer.convert_tokens_to_ids(list(SECONDS)))
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    factor = 2 * settings.patch_size
    patches = {
        "patch_size": settings.patch_size,
        "merge_size": 2,
        "temporal_patch_size": 2,
        "size": {"shortest_edge": 4 * factor**2, "longest_edge": 256 * factor**2},
    }
    processor = Qwen2_5_VLProcessor(
        image_processor=Qwen2VLImageProcessor(**patches),
        tokenizer=tokenizer,
        video_processor=Qwen2VLVideoProcessor(**patches, do_sample_frames=False, cap_pixels_per_frame=False),
        chat_template=CHAT_TEMPLATE,
    )
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent))
    try:
        model.save_pretrained(temporary)
        processor.save_pretrained(temporary)
        temporary.chmod(0o755)
        try:
            os.rename(temporary, folder)
        except OSError:
            if not (folder / "config.json").is_file():  # else another process built the same model meanwhile
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder
