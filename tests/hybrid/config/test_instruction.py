"""The product's keys: defaults hold, contradictions name both keys."""

import dataclasses
import typing

import pytest

from hybrid.config.instruction import TrainConfig
from hybrid.config.loading import load_config, to_yaml
from hybrid.errors import ConfigError


def test_defaults_hold_and_round_trip(tmp_path):
    config = load_config(TrainConfig, [])
    assert config == TrainConfig()
    path = tmp_path / "config.yaml"
    path.write_text(to_yaml(config), encoding="utf-8")
    assert load_config(TrainConfig, [str(path)]) == config


def test_no_tuples_and_a_comment_for_every_key():
    sections = [TrainConfig]
    for section in sections:
        for entry in dataclasses.fields(section):
            kind = typing.get_type_hints(section)[entry.name]
            assert "tuple" not in str(kind)
            assert entry.metadata["comment"].strip()
            if dataclasses.is_dataclass(kind):
                sections.append(kind)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["mllm.tiny.width=100", "mllm.tiny.heads=3"], r"tiny\.width .* mllm\.tiny\.heads, found 100 and 3"),
        (["mllm.lora_rank=8", "mllm.freeze_language=false"], r"freeze_language=true .* mllm\.lora_rank=8"),
        (["fusion.dropout_pose=0.6", "fusion.dropout_video=0.6"], r"dropout_pose and fusion\.dropout_video"),
        (["fusion.mode=none", "fusion.anchor=true"], r"fusion\.anchor=false with fusion\.mode=none"),
        (["data.val=a.jsonl", "data.validation_fraction=0.1"], r"data\.val or data\.validation_fraction"),
        (["data.validation_fraction=1"], r"data\.validation_fraction in \[0, 1\), found 1"),
        (["train.warmup=10", "train.steps=10"], r"train\.warmup below train\.steps, found 10 and 10"),
        (["data.size=100"], r"data\.size .* mllm\.tiny\.patch_size, found 100 and 14; take 84"),
        (["train.steps=0"], r"train\.steps or train\.pretrain_steps above 0, found 0 and 0"),
        (
            ["train.pretrain_steps=1", "train.event_loss=1", "data.events=[x]", "encoder.freeze=true"],
            r"encoder\.freeze=false with train\.pretrain_steps=1, found true",
        ),
        (["fusion.min_activity=0.1"], r"fusion\.min_activity=0 with train\.event_loss=0, found 0\.1"),
        (["train.look_loss=1", "data.events=[x]"], r"fusion\.anchor=true with train\.look_loss=1.*, found false"),
        (["train.look_loss=1", "fusion.anchor=true"], r"files in data\.events with .*train\.look_loss=1.*, found none"),
        (["fusion.mode=text", "fusion.anchor=true"], r"fusion\.anchor=false with fusion\.mode=text, found true"),
        (["fusion.mode=text", "train.event_loss=1"], r"train\.event_loss=0 with fusion\.mode=text, found 1"),
        (
            ["fusion.mode=text", "fusion.text_tokens=99"],
            r"text_tokens of at least 256 with fusion\.mode=text, found 99",
        ),
        (["fusion.mode=text", "encoder.name=oracle"], r"fusion\.mode=tokens with encoder\.name=oracle, found text"),
        (["fusion.mode=none", "train.event_loss=1"], r"train\.event_loss=0 with fusion\.mode=none"),
        (["fusion.mode=tokns"], r"expected one of .* for fusion\.mode, found 'tokns'.*did you mean 'tokens'"),
    ],
)
def test_contradictions_name_both_keys(arguments, message):
    with pytest.raises(ConfigError, match=message):
        load_config(TrainConfig, arguments)


def test_size_is_free_with_a_real_model():
    assert load_config(TrainConfig, ["data.size=100", "mllm.path=some/model"]).data.size == 100


def test_a_key_that_is_no_more_is_passed_over_in_one_sentence(tmp_path, capsys):
    old = tmp_path / "config.yaml"
    old.write_text("fusion: {granularity: limb, max_persons: 2}\n")
    assert load_config(TrainConfig, [str(old)]).fusion.max_persons == 2
    said = capsys.readouterr().err
    assert said.startswith("the key fusion.granularity from ") and said.count("\n") == 1
