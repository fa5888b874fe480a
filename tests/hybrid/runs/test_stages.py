"""Runs that start from others: a language model that has read events, and an encoder that predicts them."""

import pytest
import torch

from hybrid.data.module import load
from hybrid.errors import CheckpointError, ConfigError
from hybrid.modules.instruction import InstructionModule
from hybrid.runs.build import build
from hybrid.runs.checkpoints import load_weights, read_checkpoint, start_from
from hybrid.runs.instruction_train import train
from skeleton.events.limb_event import LimbEvent, save_events

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Lightning remarks on short runs

OPEN = ("mllm.lora_rank=0", "mllm.freeze_language=false", "mllm.freeze_vision=false", "train.optimizer=muon")


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    path = tmp_path_factory.mktemp("events") / "events.jsonl"
    wave = LimbEvent(person=0, limb="left arm", movement="wave", start=0.2, end=1.5, count=2)
    save_events(path, [(str(number), [wave]) for number in range(6)])
    return f"data.events=[{path}]"


@pytest.fixture(scope="module")
def stages(configure, events):
    """Checkpoints of a reading run and of an encoder run."""
    reading = configure(
        "reading", *OPEN, events, "encoder.name=oracle", "fusion.anchor=false", "data.frames=0", "train.steps=4"
    )
    encoder = configure(
        "encoder", "mllm.lora_rank=0", events, "fusion.anchor=false", "train.event_loss=1", "train.steps=0",
        "train.pretrain_steps=2", "train.pretrain_batch=2", "train.optimizer=muon",
    )  # fmt: skip
    return [train(config).checkpoint("last") for config in (reading, encoder)]


def module_of(config):
    model, _ = build(config, load(config.data.train, "data.train"))
    return InstructionModule(model, config.train)


def test_a_run_begins_with_the_weights_of_both(configure, events, stages):
    reading, encoder = stages
    config = configure("grounded", *OPEN, events, "train.event_loss=1")
    module = module_of(config)
    fresh = {name: weight.clone() for name, weight in module.state_dict().items()}
    assert start_from(module, encoder) > 0
    assert start_from(module, reading) > 0
    state = module.state_dict()
    for path, part in ((encoder, "model.joints.encoder."), (encoder, "model.joints.events."), (reading, "model.mllm.")):
        stored = {k: v for k, v in read_checkpoint(path)["state_dict"].items() if k.startswith(part)}
        assert stored
        assert all(torch.equal(state[name], weight) for name, weight in stored.items())
        assert any(not torch.equal(fresh[name], weight) for name, weight in stored.items())
    assert not any(name.startswith("model.mllm.") for name in read_checkpoint(encoder)["state_dict"])
    assert "pretrain/event_loss" in (encoder.parents[1] / "pretraining" / "metrics.csv").read_text()
    assert torch.equal(state["model.joints.projector.layers.0.weight"], fresh["model.joints.projector.layers.0.weight"])


def test_train_start_does_it_and_the_run_is_tested_as_any_other(configure, events, stages, capsys):
    start = f"train.start=[{','.join(map(str, stages))}]"
    config = configure("started", *OPEN, events, "train.event_loss=1", start, "train.steps=3")
    folder = train(config)
    assert capsys.readouterr().out.count("weights from") == 2
    load_weights(module_of(config), folder.checkpoint("last"))


def test_weights_of_another_model_are_one_sentence(configure, stages, tmp_path):
    torch.save({"state_dict": {"foreign": torch.zeros(1)}}, tmp_path / "foreign.ckpt")
    module = module_of(configure("other", *OPEN, "encoder.width=24"))
    with pytest.raises(CheckpointError, match=r"expected weights in .*foreign\.ckpt that this model has.*, found none"):
        start_from(module, tmp_path / "foreign.ckpt")
    with pytest.raises(
        CheckpointError, match=r"found model\.joints\.\S+ of shape \(.*\): train both runs with the same"
    ):
        start_from(module, stages[1])


def test_the_oracle_needs_events_and_has_nothing_to_train(configure, events):
    with pytest.raises(ConfigError, match=r"expected files in data\.events .*encoder\.name=oracle, found none"):
        configure("bad", "encoder.name=oracle", "fusion.anchor=false")
    with pytest.raises(
        ConfigError, match=r"expected train\.event_loss=0 and fusion\.anchor=false with encoder\.name=oracle"
    ):
        configure("bad", "encoder.name=oracle", events)
