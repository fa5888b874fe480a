"""From predictions to report.json: every accuracy beside its interval, chance and the best constant answer.

What the baselines mean, sample by sample (a row shows their mean):

| kind | right when | chance | majority: of the training split, always |
|---|---|---|---|
| choice | the index is right | 1 / number of options | the most frequent right text, else chance |
| count | equal | 1 / number of distinct training answers | the most frequent answer |
| interval | IoU >= 0.5 | share of training intervals that would be right | the interval right most often |
| text | equal up to case and punctuation | as count | as count |

Majority and chance are found for each task on its own; they are null where training samples are needed and
none are given. A missing or unparsable answer is wrong and counted. A sample counts once, however often its
prediction was written. Hidden answers are left out and counted.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from hybrid.data.sample import Answer, Sample
from hybrid.errors import DataError
from hybrid.scoring.answers import normalize, parse_answer, temporal_iou
from hybrid.scoring.baselines import RIGHT_IOU, Baseline, baselines


@dataclass(frozen=True)
class Outcome:
    """What one prediction is worth."""

    sample: Sample
    right: bool
    chance: float | None
    majority: float | None
    missing: bool = False
    unparsable: bool = False
    distance: int | None = None  # of counts
    iou: float = 0.0  # of intervals


def score(
    predictions: Iterable[Mapping[str, Any]],
    samples: Iterable[Sample],
    train_samples: Iterable[Sample] = (),
    *,
    benchmark: str = "",
    config_hash: str = "",
) -> dict[str, Any]:
    """The report of `predictions` (lines of predictions.jsonl) on `samples`, as plain JSON types.

    A prediction needs `id` and one of `prediction` (parsed) and `text` (parsed here); `probe` names the
    counterfactual run it belongs to, null being the plain run. Samples without a prediction are missing.

    Raises: DataError for a prediction of an unknown id, or whose `answer` is not the sample's.
    """
    known = {sample.id: sample for sample in samples}
    scored = [sample for sample in known.values() if sample.kind != "hidden"]
    runs: dict[str | None, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for line in predictions:
        _check(line, known)
        runs[line.get("probe")].setdefault(line["id"], line)
    guesses = baselines(scored, list(train_samples))
    plain = _run(runs.pop(None, {}), scored, guesses)
    return {
        "benchmark": benchmark,
        "config_hash": config_hash,
        "hidden": len(known) - len(scored),
        **plain,
        "probes": {probe: _run(lines, scored, guesses) for probe, lines in sorted(runs.items())},
    }


def is_right(prediction: Answer | list, sample: Sample) -> bool:
    """Whether a parsed prediction is right; see the module's table."""
    if prediction is None or sample.kind == "hidden":
        return False
    if sample.kind == "interval":
        return bool(temporal_iou(prediction, sample.answer) >= RIGHT_IOU)
    if sample.kind == "text":
        return normalize(str(prediction)) == normalize(sample.answer)
    return int(prediction) == int(sample.answer)


def prediction_of(line: Mapping[str, Any] | None, sample: Sample) -> Answer | list:
    """The parsed answer of a prediction line: its `prediction`, else what its `text` says, else None."""
    if line is None or line.get("prediction") is not None:
        return line and line["prediction"]
    return parse_answer(line["text"], sample) if line.get("text") else None


def wilson(successes: float, n: int) -> list[float]:
    """The 95 % Wilson interval of a share; [0, 1] without samples."""
    if n == 0:
        return [0.0, 1.0]
    z = 1.959963984540054
    share = successes / n
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * (share * (1 - share) / n + z * z / (4 * n * n)) ** 0.5
    return [max(0.0, middle - half), min(1.0, middle + half)]


def _check(line: Mapping[str, Any], known: Mapping[str, Sample]) -> None:
    sample = known.get(line.get("id"))
    if sample is None:
        raise DataError(
            f"expected predictions of the samples given, found the id {line.get('id')!r}; "
            "score with the samples that were tested"
        )
    answer = line.get("answer")
    answer = tuple(answer) if isinstance(answer, list) else answer
    if "answer" in line and answer != sample.answer:
        raise DataError(
            f"expected the answer {sample.answer!r} in the prediction of {sample.id!r}, found {answer!r}; "
            "the samples changed since the test: test again"
        )


