"""Small real models and clips made on the spot."""

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch

from fusion.batch import Branch, Row
from hybrid.config.instruction import MLLMConfig, TinyConfig, TrainConfig
from hybrid.config.loading import load_config
from hybrid.data.sample import Sample, write_samples
from hybrid.models.mllm import load_model
from hybrid.models.tiny_mllm import build_tiny
from hybrid.runs.build import build
from hybrid.runs.instruction_train import train
from skeleton.record import Skeleton
from skeleton.video import Frames, write_video
from tests.hybrid.families import CLOCKED, build_family
from tests.hybrid.families import WORDS as FAMILY_TEXTS

WORDS = ("Which limb does the person raise?", "the left arm", "the right leg", "1.2 to 3.4", "0567890", "kick", "both")


@pytest.fixture(scope="session")
def body():
    """body(persons, seconds): a skeleton of random joints in a frame of 96 x 128 pixels."""

    def make(persons: int, seconds: float, seed: int = 0, fps: float = 16.0) -> Skeleton:
        rng, rows = np.random.default_rng(seed), round(seconds * fps)
        return Skeleton(
            keypoints=rng.uniform(10, 90, (persons, rows, 17, 2)).astype(np.float32),
            confidence=np.ones((persons, rows, 17), np.float32),
            visible=rng.random((persons, rows, 17)) > 0.1,
            boxes=np.tile(np.float32([0, 0, 90, 90]), (persons, rows, 1)),
            timestamps=np.arange(rows) / fps,
            track_ids=np.arange(persons),
            layout="coco17",
            frame_size=(96, 128),
            source={},
        )

    return make


@pytest.fixture(scope="session")
def row(body):
    """row(persons, seconds, video, branches): a clip of noise; no persons means no skeleton."""

    def make(persons: int = 1, seconds: float = 3.0, video: bool = True, branches=(), seed: int = 0) -> Row:
        images = np.random.default_rng(seed).integers(0, 255, (4, 56, 56, 3), dtype=np.uint8)
        frames = Frames(images, (np.arange(4) + 0.5) * seconds / 4) if video else None
        return Row(frames, body(persons, seconds, seed) if persons else None, seconds, tuple(branches))

    return make


@pytest.fixture(scope="session")
def asked():
    """asked(*answers): a question with the texts that may follow it."""
    return lambda *answers, question=WORDS[0]: Branch(question, answers)


@pytest.fixture(scope="session")
def tiny_samples() -> list[Sample]:
    return [
        Sample(id=str(i), task="x", video="a.mp4", question=WORDS[0], start=0.0, end=1.0, answer=word)
        for i, word in enumerate(WORDS)
    ]


@pytest.fixture(scope="session")
def tiny_config(tmp_path_factory) -> TrainConfig:
    config = TrainConfig(output=str(tmp_path_factory.mktemp("runs")))
    config.mllm = replace(config.mllm, freeze_vision=False, freeze_language=False, dtype="float32")
    config.mllm.tiny = replace(config.mllm.tiny, width=32, layers=2, heads=2, vision_width=32, vision_layers=1)
    config.encoder = replace(config.encoder, width=16, depth=2, stride=4)
    config.fusion = replace(config.fusion, bin_seconds=0.5, anchor=True)
    config.data = replace(config.data, frames=4, size=56, pose_fps=16.0)
    return config


@pytest.fixture
def make(tiny_config, tiny_samples):
    """make(fusion={...}, mllm={...}, train={...}) -> (model in eval mode, collator)."""

    def built(fusion=None, mllm=None, train=None):
        fusion, mllm = replace(tiny_config.fusion, **(fusion or {})), replace(tiny_config.mllm, **(mllm or {}))
        training = replace(tiny_config.train, **(train or {}))
        model, collator = build(replace(tiny_config, fusion=fusion, mllm=mllm, train=training), tiny_samples)
        torch.manual_seed(0)
        for parameter in model.mllm.parameters():  # a new toy's layers begin by adding nothing: make them matter
            parameter.data += 0.1 * torch.randn_like(parameter)
        return model.eval(), collator

    return built


