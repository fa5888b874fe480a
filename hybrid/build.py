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
from hybrid.errors import CheckpointError
from hybrid.models.mllm import Positions, load_hf_config, load_model, load_processor
from hybrid.models.pose_grounded import PoseGroundedMLLM
from hybrid.models.tiny_mllm import VERSION, build_tiny
from hybrid.modules.instruction import InstructionModule
from skeleton.files import atomic


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


def read_checkpoint(path: Path) -> dict:
    """A checkpoint's contents, without unpickling foreign objects. Raises CheckpointError."""
    if not path.is_file():
        raise CheckpointError(f"expected a checkpoint at {path}, found none: train first, or give test.checkpoint=PATH")
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises pickle, zip and runtime errors for foreign files
        reason = " ".join(str(error).split())[:160]
        raise CheckpointError(
            f"{path} is no checkpoint of tensors and plain values, it was not loaded: {reason}"
        ) from error


def save_weights(module: InstructionModule, path: Path) -> None:
    """Write a checkpoint that holds weights only; one cannot go on training from it, but start from it."""
    names = module.saved_names()
    with atomic(path, binary=True) as file:
        torch.save({"state_dict": {k: v for k, v in module.state_dict().items() if k in names}}, file)


def start_from(module: InstructionModule, path: Path) -> int:
    """Take from another run's checkpoint the weights whose names `module` knows; returns how many. Raises CheckpointError."""
    state, own = read_checkpoint(path).get("state_dict") or {}, module.state_dict()
    shared = {name: weight for name, weight in state.items() if name in own}
    other = [name for name, weight in shared.items() if own[name].shape != weight.shape]
    if not shared or other:
        found = f"{other[0]} of shape {tuple(shared[other[0]].shape)}" if other else "none"
        raise CheckpointError(
            f"expected weights in {path} that this model has, in the same shapes, found {found}: "
            "train both runs with the same mllm and encoder, or drop it from train.start"
        )
    with torch.no_grad():
        for name, weight in shared.items():
            own[name].copy_(weight)
    return len(shared)


def load_weights(module: InstructionModule, path: Path) -> None:
    """Put a checkpoint's weights into `module`. Raises CheckpointError."""
    state = read_checkpoint(path).get("state_dict")
    if state is None:
        raise CheckpointError(f"expected a training checkpoint with a state_dict in {path}, found none")
    module.load_state_dict(state)
