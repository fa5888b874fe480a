"""The made set: the same bytes on any number of workers, sides right in every view, no answer in the text."""

from collections import Counter, defaultdict
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from hybrid.config.datasets import PrepareConfig
from hybrid.data.sample import read_samples
from hybrid.datasets.marionette.dataset import ask, clip_generator, make_clip, make_scene, prepare, skeletons
from hybrid.datasets.marionette.noise import THRESHOLD, hidden_joints, true_joints
from hybrid.errors import ConfigError, DataError
from skeleton.events.limb_event import load_events
from skeleton.language.answer_balance import balance
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton
from skeleton.video import probe

CONFIG = PrepareConfig(output="unused", clips=6, val_clips=2, test_clips=4, workers=1, size=64)
LAYOUT = get_layout("coco17")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    config = replace(CONFIG, output=str(tmp_path_factory.mktemp("marionette") / "one"))
    return config, prepare(config)


def content(folder):
    files = [path for path in folder.rglob("*") if path.is_file() and path.suffix in (".npz", ".jsonl")]
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


def test_two_workers_make_the_same_bytes(made, tmp_path):
    config, info = made
    other = replace(config, output=str(tmp_path / "two"), workers=2)
    assert prepare(other)["splits"] == info["splits"]
    first, second = (content(Path(folder)) for folder in (config.output, other.output))
    assert len(first) == 2 * 12 + 4 and first == second


def test_a_finished_set_is_only_read_and_another_is_refused(made):
    config, info = made
    calls = []
    assert prepare(config, lambda done, total: calls.append(done)) == info and not calls
    with pytest.raises(DataError, match=r"hold nothing or a set made with \{'seed': 5\}, found \{'seed': 0\}"):
        prepare(replace(config, seed=5))


def test_an_interrupted_run_goes_on(made, tmp_path):
    config, _ = made
    again = replace(config, output=str(tmp_path / "again"))
    for name in ("clips", "skeletons", "truth", ".parts"):
        (tmp_path / "again" / name).mkdir(parents=True)
    make_clip(again, "train", 0)
    video = tmp_path / "again" / "clips" / "train_00000.mp4"
    written = video.stat().st_mtime_ns
    prepare(again)
    assert video.stat().st_mtime_ns == written
    assert content(tmp_path / "again") == content(Path(config.output))
    assert not (tmp_path / "again" / ".parts").exists()


def test_files_agree_with_each_other(made):
    config, info = made
    folder = Path(config.output)
    events = load_events(folder / "truth" / "events.jsonl")
    assert len(events) == 12
    for split, figures in info["splits"].items():
        samples = read_samples(folder / f"{split}.jsonl")
        assert len(samples) == figures["questions"] == sum(figures["tasks"].values())
        assert [sample.id for sample in samples] == sorted(sample.id for sample in samples)
        for sample in samples:
            video, skeleton = probe(sample.video), Skeleton.load(sample.skeleton)
            assert (video.height, video.width) == skeleton.frame_size == (64, 64)
            assert video.num_frames == skeleton.num_frames
            assert video.duration == pytest.approx(sample.end, abs=0.01)
            assert skeleton.num_persons == sample.meta["persons"] and sample.person in skeleton.track_ids
            assert {event.person for event in events[sample.meta["clip"]]} <= set(skeleton.track_ids.tolist())
        told = [sample for sample in samples if sample.task == "caption"]
        assert bool(told) == (split == "train")  # captions teach, and are not measured
        for sample in told:
            name = f"the person in {sample.meta['look']}" if sample.meta["binding"] else "the person"
            assert sample.question == f"What does {name} do?" and sample.answer.startswith(f"{name} ")
    truth = Skeleton.load(folder / "truth" / "train_00000.npz")
    assert truth.keypoints.shape[-1] == 3 and truth.visible.all()


@pytest.mark.parametrize(("view", "left_is"), [("front", 1), ("back", -1)])
def test_left_and_right_in_the_picture(view, left_is):
    """Facing the camera, a person's left is to the right of the picture; seen from the back, to the left."""
    found = []
    for number in range(60):
        scene = make_scene(CONFIG, "train", number)
        for person in scene.persons:
            lying = any(move.event.movement == "lie" for move in person.moves)
            if person.view == view and not lying:
                shoulders = [scene.camera.project(person.joints[f"{side}_shoulder"])[0] for side in ("left", "right")]
                found.append(np.median((shoulders[0] - shoulders[1])[:, 0]) * left_is)
    assert len(found) >= 5 and min(found) > 0


def test_side_views_show_the_named_side_nearer():
    for number in range(60):
        scene = make_scene(CONFIG, "train", number)
        for person in scene.persons:
            if person.view in ("left", "right") and not any(move.event.movement == "lie" for move in person.moves):
                hips = {side: person.joints[f"{side}_hip"] for side in ("left", "right")}
                depth = {side: scene.camera.project(points)[1].mean() for side, points in hips.items()}
                assert min(depth, key=depth.get) == person.view