@pytest.fixture(scope="session")
def small_set(tmp_path_factory, body) -> Path:
    """A folder of six clips of two seconds, 0.mp4 and 0.npz to 5, each a noise that gets lighter, and their questions.

    Three to a clip in train.jsonl; two.jsonl has clips 0 and 1, val.jsonl 4 and one of 5, test.jsonl 0 to 2 and two samples
    that lack the skeleton or the video.
    """
    folder, samples = tmp_path_factory.mktemp("small_set"), []
    for number in range(6):
        noise = np.random.default_rng(number).integers(0, 60, (16, 96, 128, 3), dtype=np.uint8)
        write_video(folder / f"{number}.mp4", noise + (np.arange(16, dtype=np.uint8) * 12)[:, None, None, None], 8.0)
        body(1 + number % 2, 2.0, seed=number).save(folder / f"{number}.npz")
        clip = {"start": 0.0, "end": 2.0, "video": folder / f"{number}.mp4", "skeleton": folder / f"{number}.npz"}
        samples += [
            Sample(id=f"{number}_limb", task="limb", question=WORDS[0], options=WORDS[1:3], answer=number % 2, **clip),
            Sample(id=f"{number}_count", task="count", question="How often does it kick?", answer=number % 4, **clip),
            Sample(id=f"{number}_when", task="interval", question="When?", answer=(0.1 * number, 1.5), **clip),
        ]
    lacking = [
        replace(samples[0], id="unseen", video=None),
        replace(samples[0], id="unfelt", skeleton=None, meta={"binding": True}),
    ]
    write_samples(folder / "train.jsonl", samples)
    write_samples(folder / "two.jsonl", samples[:6])
    write_samples(folder / "val.jsonl", samples[12:16])
    write_samples(folder / "test.jsonl", [*samples[:9], *lacking])
    return folder


@pytest.fixture(scope="session")
def arguments(tmp_path_factory, small_set):
    """arguments(name, key=value...): the command line of a small run."""
    output = tmp_path_factory.mktemp("runs")

    def make(name, *more):
        return [
            f"name={name}", f"output={output}", "mllm.dtype=float32", "mllm.lora_rank=2",
            "mllm.tiny.width=32", "mllm.tiny.layers=2", "mllm.tiny.heads=2", "mllm.tiny.vision_width=32",
            "mllm.tiny.vision_layers=1", "encoder.width=16", "encoder.depth=2", "encoder.stride=4",
            "fusion.bin_seconds=0.5", "fusion.anchor=true",
            *(f"data.{split}=[{small_set / split}.jsonl]" for split in ("train", "val", "test")),
            f"data.cache={small_set / 'cache'}", "data.frames=4", "data.size=56", "data.pose_fps=16",
            "data.questions_per_sequence=2",
            "train.steps=12", "train.val_every=4", "train.batch_size=2", "train.warmup=2", "train.lr=0.01",
            "test.probes=[none,shuffle,no_video,text_only]", "test.batch_size=4", "test.max_new_tokens=4", *more,
        ]  # fmt: skip

    return make


@pytest.fixture(scope="session")
def configure(arguments):
    """configure(name, key=value...): the same as a configuration."""
    return lambda name, *more: load_config(TrainConfig, arguments(name, *more))


@pytest.fixture(scope="session")
def whole(configure):
    """(config, folder) of an uninterrupted run with frozen parts and LoRA, so with dropout."""
    config = configure("whole")
    return config, train(config)


@pytest.fixture(scope="session", autouse=True)
def _numbers_in_words():
    """SmolVLM's processor writes the number of frames with the package num2words, which may not be here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("transformers.models.smolvlm.processing_smolvlm.num2words", str)
        yield


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """folder(family): the saved model of a family, built once."""
    root = tmp_path_factory.mktemp("families")
    sizes = TinyConfig(width=32, layers=2, heads=2, vision_width=32, vision_layers=1)

    @cache
    def saved(family: str) -> Path:
        if family != "tiny":
            return build_family(family, root / family, FAMILY_TEXTS)
        model = load_model(MLLMConfig(path=str(build_tiny(root / family, FAMILY_TEXTS, sizes, 0))))
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            torch.manual_seed(0)
            for parameter in model.parameters():  # as loud as the others, so that everything has an effect
                parameter.normal_(std=0.2) if parameter.ndim > 1 else None
        model.save_pretrained(root / family)
        return root / family

    return saved


@pytest.fixture(scope="session")
def load(folder, tiny_config):
    """load(family, fusion={...}, mllm={...}) -> (model in eval mode, collator), with joint tokens as the family has them;
    the plain ones are loaded once."""

    @cache
    def plainly(family):
        return fresh(family)

    def built(family, fusion=None, mllm=None):
        return fresh(family, fusion, mllm) if fusion or mllm else plainly(family)

    def fresh(family, fusion=None, mllm=None):
        clocked = family in CLOCKED
        own = {"position": "time" if clocked else "text", "anchor": False}
        config = replace(
            tiny_config,
            mllm=MLLMConfig(
                **{"path": str(folder(family)), "freeze_vision": True, "freeze_language": True, **(mllm or {})}
            ),
            fusion=replace(tiny_config.fusion, **(own | (fusion or {}))),
        )
        model, collator = build(config, [])
        return model.eval(), collator

    return built
