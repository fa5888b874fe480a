"""A CSV logger that keeps the rows of before an interruption (Lightning's own deletes them)."""

import csv
import io
from pathlib import Path

from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger
from lightning.pytorch.loggers.logger import Logger

from hybrid.runs.run_folder import RunFolder
from skeleton.files import atomic


def make_loggers(folder: RunFolder, resumed_step: int) -> list[Logger]:
    """metrics.csv and TensorBoard files in the run folder; rows up to `resumed_step` are kept, later ones replaced."""
    text = kept_rows(folder.metrics, resumed_step)
    logger = CSVLogger(folder.path.parent, name=folder.path.name, version="", flush_logs_every_n_steps=1)
    experiment = logger.experiment
    if text:
        experiment.metrics_keys = next(csv.reader(text.splitlines()))
        with atomic(folder.metrics) as file:
            file.write(text)
    return [logger, TensorBoardLogger(folder.path, name="tensorboard", version="")]


def kept_rows(path: Path, step: int) -> str:
    """The head and the rows of at most `step` of an earlier metrics.csv; empty for a fresh start."""
    if step == 0 or not path.is_file():
        return ""
    with path.open(newline="") as file:
        reader = csv.DictReader(file)
        rows = [row for row in reader if int(row["step"]) < step]
        names = reader.fieldnames or []
    kept = io.StringIO()
    writer = csv.DictWriter(kept, names, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return kept.getvalue()
