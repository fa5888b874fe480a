"""A model saved to share and loaded again: the same scores, from a folder that says what it is."""

import shutil
from dataclasses import replace

import pytest
import torch
from safetensors import safe_open

from hybrid.config.instruction import TrainConfig
from hybrid.config.loading import load_config
from hybrid.errors import CheckpointError, ModelError
from hybrid.runs.build import build, resolve_mllm
from hybrid.runs.export import card, from_pretrained, save_pretrained

LORA = {"freeze_vision": True, "freeze_language": True, "lora_rank": 2}


@pytest.fixture
def saved(tiny_config, tiny_samples, tmp_path):
    """saved(mllm={...}, fusion={...}, train={...}): (model, folder) of a model with shaken weights."""

    def make(mllm=None, fusion=None, train=None, path=None):
        config = replace(
            tiny_config,
            name="shared",
            mllm=replace(tiny_config.mllm, **(mllm or {})),
            fusion=replace(tiny_config.fusion, **(fusion or {})),
            data=replace(tiny_config.data, events=["events.jsonl"], train=["mine.jsonl"]),
            train=replace(tiny_config.train, **(train or {})),
        )
        if path is not None:
            config = replace(config, mllm=replace(config.mllm, path=path))
        model, collator = build(config, tiny_samples)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.requires_grad:
                    parameter += 0.1 * torch.randn_like(parameter)
        return model.eval(), collator, save_pretrained(model, config, tmp_path / "folder")

    return make


def score(model, collator, row, asked):
    rows = [row(persons=2, branches=[asked("kick", "both")]), row(persons=0, branches=[asked("kick")], seed=1)]
    with torch.no_grad():
        return model.score(collator(rows))


@pytest.mark.parametrize(
    "settings",
    [
        {"mllm": LORA},
        {"mllm": LORA, "train": {"event_loss": 0.5}},
        {},  # all of the language model trains
        {"fusion": {"mode": "none", "anchor": False}},
        {"mllm": LORA, "fusion": {"mode": "text", "anchor": False}},
    ],
)
def test_scores_are_equal_after_a_round_trip(saved, row, asked, settings, tmp_path):
    model, collator, folder = saved(**settings)
    expected = score(model, collator, row, asked)
    moved = folder.rename(tmp_path / "moved")
    again, other, config = from_pretrained(moved)
    assert not again.training
    assert torch.equal(score(again, other, row, asked), expected)
    assert (config.name, config.data.train, config.fusion) == (
        "shared",
        [],
        replace(config.fusion, **settings.get("fusion", {})),
    )


def test_only_what_trains_is_in_the_file(saved):
    model, _, folder = saved(mllm=LORA)
    trained = {f"model.{name}" for name, parameter in model.named_parameters() if parameter.requires_grad}
    with safe_open(folder / "model.safetensors", "pt") as file:
        names = set(file.keys())
    assert trained <= names
    assert all(name.startswith("model.joints.") for name in names - trained)
    assert sorted(path.name for path in folder.iterdir()) == ["README.md", "base", "config.yaml", "model.safetensors"]


def test_a_local_model_is_named_and_not_copied(saved, tiny_config, tiny_samples, row, asked):
    path = resolve_mllm(tiny_config, tiny_samples).path
    model, collator, folder = saved(mllm=LORA, path=path)
    assert not (folder / "base").exists()
    again, other, config = from_pretrained(folder)
    assert config.mllm.path == path
    assert torch.equal(score(again, other, row, asked), score(model, collator, row, asked))


def test_saving_again_replaces_the_folder(saved, row, asked):
    saved(mllm=LORA)
    model, collator, folder = saved(mllm=LORA | {"lora_rank": 3})
    again, other, _ = from_pretrained(folder)
    assert torch.equal(score(again, other, row, asked), score(model, collator, row, asked))


def test_the_card_says_what_it_stands_on_and_how_to_load_it(saved):
    _, _, folder = saved(mllm=LORA)
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert "# shared" in text and "small random model (folder base)" in text and "from_pretrained(" in text
    assert "coco17 skeletons, a joint token for each limb and 0.5 s; rows a second: 16; encoder: prenorm" in text
    hub = load_config(TrainConfig, ["mllm.path=Qwen/Qwen2.5-VL-3B-Instruct", "fusion.mode=none"])
    text = card(hub, 1234)
    assert text.startswith("---\nbase_model: Qwen/Qwen2.5-VL-3B-Instruct\n")
    worded = card(load_config(TrainConfig, ["fusion.mode=text", "fusion.text_tokens=2000"]), 1)
    assert "coco17 skeletons, written into the prompt in at most 2000 tokens; rows a second: 24" in worded
    assert "nothing of the body" in text and "1,234 trained weights" in text


@pytest.mark.parametrize("gone", ["config.yaml", "model.safetensors"])
def test_a_folder_of_another_kind_is_one_sentence(saved, gone):
    _, _, folder = saved(mllm=LORA)
    (folder / gone).unlink()
    with pytest.raises(
        CheckpointError, match=rf"written by hybrid\.runs\.export\.save_pretrained at .*, found no {gone} in it"
    ):
        from_pretrained(folder)


def test_a_run_folder_a_model_folder_and_no_folder_are_other_kinds(saved, tmp_path):
    _, _, folder = saved(mllm=LORA)
    for other in (folder / "base", tmp_path, tmp_path / "none"):
        with pytest.raises(
            CheckpointError, match="expected a folder written by .*, found no config.yaml in it: check the path"
        ):
            from_pretrained(other)


def test_a_cut_file_is_one_sentence(saved):
    _, _, folder = saved(mllm=LORA)
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(
        CheckpointError, match=r"safetensors in .*, found a file that is cut or foreign .*: save the model again"
    ):
        from_pretrained(folder)


def test_weights_of_another_model_are_one_sentence(saved):
    _, _, folder = saved(mllm=LORA)
    text = (folder / "config.yaml").read_text(encoding="utf-8")
    (folder / "config.yaml").write_text(text.replace("lora_rank: 2", "lora_rank: 3"), encoding="utf-8")
    with pytest.raises(CheckpointError, match="belongs to another model: .* of another shape .*lora_A"):
        from_pretrained(folder)


def test_a_base_that_is_gone_is_one_sentence(saved):
    _, _, folder = saved(mllm=LORA)
    shutil.rmtree(folder / "base")
    with pytest.raises(ModelError, match=r"mllm\.path='.*base' cannot be loaded"):
        from_pretrained(folder)
