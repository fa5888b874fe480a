"""Checkpoints: found, read safely, and their weights taken over."""

from pathlib import Path

import torch

from hybrid.errors import CheckpointError
from hybrid.modules.instruction import InstructionModule
from hybrid.runs.run_folder import RunFolder
from skeleton.files import atomic


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


def take_encoder(encoder: torch.nn.Module, path: Path) -> None:
    """The weights of an encoder from a checkpoint of recognition or pre-training. Raises CheckpointError."""
    state = read_checkpoint(path).get("state_dict") or {}
    prefixes = ("recognizer.encoder.", "encoder.")
    found = {
        key.removeprefix(prefix): value for prefix in prefixes for key, value in state.items() if key.startswith(prefix)
    }
    own = encoder.state_dict()
    other = [key for key in own if key not in found or found[key].shape != own[key].shape]
    if other:
        raise CheckpointError(
            f"expected the weights of this encoder in {path}, found none or another shape for {len(other)} of them, first "
            f"{other[0]}: give the encoder, stream and layout that the checkpoint was trained with"
        )
    encoder.load_state_dict({key: found[key] for key in own})


def resume_from(choice: str | None, folder: RunFolder) -> tuple[str | None, int]:
    """The checkpoint to go on from and its step, by train.resume: `auto` takes the run's last one, if there is one."""
    if choice is None:
        return None, 0
    path = folder.checkpoint("last" if choice == "auto" else choice)
    if choice == "auto" and not path.is_file():
        return None, 0
    state = read_checkpoint(path)
    if "loops" not in state:
        raise CheckpointError(
            f"expected a training checkpoint with its loop in {path}, found none: give another train.resume"
        )
    return str(path), state["global_step"]
