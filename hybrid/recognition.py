"""Training and testing of action recognition: what tools/train.py and tools/test.py do for `kind: recognition`."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning import Trainer, seed_everything
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint, TQDMProgressBar, WeightAveraging
from torch.nn import functional
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader
from tqdm import tqdm

from hybrid.build import read_checkpoint
from hybrid.config.loading import config_hash
from hybrid.config.recognition import RecognitionConfig
from hybrid.data.labelled_skeletons import ActionRows, Actions, Shuffled, collate_rows, load_actions, loader_of
from hybrid.data.sample import Sample
from hybrid.errors import CheckpointError, DataError
from hybrid.loggers import make_loggers
from hybrid.models.recognizer import Recognizer, make_encoder
from hybrid.modules.recognition import RecognitionModule, ready
from hybrid.run_folder import RunFolder, commit, read_jsonl, write_json, write_jsonl
from hybrid.scoring.html import render
from hybrid.scoring.report import score
from hybrid.training import resume_from
from skeleton.augmentation import CORRUPTIONS
from skeleton.files import atomic
from skeleton.formats.common import Clip
from skeleton.transforms import SkeletonBatch

QUESTION = "What does the person do?"
VOTE = 0.07  # temperature of a neighbour's vote


def make_module(config: RecognitionConfig, actions: Actions) -> RecognitionModule:
    """The network that a configuration asks for, with the weights of train.start."""
    torch.manual_seed(config.seed)
    encoder = make_encoder(config, actions.layout, actions.coordinates)
    module = RecognitionModule(Recognizer(encoder, len(actions.classes), config.train.dropout), config)
    if config.train.start not in (None, "random"):
        take_encoder(encoder, Path(config.train.start))
    return module


def take_encoder(encoder: torch.nn.Module, path: Path) -> None:
    """The weights of an encoder from a checkpoint of recognition or pre-training. Raises CheckpointError."""
    state = read_checkpoint(path).get("state_dict") or {}
    prefixes = ("recognizer.encoder.", "encoder.")
    found = {
        key.removeprefix(prefix): value for prefix in prefixes for key, value in state.items() if key.startswith(prefix)
    }
    own = encoder.state_dict()
    other = [key for key in own if key not in found or found[key].shape != own[key].shape]
    if other:
        raise CheckpointError(
            f"expected the weights of this encoder in {path}, found none or another shape for {len(other)} of them, first "
            f"{other[0]}: give the encoder, stream and layout that the checkpoint was trained with"
        )
    encoder.load_state_dict({key: found[key] for key in own})


def train(config: RecognitionConfig) -> RunFolder:
    """Train one run, or go on with it; returns its folder."""
    seed_everything(config.seed, verbose=False)
    folder = RunFolder.create(config.output, config.name)
    checkpoint, step = resume_from(config.train.resume, folder)
    actions = load_actions(config.data, config.seed)
    module = make_module(config, actions)
    size = sum(parameter.numel() for parameter in module.recognizer.encoder.parameters())
    print(
        f"run {config.name}: configuration {config_hash(config)}, commit {commit() or 'unknown'}\n"
        f"{len(actions.train)} training clips, {len(actions.val)} held out to choose the checkpoint; "
        f"{len(actions.classes)} classes\n"
        f"{config.encoder.name} over {actions.layout}, stream {config.stream}: {size:,} parameters",
        flush=True,
    )
    folder.describe(config)
    settings = config.train
    rows = ActionRows(
        actions.train,
        config.data.rows,
        config.data.max_persons,
        config.augment.crop,
        config.augment.uneven,
        config.seed,
    )
    loader = DataLoader(
        rows, settings.batch_size, sampler=Shuffled(rows), drop_last=len(rows) >= settings.batch_size,
        collate_fn=partial(collate_rows, layout=actions.layout),
    )  # fmt: skip
    averaging = [WeightAveraging(multi_avg_fn=get_ema_multi_avg_fn(settings.average))] if settings.average else []
    trainer = make_trainer(
        config, folder, step, len(loader), bool(actions.val), averaging, check_val_every_n_epoch=settings.val_every
    )
    trainer.fit(module, loader, loader_of(actions.val, config, actions.layout), ckpt_path=checkpoint, weights_only=True)
    if not actions.val:
        trainer.save_checkpoint(folder.checkpoint("best"), weights_only=False)
    return folder


def make_trainer(
    config: Any,
    folder: RunFolder,
    step: int,
    steps: int,
    validates: bool,
    callbacks: Sequence[Callback] = (),
    **options: Any,
) -> Trainer:
    """A Trainer that goes by epochs; it keeps the last one, and the one of the least validation loss. steps: of an epoch.

    The accuracy of a hundred clips is too coarse to choose by: on Penn Action it stood at 100 % after 12 epochs of 60.
    """
    kept = {"dirpath": folder.checkpoints, "enable_version_counter": False}
    saved = [ModelCheckpoint(filename="last", save_on_train_epoch_end=True, **kept)]
    if validates:
        saved.append(ModelCheckpoint(filename="best", monitor="val/loss", mode="min", **kept))
    return Trainer(
        default_root_dir=folder.path,
        precision=config.train.precision,
        devices=config.train.devices,
        logger=make_loggers(folder, step),
        callbacks=[*callbacks, *saved, LearningRateMonitor("step"), TQDMProgressBar(refresh_rate=10)],
        max_epochs=config.train.epochs,
        gradient_clip_val=config.train.grad_clip or None,
        limit_val_batches=1.0 if validates else 0,
        num_sanity_val_steps=0,
        log_every_n_steps=min(10, steps),
        enable_model_summary=False,
        use_distributed_sampler=False,
        **options,
    )


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
