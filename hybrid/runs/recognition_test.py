"""Action recognition tested: class scores of the test clips, sums over runs, votes of neighbours, and the report."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch.nn import functional
from tqdm import tqdm

from hybrid.config.loading import config_hash
from hybrid.config.recognition import RecognitionConfig
from hybrid.data.labelled_skeletons import Actions, load_actions, loader_of
from hybrid.data.sample import Sample
from hybrid.errors import CheckpointError, DataError
from hybrid.models.recognizer import Recognizer
from hybrid.modules.recognition import ready
from hybrid.runs.checkpoints import read_checkpoint
from hybrid.runs.recognition_train import make_module
from hybrid.runs.run_folder import RunFolder
from hybrid.scoring.html import render
from hybrid.scoring.report import score
from skeleton.files import atomic
from skeleton.formats.common import Clip
from skeleton.inputs.augmentation import CORRUPTIONS
from skeleton.inputs.batch import SkeletonBatch
from skeleton.jsonl import read_jsonl, write_json, write_jsonl

QUESTION = "What does the person do?"
VOTE = 0.07  # temperature of a neighbour's vote


def answer(config: RecognitionConfig, folder: RunFolder) -> None:
    """Write predictions.jsonl: the scores of every test clip, clean and with every probe."""
    if config.test.members:
        RunFolder.create(config.output, config.name).describe(config)
        write_jsonl(folder.predictions, together([Path(member) for member in config.test.members], config.test.weights))
        return
    unknown = sorted(set(config.test.probes) - set(CORRUPTIONS))
    if unknown:
        raise DataError(f"expected probes among {', '.join(CORRUPTIONS)}, found {unknown[0]}: correct test.probes")
    actions = load_actions(config.data, config.seed)
    module = make_module(config, actions)
    if config.test.neighbours:
        RunFolder.create(config.output, config.name).describe(config)
    else:
        state = read_checkpoint(folder.checkpoint(config.test.checkpoint)).get("state_dict") or {}
        if set(state) != set(module.state_dict()):
            raise CheckpointError(
                f"expected the weights of this run in {folder.path}, found others: test with its config.yaml"
            )
        module.load_state_dict(state)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    recognizer = module.recognizer.to(device).eval()
    scores_of = recognizer.forward
    if config.test.neighbours:
        scores_of = neighbours(recognizer, actions, config, device)
    lines = []
    for probe in [None, *config.test.probes]:
        random = torch.Generator().manual_seed(config.seed)
        place = iter(actions.test)
        for batch, _ in tqdm(loader_of(actions.test, config, actions.layout), desc=probe or "clean"):
            if probe:
                batch = CORRUPTIONS[probe](batch, config.test.probes[probe], random)
            with torch.inference_mode():
                scores = scores_of(ready(batch, config).to(device)).softmax(1).cpu()
            for row in scores:
                clip = next(place)
                line = {"id": clip.name, "prediction": int(row.argmax()), "answer": clip.label}
                lines.append(line | {"probe": probe, "scores": [round(value, 6) for value in row.tolist()]})
    write_jsonl(folder.predictions, lines)


def neighbours(
    recognizer: Recognizer, actions: Actions, config: RecognitionConfig, device: str
) -> Callable[[SkeletonBatch], torch.Tensor]:
    """Class scores [B, classes] by a vote of the nearest training clips, nearer ones counting more (Wu et al. 2018): the
    logarithm of each class's share, so that a softmax gives the shares."""

    def place(batch: SkeletonBatch) -> torch.Tensor:
        return functional.normalize(recognizer.features(batch), dim=1)

    with torch.inference_mode():
        loader = loader_of(actions.train, config, actions.layout)
        found = [(place(ready(batch, config).to(device)), labels) for batch, labels in loader]
    known, labels = (torch.cat(part) for part in zip(*found, strict=True))
    told = functional.one_hot(labels, len(actions.classes)).to(known)

    def scores(batch: SkeletonBatch) -> torch.Tensor:
        likeness, nearest = (place(batch) @ known.T).topk(min(config.test.neighbours, len(known)))
        votes = ((likeness - 1) / VOTE).exp()[..., None] * told[nearest]
        return (votes.sum(1) / votes.sum((1, 2))[:, None]).clamp(min=1e-9).log()

    return scores


def together(members: list[Path], weights: Sequence[float] = ()) -> list[dict[str, Any]]:
    """Lines of predictions whose scores are the weighted sums of those of run folders, such as those of four streams."""
    tables = [
        {(line["id"], line["probe"]): line for line in read_jsonl(RunFolder(folder).predictions)} for folder in members
    ]
    for folder, table in zip(members, tables, strict=True):
        if table.keys() != tables[0].keys():
            raise DataError(
                f"expected the same clips and probes in {folder} as in {members[0]}, found others: test both alike"
            )
    share = torch.tensor([*(weights or [1.0] * len(members))])
    lines = []
    for key, line in tables[0].items():
        scores = share @ torch.tensor([table[key]["scores"] for table in tables])
        lines.append(line | {"prediction": int(scores.argmax()), "scores": scores.tolist()})
    return lines


def report(config: RecognitionConfig, folder: RunFolder) -> dict[str, Any]:
    """Score predictions.jsonl; writes report.json and report.html. `new` is the score of the test clips of which the training
    clips hold no copy."""
    actions = load_actions(config.data, config.seed)
    lines = read_jsonl(folder.predictions)
    samples, known = (
        samples_of(actions.test, actions.classes),
        samples_of([*actions.train, *actions.val], actions.classes),
    )
    result = score(lines, samples, known, benchmark=config.data.file, config_hash=config_hash(config))
    copies = actions.copies()
    new = score([line for line in lines if line["id"] not in copies], [s for s in samples if s.id not in copies], known)
    result["new"] = {"copies": len(copies), **new["tasks"].get("action", {"n": 0, "accuracy": None})}
    if copies:
        others = f"; accuracy of the others {result['new']['accuracy']:.3f}" if result["new"]["n"] else ""
        print(f"{len(copies)} of {len(samples)} test clips are copies of training clips{others}")
    write_json(folder.report, result)
    with atomic(folder.page) as file:
        file.write(render(result, config.name, samples, lines))
    return result


def samples_of(clips: list[Clip], classes: list[str]) -> list[Sample]:
    """Clips as questions with all classes as options."""
    return [
        Sample(clip.name, QUESTION, "action", 0.0, max(float(clip.skeleton.timestamps[-1]), 1e-3), skeleton=clip.name,
               options=tuple(classes), answer=clip.label)
        for clip in clips
    ]  # fmt: skip
