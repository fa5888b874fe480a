"""A trained model as a folder to share: model.safetensors, config.yaml, README.md, and base/ for a toy MLLM.

The safetensors hold every weight that trains (encoder, projector, adapters) and the joint branch's buffers, under the
names of a checkpoint. The frozen MLLM is not copied: config.yaml names it, and it is fetched or read from there again. Only the
toy model of `mllm.path=tiny`, which no hub has, travels along. config.yaml is written last: it says that the folder is whole.
"""

import os
import shutil
from dataclasses import replace
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from fusion.modes import MODES, mode_class
from hybrid.config.instruction import TrainConfig
from hybrid.config.loading import load_config, to_yaml
from hybrid.data.collation import Collator
from hybrid.errors import CheckpointError
from hybrid.models.pose_grounded import PoseGroundedMLLM
from hybrid.modules.instruction import InstructionModule
from hybrid.runs.build import build
from skeleton.files import atomic

WEIGHTS, CONFIG, CARD, BASE = "model.safetensors", "config.yaml", "README.md", "base"


def save_pretrained(model: PoseGroundedMLLM, config: TrainConfig, folder: str | Path) -> Path:
    """Write `model`, built from `config`, to `folder` (made when missing); returns the folder.

    A path of a local MLLM is stored whole, so such a folder is for this machine.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / CONFIG).unlink(missing_ok=True)
    module = InstructionModule(model, config.train)
    names, state = module.saved_names(), module.state_dict()
    partial = folder / f".{WEIGHTS}.{os.getpid()}.partial"
    save_file({name: state[name].cpu().contiguous() for name in names}, partial, metadata={"format": "pt"})
    os.replace(partial, folder / WEIGHTS)
    path = config.mllm.path
    if path == "tiny":
        path = BASE
        shutil.copytree(model.mllm.name_or_path, folder / BASE, dirs_exist_ok=True)
    elif Path(path).is_dir():
        path = str(Path(path).resolve())
    config = replace(
        config,
        mllm=replace(config.mllm, path=path),
        data=replace(config.data, train=[], val=[], test=[], cache=None),
        train=replace(config.train, resume=None),
    )
    with atomic(folder / CARD) as file:
        file.write(card(config, sum(state[name].numel() for name in names)))
    with atomic(folder / CONFIG) as file:
        file.write(to_yaml(config))
    return folder


def from_pretrained(folder: str | Path) -> tuple[PoseGroundedMLLM, Collator, TrainConfig]:
    """The model in eval mode, its collator and its configuration, from a folder of `save_pretrained`.

    Raises CheckpointError for another folder or weights of another model, ModelError where the MLLM cannot be loaded.
    """
    folder = Path(folder)
    for name in (CONFIG, WEIGHTS):
        if not (folder / name).is_file():
            raise CheckpointError(
                f"expected a folder written by hybrid.runs.export.save_pretrained at {folder}, found no {name} in it: "
                "check the path, or save the model again"
            )
    config = load_config(TrainConfig, [str(folder / CONFIG)])
    if config.mllm.path == BASE:
        config = replace(config, mllm=replace(config.mllm, path=str((folder / BASE).resolve())))
    try:
        state = load_file(folder / WEIGHTS)
    except SafetensorError as error:
        raise CheckpointError(
            f"expected safetensors in {folder / WEIGHTS}, found a file that is cut or foreign ({error}): save the model again"
        ) from error
    model, collator = build(config, ())
    InstructionModule(model, config.train).load_state_dict(state)
    return model.eval(), collator, config


def card(config: TrainConfig, weights: int) -> str:
    """The model card: what this is, what it stands on, how to load it."""
    base = "a small random model (folder base)" if config.mllm.path == BASE else f"`{config.mllm.path}`"
    hub = [] if config.mllm.path == BASE or Path(config.mllm.path).is_dir() else [f"base_model: {config.mllm.path}"]
    mode = config.fusion.mode
    body = f"{mode_class(mode).describe(config.fusion.options(config.encoder.layout))}; rows a second: {config.data.pose_fps:g}"
    if MODES[mode].encodes:
        body += f"; encoder: {config.encoder.name}"
    return "\n".join(
        [
            *("---", *hub, "library_name: hybrid-pose", "pipeline_tag: video-text-to-text", "---"),
            f"# {config.name}",
            "",
            "A video language model that sees limbs: skeletons enter it beside the video.",
            "",
            f"- stands on {base}, which is not in this folder's weights",
            f"- body: {body}",
            f"- video: {config.data.frames} frames a clip",
            f"- {weights:,} trained weights in {WEIGHTS}; all settings in {CONFIG}",
            "",
            "```python",
            "from hybrid.runs.export import from_pretrained",
            "",
            'model, collator, config = from_pretrained("this folder")',
            "```",
            "",
        ]
    )
