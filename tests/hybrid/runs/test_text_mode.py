"""A run whose pose stands in the prompt in words: it learns, is tested under every probe, and has no encoder."""

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import hybrid.runs.instruction_test as testing
import hybrid.runs.instruction_train as training
from fusion.batch import Branch
from fusion.pose_text import HEADER
from hybrid.config.loading import load_config
from hybrid.data.clips import group_clips
from hybrid.data.module import ClipData
from hybrid.data.module import load as load_samples
from hybrid.data.rows import Draw, TrainingRows
from hybrid.modules.instruction import InstructionModule
from hybrid.runs.ask import AskConfig, ask
from hybrid.runs.build import build, resolve_mllm
from hybrid.runs.checkpoints import load_weights, read_checkpoint
from skeleton.jsonl import read_jsonl
from tests.hybrid.families import FAMILY_NAMES, QUESTION

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")  # Lightning remarks on short runs

TEXT = (
    "fusion.mode=text", "fusion.anchor=false", "fusion.text_tokens=450", "mllm.lora_rank=0", "mllm.freeze_language=false",
    "mllm.freeze_vision=false",
)  # fmt: skip


@pytest.fixture(scope="module")
def worded(configure, small_set):
    """(config, folder) of a run that learns two clips by heart."""
    config = configure(
        "worded", *TEXT, f"data.train=[{small_set / 'two.jsonl'}]", f"data.val=[{small_set / 'two.jsonl'}]",
        "fusion.dropout_pose=0", "fusion.dropout_video=0", "train.steps=30", "train.val_every=10",
        "data.questions_per_sequence=3",
    )  # fmt: skip
    return config, training.train(config)


def test_the_loss_falls(worded):
    rows = [line.split(",") for line in worded[1].metrics.read_text().splitlines()]
    columns = [float(row[rows[0].index("val/loss")]) for row in rows[1:] if row[rows[0].index("val/loss")]]
    assert len(columns) == 3
    assert columns[-1] < 0.5 * columns[0]


def test_a_checkpoint_has_no_encoder_and_loads(worded):
    config, folder = worded
    state = read_checkpoint(folder.checkpoint("last"))["state_dict"]
    assert state and not any(".joints." in name for name in state)
    model, _ = build(config, load_samples(config.data.train, "data.train"))
    assert model.joints is None
    load_weights(InstructionModule(model, config.train), folder.checkpoint("last"))
    assert all(torch.equal(weight, model.get_parameter(name.removeprefix("model."))) for name, weight in state.items())


def test_every_probe_changes_the_answers_that_it_should(worded):
    config, folder = worded
    testing.answer(config, folder)
    lines = {(line["id"], line["probe"]): line["scores"] for line in read_jsonl(folder.predictions)}
    for probe in ("none", "shuffle", "no_video", "text_only"):
        assert lines["0_limb", probe] != lines["0_limb", None], probe
    assert lines["unfelt", None] == lines["unfelt", "none"] == lines["unfelt", "shuffle"] != lines["unfelt", "no_video"]
    assert (
        lines["unseen", "none"] == lines["unseen", "text_only"] != lines["unseen", None] == lines["unseen", "no_video"]
    )
    assert set(testing.report(config, folder)["probes"]) == {"none", "shuffle", "no_video", "text_only"}


def test_the_start_says_how_many_tokens_the_pose_takes(configure, capsys):
    training.train(configure("said", *TEXT, "train.steps=3", "train.val_every=0"))
    said = capsys.readouterr().out
    count = int(said.partition("before the question, ")[2].partition(" of them tokens of the pose in words")[0])
    assert 100 < count <= 450


def test_modality_dropout_drops_the_words(configure):
    config = configure("dropped", *TEXT, "fusion.dropout_pose=0.5", "fusion.dropout_video=0.5")
    _, collator = build(config, load_samples(config.data.train, "data.train"))
    clips = group_clips(load_samples(config.data.train, "data.train"))
    rows = TrainingRows(clips, ClipData(config, collator).reader, config.fusion)
    drawn = [rows[Draw(0, (seed,))] for seed in range(12)]
    texts = collator.processor.tokenizer.batch_decode(collator(drawn).prompt.input_ids)
    assert [text.count(HEADER) for text in texts] == [int(row.frames is None) for row in drawn]
    assert 0 < sum(HEADER in text for text in texts) < 12
    assert all(len(row.branches) == 2 for row in drawn)  # several questions, the words once


