"""Every file of configs/ loads, says its command first, and holds what its name promises."""

from pathlib import Path

import pytest

from hybrid.config.instruction import TrainConfig
from hybrid.config.loading import load_config
from hybrid.errors import HybridError
from hybrid.runs.kinds import kind_of
from skeleton.errors import SkeletonError

CONFIGS = Path(__file__).resolve().parents[3] / "configs"


@pytest.mark.parametrize("path", sorted(CONFIGS.rglob("*.yaml")), ids=lambda path: path.stem)
def test_every_configuration_loads(path):
    try:
        load_config(kind_of([str(path)]).schema, [str(path)])
    except (HybridError, SkeletonError) as error:
        pytest.fail(f"{path}: {error}")
    assert path.read_text(encoding="utf-8").startswith("#")


@pytest.mark.parametrize("path", sorted((CONFIGS / "mllm").glob("*.yaml")), ids=lambda path: path.stem)
def test_every_model_of_configs_is_frozen_with_adapters_and_says_its_command(path):
    config = load_config(TrainConfig, [str(path)])
    command = f"# python tools/train.py configs/experiment/NAME.yaml configs/mllm/{path.name}"
    assert path.read_text(encoding="utf-8").startswith(command)
    assert "/" in config.mllm.path
    assert config.mllm.dtype == "bfloat16"
    assert config.mllm.freeze_vision and config.mllm.freeze_language and config.mllm.lora_rank == 16
    assert config.data.answer_format == "letter"
    one_dimensional = path.stem.startswith(("llava", "smolvlm"))
    assert config.fusion.position == ("text" if one_dimensional else "time")
    assert not (one_dimensional and config.fusion.anchor)
    assert config.data.size is None or config.data.size % 28 == 0 or config.data.size % 32 == 0


def test_five_models_are_ready():
    names = {path.stem for path in (CONFIGS / "mllm").glob("*.yaml")}
    assert names >= {"qwen2_5_vl_3b", "qwen2_5_vl_7b", "qwen3_vl_8b", "llava_onevision_7b", "smolvlm2_2_2b"}
