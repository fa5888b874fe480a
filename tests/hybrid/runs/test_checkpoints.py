"""Checkpoints that cannot be used: one sentence each, and nothing in them is executed."""

import pytest
import torch

import hybrid.runs.instruction_test as testing
import hybrid.runs.instruction_train as training
from hybrid.errors import CheckpointError
from hybrid.runs.run_folder import RunFolder

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Lightning remarks on short and resumed runs


class Foreign:
    """Leaves a mark where it is unpickled."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return open, (self.mark, "w")


@pytest.mark.parametrize("use", ["train", "test"])
@pytest.mark.parametrize("kind", ["missing", "foreign", "truncated", "text", "no loop"])
def test_checkpoints_that_cannot_be_used_are_one_sentence(whole, configure, tmp_path, use, kind):
    path, mark = tmp_path / "a.ckpt", tmp_path / "mark"
    good = whole[1].checkpoint("last").read_bytes()
    if kind == "foreign":
        torch.save({"state_dict": {}, "loops": Foreign(str(mark))}, path)
    elif kind == "truncated":
        path.write_bytes(good[: len(good) // 2])
    elif kind == "text":
        path.write_text("no checkpoint")
    elif kind == "no loop":
        torch.save({"weights": {}}, path)
    message = {
        "missing": r"expected a checkpoint at .*a\.ckpt, found none: train first, or give test\.checkpoint=PATH",
        "no loop": r"expected a training checkpoint with (its loop|a state_dict) in .*a\.ckpt, found none",
    }.get(kind, r"a\.ckpt is no checkpoint of tensors and plain values, it was not loaded: \w+")
    with pytest.raises(CheckpointError, match=message) as error:
        if use == "train":
            training.train(configure("bad", f"train.resume={path}"))
        else:
            testing.answer(configure("bad", f"test.checkpoint={path}"), RunFolder(tmp_path))
    assert "\n" not in str(error.value)
    assert not mark.exists()


@pytest.mark.parametrize(
    ("more", "found"),
    [
        (("encoder.width=24",), r"\d+ of another shape \(first: model\.joints\..* expected \("),
        (("fusion.mode=none", "fusion.anchor=false"), r"\d+ unknown \(first: model\.joints\."),
        (("fusion.mode=text", "fusion.anchor=false"), r"\d+ unknown \(first: model\.joints\."),
        (("mllm.lora_rank=0",), r"\d+ unknown \(first: .*lora_A"),
        (("mllm.lora_rank=0", "mllm.freeze_language=false"), r"\d+ weights missing \(first: model\.mllm\."),
    ],
)
def test_a_checkpoint_of_another_model_is_one_sentence(whole, configure, tmp_path, more, found):
    path = whole[1].checkpoint("last")
    message = rf"the checkpoint belongs to another model: .*{found}.*; test with the configuration that trained it"
    with pytest.raises(CheckpointError, match=message):
        testing.answer(configure("other", f"test.checkpoint={path}", *more), RunFolder(tmp_path))
    with pytest.raises(CheckpointError, match=message):
        training.train(configure("other", f"train.resume={path}", *more))