def test_the_toy_tokenizer_knows_the_words_of_the_pose(configure):
    config = configure("known", *TEXT)
    samples = load_samples(config.data.train, "data.train")
    _, collator = build(config, samples)
    assert len(collator.encode(HEADER)) < 60
    none = replace(config, fusion=replace(config.fusion, mode="none"))
    assert resolve_mllm(none, samples).path != resolve_mllm(config, samples).path


def test_questions_about_one_video(worded, arguments, small_set):
    words = [word for word in arguments("worded", *TEXT) if not word.startswith(("data.train", "name"))]
    config = load_config(
        AskConfig,
        ["name=worded", *words, f"data.train=[{small_set / 'two.jsonl'}]", f"video={small_set / '0.mp4'}",
         f"skeleton={small_set / '0.npz'}", "question=Which limb does the person raise?", "options=the left arm | the right leg"],
    )  # fmt: skip
    assert Path(config.video).is_file()
    felt = ask(config)[0].probabilities
    other = ask(replace(config, skeleton=str(small_set / "1.npz")))[0].probabilities
    assert felt != other and sum(felt) == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_the_words_stand_once_before_the_questions_in_every_family(load, row, family):
    model, collator = load(family, {"mode": "text", "text_tokens": 1200})
    assert model.joints is None
    branches = [Branch(QUESTION, ("the left arm", "kick")), Branch("both kick?", ("both",))]
    rows = [
        row(persons=2, branches=branches),
        row(persons=1, video=False, branches=branches[:1], seed=1),
        row(persons=0, branches=branches),
    ]
    batch = collator(rows)
    texts = collator.processor.tokenizer.batch_decode(batch.prompt.input_ids)
    assert [text.count(HEADER) for text in texts] == [1, 1, 0]
    assert all(text.index("speed") < text.index(QUESTION) for text in texts[:2])
    for one, text in zip(rows[:2], texts, strict=False):
        own = collator.mode.prompt(one)
        assert 600 < len(own) <= 1200
        assert collator.processor.tokenizer.decode(own) in text
    _, plainly = load(family, {"mode": "none"})
    assert torch.equal(
        collator(rows[2:]).prompt.input_ids, plainly(rows[2:]).prompt.input_ids
    )  # no skeleton: as if there were no pose
    alone = [
        replace(one, branches=(replace(branch, answers=(a,)),))
        for one in rows
        for branch in one.branches
        for a in branch.answers
    ]
    with torch.no_grad():
        together = model.score(batch)
        apart = torch.cat([model.score(collator([single])) for single in alone])
        other = model.score(collator([replace(rows[0], skeleton=row(persons=2, seed=6).skeleton), *rows[1:]]))
    torch.testing.assert_close(together, apart, atol=1e-4, rtol=1e-4)
    assert (other[:3] - together[:3]).abs().min() > 1e-4
    torch.testing.assert_close(other[3:], together[3:], atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("family", FAMILY_NAMES)
def test_the_words_train_the_adapters_of_every_family_and_can_be_answered(load, row, family):
    model, collator = load(family, {"mode": "text", "text_tokens": 1200}, {"lora_rank": 2})
    (-model.train()(collator([row(branches=[Branch(QUESTION, ("kick",))])]))[0].mean()).backward()
    grown = {name for name, parameter in model.named_parameters() if parameter.requires_grad and "lora_B" in name}
    assert grown and all(model.get_parameter(name).grad.abs().max() > 0 for name in grown)
    assert {name for name, p in model.named_parameters() if p.grad is not None} == {
        name for name, p in model.named_parameters() if "lora_" in name
    }
    assert (
        model.eval().generate(collator([row(branches=[Branch(QUESTION)])], left=True), max_new_tokens=2).shape[1] <= 2
    )
