"""Training in two processes that talk over gloo equals training in one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def trained(arguments, tmp_path_factory):
    """trained(name, key=value...): the weights that `tools/train.py` leaves, run as a user would."""

    def run(name, *more):
        command = [
            sys.executable, "-W", "ignore", str(ROOT / "tools/train.py"), *arguments(name), "mllm.lora_rank=0",
            "mllm.freeze_language=false", "fusion.anchor=false", "fusion.dropout_pose=0", "fusion.dropout_video=0",
            "train.steps=3", "train.val_every=0", "train.lr=0.001", "train.warmup=1", *more,
        ]  # fmt: skip
        output = tmp_path_factory.mktemp(name)
        environment = os.environ | {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""}
        done = subprocess.run(
            [*command, f"output={output}"], env=environment, cwd=ROOT, capture_output=True, text=True, timeout=240
        )
        assert done.returncode == 0, done.stderr[-2000:]
        checkpoint = torch.load(output / name / "checkpoints" / "last.ckpt", weights_only=True)
        assert checkpoint["global_step"] == 3
        return checkpoint["state_dict"], done.stdout + done.stderr

    return run


def test_two_processes_equal_one(trained):
    alone, _ = trained("alone", "train.batch_size=4", "train.devices=1")
    shared, said = trained("shared", "train.batch_size=2", "train.devices=2")
    assert "gloo" in said or "MEMBER: 2/2" in said  # there really were two
    start, _ = trained("start", "train.batch_size=4", "train.lr=1e-12")
    assert alone.keys() == shared.keys() == start.keys()
    moved = max((alone[name] - start[name]).abs().max().item() for name in alone)
    apart = max((alone[name] - shared[name]).abs().max().item() for name in alone)
    assert moved > 1e-3 and apart < 0.02 * moved, (moved, apart)
