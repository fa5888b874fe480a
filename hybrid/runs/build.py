"""Configuration -> objects: the one place where names and sizes become modules."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

import torch

from fusion.event_words import EventWords
from fusion.joint_branch import JointBranch, OracleBranch
from fusion.pose_text import EXAMPLE, HEADER
from hybrid.config.instruction import ORACLE, MLLMConfig, TrainConfig
from hybrid.data.collation import Collator
from hybrid.data.prompt import answer_text
from hybrid.data.sample import Sample
from hybrid.models.mllm import Positions, load_hf_config, load_model, load_processor
from hybrid.models.pose_grounded import PoseGroundedMLLM
from hybrid.models.tiny_mllm import VERSION, build_tiny


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
    if config.fusion.mode == "text":  # else its tokenizer would spell the pose letter by letter
        texts += [HEADER, *EXAMPLE]
    key = json.dumps([VERSION, asdict(config.mllm.tiny), config.seed, texts])
    folder = Path(config.output) / f"tiny_mllm_{hashlib.sha256(key.encode()).hexdigest()[:12]}"
    return replace(config.mllm, path=str(build_tiny(folder, texts, config.mllm.tiny, config.seed)))


def build(config: TrainConfig, samples: Iterable[Sample]) -> tuple[PoseGroundedMLLM, Collator]:
    """The model and its collator; `samples` are the training samples (only `mllm.path=tiny` reads them)."""
    mllm_config = resolve_mllm(config, samples)
    processor = load_processor(mllm_config)
    positions = Positions(load_hf_config(mllm_config))
    collator = Collator(processor, positions, config.fusion, config.encoder.layout)
    mllm = load_model(mllm_config)
    joints = None
    if config.fusion.mode == "tokens":
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(config.seed)
            oracle = config.encoder.name == ORACLE
            told = oracle or config.train.event_loss > 0
            words = EventWords(mllm.get_input_embeddings(), collator.encode, events=told)
            if oracle:
                joints = OracleBranch(words, config.fusion.min_activity)
            else:
                joints = JointBranch(config.encoder, config.fusion, words)
    return PoseGroundedMLLM(mllm, joints), collator
