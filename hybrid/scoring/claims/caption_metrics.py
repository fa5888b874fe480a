"""What captions of a test claim, checked against the events of their clips: "captions" of report.json.

A caption is the answer to a sample of task "caption" with a text answer. Its events are, in this order, those written
beside a made data set (truth/events.jsonl next to the folder of the skeleton, found by meta["clip"]) or those
computed from the sample's skeleton; a sample with neither is left out and counted. Seconds that a caption tells are
those of the sample's own clock, which starts at `start`. A sample about one person is held against that person alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from hybrid.data.sample import Sample
from hybrid.scoring.claims.grounding import check_caption, score_captions
from skeleton.errors import SkeletonError
from skeleton.events.limb_event import LimbEvent, load_events
from skeleton.events.vocabulary import vocabulary
from skeleton.record import Skeleton

TASK = "caption"


def caption_figures(lines: Iterable[Mapping[str, Any]], samples: Iterable[Sample]) -> dict[str, Any] | None:
    """{"claims": figures} of the captions among `lines` (of predictions.jsonl, the plain run); None where no sample asks
    for one. A missing prediction is a silent caption."""
    asked = [
        sample
        for sample in samples
        if sample.task == TASK and sample.kind in ("text", "hidden") and sample.options is None
    ]
    if not asked:
        return None
    texts: dict[str, str] = {}
    for line in lines:
        if line.get("probe") is None:
            texts.setdefault(line["id"], line.get("text") or line.get("prediction") or "")
    groundings, without, truths = [], 0, {}
    for sample in asked:
        events, made = events_of(sample, truths)
        if events is None:
            without += 1
            continue
        movements = vocabulary().movements if made else None
        duration = sample.end - sample.start
        groundings.append(check_caption(texts.get(sample.id, ""), events, duration=duration, movements=movements))
    return {"claims": {**score_captions(groundings), "without_events": without}}


def events_of(sample: Sample, truths: dict[Path, dict] | None = None) -> tuple[list[LimbEvent] | None, bool]:
    """(events of the sample's person or of everybody, on the sample's clock; whether they are known and not computed).
    None where there is no file of events and no readable skeleton. truths keeps files of events once they are read."""
    if sample.skeleton is None:
        return None, False
    truth = Path(sample.skeleton).parent.parent / "truth" / "events.jsonl"
    truths = {} if truths is None else truths
    if truth not in truths:
        truths[truth] = load_events(truth) if truth.is_file() else {}
    events = truths[truth].get(sample.meta.get("clip"))
    made = events is not None
    if events is None:
        try:
            from skeleton.events.detectors import detect_events

            events = detect_events(Skeleton.load(sample.skeleton))
        except (SkeletonError, FileNotFoundError):
            return None, False
    chosen = [event for event in events if sample.person is None or event.person == sample.person]
    return [
        _shifted(event, sample.start) for event in chosen if event.end > sample.start and event.start < sample.end
    ], made


def _shifted(event: LimbEvent, seconds: float) -> LimbEvent:
    return replace(event, start=event.start - seconds, end=event.end - seconds)