def test_noise_is_that_of_an_estimator():
    errors, exchanged, confidence = [], [], {True: [], False: []}
    for number in range(40):
        scene = make_scene(replace(CONFIG, size=128), "train", number)
        noisy, true = skeletons(scene, np.random.default_rng(number), "x")
        projected = [scene.camera.project(person) for person in true_joints(scene)]
        pixels, depth = (np.stack(parts) for parts in zip(*projected, strict=True))
        straight = np.linalg.norm(noisy.keypoints - pixels, axis=-1).mean(-1)
        crossed = np.linalg.norm(noisy.keypoints - pixels[:, :, LAYOUT.mirror], axis=-1).mean(-1)
        exchanged.append(crossed < straight)
        errors.append(np.where(crossed < straight, crossed, straight))
        hidden = hidden_joints(scene, pixels, depth)
        for value in (True, False):
            confidence[value].append(noisy.confidence[hidden == value])
        np.testing.assert_array_equal(noisy.visible, noisy.confidence >= THRESHOLD)
        assert true.keypoints.shape == (*noisy.keypoints.shape[:3], 3)
    assert 0.3 < np.median(np.concatenate([rows.ravel() for rows in errors])) < 1.2  # pixels, persons of 50 to 84
    assert 0.01 < np.concatenate([rows.ravel() for rows in exchanged]).mean() < 0.06
    hidden, seen = (np.concatenate(confidence[value]) for value in (True, False))
    assert hidden.mean() < seen.mean() - 0.2 and (seen < THRESHOLD).mean() < 0.06


@pytest.fixture(scope="module")
def asked():
    """Balanced questions of 500 train and 250 test scenes that are never drawn."""
    result = {}
    for split, count in (("train", 500), ("test", 250)):
        questions = []
        for number in range(count):
            questions += ask(make_scene(CONFIG, split, number), clip_generator(0, split, number, "questions"))
        chosen = balance(questions, np.random.default_rng(0), round(7 * count / 8))
        result[split] = [questions[i] for i in chosen]
    return result


def test_yield_and_balance(asked):
    tasks = Counter(question.task for question in asked["test"])
    assert min(tasks.values()) > 0.42 * 250 and len(asked["test"]) > 4.5 * 250
    assert sum(question.binding for question in asked["test"]) > len(asked["test"]) / 3
    for split in asked:
        families = defaultdict(Counter)
        for question in asked[split]:
            families[question.family][question.key] += 1
        assert all(len(set(keys.values())) == 1 for keys in families.values())
    constant = Counter(question.answer_text for question in asked["train"] if question.options)
    for task in tasks:
        members = [question for question in asked["test"] if question.task == task and question.options]
        best = [sum(question.answer_text == text for question in members) for text in constant]
        assert not members or max(best) <= 0.27 * len(members)


def test_text_alone_scores_chance(asked):
    """A linear model over the words of question and options, trained on train, is at chance on test."""
    torch.manual_seed(0)

    def features(question):
        words = set(question.text.strip("?").split())
        every = [set(option.split()) for option in question.options]
        shared = Counter(word for option in every for word in option)
        for option in every:
            yield [
                *(f"{question.task} {word}" for word in option),
                *(f"{question.task} {word} {other}" for word in option for other in words),
                f"{question.task} {sorted(shared[word] for word in option)}",
            ]

    names: dict[str, int] = {}
    tables = {}
    for split in ("train", "test"):
        members = [question for question in asked[split] if question.options]
        rows = [[names.setdefault(name, len(names)) for name in option] for q in members for option in features(q)]
        starts = np.cumsum([0, *map(len, rows[:-1])])
        answers = torch.tensor([question.answer for question in members])
        tables[split] = (torch.tensor([i for row in rows for i in row]), torch.tensor(starts), answers, members)
    weight = torch.zeros(len(names), 1, requires_grad=True)
    optimizer = torch.optim.Adam([weight], 0.02)

    def scores(split):
        indices, starts, _, _ = tables[split]
        return torch.nn.functional.embedding_bag(indices, weight, starts, mode="sum").view(-1, 4)

    for _ in range(80):
        loss = torch.nn.functional.cross_entropy(scores("train"), tables["train"][2]) + 2e-3 * weight.square().sum()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    right = (scores("test").argmax(1) == tables["test"][2]).numpy()
    assert len(right) > 800 and abs(right.mean() - 0.25) < 0.045
    for task in {question.task for question in tables["test"][3]}:
        of_task = np.array([question.task == task for question in tables["test"][3]])
        assert right[of_task].mean() < 0.25 + 3.3 * np.sqrt(0.1875 / of_task.sum()), task


def test_config_errors():
    with pytest.raises(ConfigError, match="expected clips to be at least 1, found 0"):
        replace(CONFIG, clips=0).check()
    with pytest.raises(ConfigError, match=r"expected an even size .* found 65"):
        replace(CONFIG, size=65).check()
    with pytest.raises(ConfigError, match=r"expected fps in 10..60 .* found 5"):
        replace(CONFIG, fps=5).check()
    with pytest.raises(ConfigError, match="expected val_clips to be at least 1 or null, found 0"):
        replace(CONFIG, val_clips=0).check()
    assert PrepareConfig(output="x", clips=300).counts == {"train": 300, "val": 30, "test": 440}
