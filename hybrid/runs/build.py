"""Configuration -> objects: the one place where names and sizes become modules."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import torch

from fusion.modes import mode_class
from hybrid.config.instruction import ORACLE, EncoderConfig, MLLMConfig, TrainConfig
from hybrid.data.collation import Collator
from hybrid.data.prompt import answer_text
from hybrid.data.sample import Sample
from hybrid.models.mllm import load_family, load_model, load_processor
from hybrid.models.pose_grounded import PoseGroundedMLLM
from hybrid.models.tiny_mllm import VERSION, build_tiny
from skeleton.encoders import Encoder, build_encoder


def tiny_texts(samples: Iterable[Sample]) -> list[str]:
    """What the toy model's tokenizer is trained on: questions, options and answers, each once, sorted."""
    texts = set()
    for sample in samples:
        texts |= {sample.question, *(sample.options or ())}
        if sample.kind != "hidden":
            texts.add(answer_text(sample, "text"))
    return sorted(texts)


def resolve_mllm(config: TrainConfig, samples: Iterable[Sample]) -> MLLMConfig:
    """The MLLM's configuration with `tiny` replaced by the folder of a toy model, built when it is not there.

    The folder's name holds a hash of sizes, seed and texts: runs that agree on these start from the same weights.
    """
    if config.mllm.path != "tiny":
        return config.mllm
    texts = tiny_texts(samples)
    texts += mode_class(config.fusion.mode).texts  # else its tokenizer would spell them letter by letter
    key = json.dumps([VERSION, asdict(config.mllm.tiny), config.seed, texts])
    folder = Path(config.output) / f"tiny_mllm_{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    return replace(config.mllm, path=str(build_tiny(folder, texts, config.mllm.tiny, config.seed)))


def build(config: TrainConfig, samples: Iterable[Sample]) -> tuple[PoseGroundedMLLM, Collator]:
    """The model and its collator; `samples` are the training samples (only `mllm.path=tiny` reads them)."""
    mllm_config = resolve_mllm(config, samples)
    processor = load_processor(mllm_config)
    collator = Collator(processor, load_family(mllm_config), config.fusion, config.encoder.layout)
    mllm = load_model(mllm_config)
    oracle = config.encoder.name == ORACLE
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        joints = collator.mode.build(
            mllm.get_input_embeddings(),
            None if oracle else partial(make_encoder, config.encoder),
            event_head=oracle or config.train.event_loss > 0,
        )
    return PoseGroundedMLLM(mllm, collator.mode, joints), collator


def make_encoder(config: EncoderConfig) -> Encoder:
    """The network over joints, frozen where that is asked for."""
    encoder = build_encoder(
        config.name,
        layout=config.layout,
        width=config.width,
        depth=config.depth,
        stride=config.stride,
        streams=tuple(config.streams),
        **config.options,
    )
    return encoder.requires_grad_(not config.freeze)