def _run(lines: Mapping[str, Mapping], samples: list[Sample], guesses: dict[str, Baseline]) -> dict[str, Any]:
    """The part of the report that the plain run and each probe share."""
    outcomes = [_outcome(lines.get(sample.id), sample, guesses[sample.id]) for sample in samples]
    tasks = defaultdict(list)
    for outcome in outcomes:
        tasks[outcome.sample.task].append(outcome)
    rows = {task: _row(group) for task, group in sorted(tasks.items())}
    whole = _row(outcomes)
    binding = [outcome for outcome in outcomes if outcome.sample.meta.get("binding")]
    return {
        "n": whole["n"],
        "missing": whole["missing"],
        "unparsable": whole["unparsable"],
        "tasks": rows,
        **{f"macro_{key}": _mean(row[key] for row in rows.values()) for key in ("accuracy", "chance", "majority")},
        "micro_accuracy": whole["accuracy"],
        "micro_ci95": whole["ci95"],
        "binding": _row(binding) if binding else None,
    }


def _outcome(line: Mapping | None, sample: Sample, baseline: Baseline) -> Outcome:
    prediction = prediction_of(line, sample)
    words = line is not None and bool(line.get("text"))
    distance, iou = None, 0.0
    if prediction is not None:
        try:
            right = is_right(prediction, sample)
            iou = float(temporal_iou(prediction, sample.answer)) if sample.kind == "interval" else 0.0
            distance = _distance(prediction, sample)
        except (TypeError, ValueError, IndexError) as error:
            found = f"for {sample.id!r}, found {prediction!r}"
            raise DataError(f"expected a prediction of kind {sample.kind} {found}; test again") from error
    return Outcome(
        sample,
        right=prediction is not None and right,
        chance=baseline[0],
        majority=baseline[1],
        missing=prediction is None and not words,
        unparsable=prediction is None and words,
        distance=distance,
        iou=iou,
    )


def _distance(prediction: Answer, sample: Sample) -> int | None:
    """How far a count is off; options count too when all of them are numbers."""
    if sample.kind == "count":
        return abs(int(prediction) - int(sample.answer))
    if sample.kind == "choice" and all(option.isdecimal() for option in sample.options):
        return abs(int(sample.options[int(prediction)]) - int(sample.options[sample.answer]))
    return None


def _row(outcomes: list[Outcome]) -> dict[str, Any]:
    n, right = len(outcomes), sum(outcome.right for outcome in outcomes)
    chance = _mean(outcome.chance for outcome in outcomes)
    majority = _mean(outcome.majority for outcome in outcomes)
    row = {
        "n": n,
        "accuracy": right / n if n else None,
        "ci95": wilson(right, n),
        "chance": chance,
        "majority": majority,
        "majority_ci95": None if majority is None else wilson(majority * n, n),
        "missing": sum(outcome.missing for outcome in outcomes),
        "unparsable": sum(outcome.unparsable for outcome in outcomes),
    }
    counts = [outcome for outcome in outcomes if _is_count(outcome.sample)]
    if counts:
        distances = [outcome.distance for outcome in counts if outcome.distance is not None]
        row["within_one"] = sum(distance <= 1 for distance in distances) / len(counts)
        row["mean_absolute_error"] = fmean(distances) if distances else None
    intervals = [outcome.iou for outcome in outcomes if outcome.sample.kind == "interval"]
    if intervals:
        row["r_at_0.3"] = fmean(iou >= 0.3 for iou in intervals)
        row["r_at_0.7"] = fmean(iou >= 0.7 for iou in intervals)
        row["mean_iou"] = fmean(intervals)
    groups = defaultdict(list)
    for outcome in outcomes:
        if outcome.sample.group is not None:
            groups[outcome.sample.group].append(outcome.right)
    if groups:
        row["groups"] = len(groups)
        row["group_accuracy"] = fmean(all(rights) for rights in groups.values())
    return row


def _is_count(sample: Sample) -> bool:
    numbers = sample.kind == "choice" and all(option.isdecimal() for option in sample.options)
    return sample.kind == "count" or numbers


def _mean(values: Iterable[float | None]) -> float | None:
    values = list(values)
    return None if not values or None in values else fmean(values)
