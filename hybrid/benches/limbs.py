"""Which arm moves, on motion capture whose file names say it: clips of raised and waving hands of an .npz of captures.

The name of a clip gives the limb independently of this code, and no threshold was set on these captures. An arm is
the mover when it is told to move for longer than the other; both are, when an event says so or when the shorter
time is more than half of the longer. In 2D each clip is seen from eight sides with the estimator's noise and a tenth
of the rows with left and right exchanged. A view counts where the named arm can be seen: its wrist is not behind
the trunk in at least half of the rows.
"""

import re
import zlib
from collections import defaultdict
from dataclasses import dataclass
from typing import Any

import numpy as np
from tqdm import tqdm

from hybrid.config.loading import field
from hybrid.datasets.mocap_views import look
from hybrid.errors import DataError
from hybrid.scoring.report import wilson
from skeleton.events.detectors import detect_events
from skeleton.events.kinematics import SIDES
from skeleton.events.limb_event import LimbEvent
from skeleton.formats.mocap import read_captures, to_record
from skeleton.layouts.layout import get_layout
from skeleton.record import Skeleton

NAMED = re.compile(r"(?:raise-up|wave)-(left|right|both)-hands?")
VIEWS = tuple(range(0, 360, 45))  # degrees from the front, to the left
FRAME_SIZE = (480, 640)
SWAPPED = 0.10
BEHIND = 0.78  # of the usual confidence, below which the noise model has put a joint behind the trunk or missed it


@dataclass
class LimbsBench:
    """Keys of `tools/bench.py limbs`."""

    file: str = field(".npz of captures with names such as raise-up-left-hand, as bandai_namco.npz")
    output: str = field("JSON file of the figures")
    every: int = field("take every n-th clip only, for a quick look", 1)


def measure(config: LimbsBench) -> dict[str, Any]:
    """Shares of clips, and of clips and views, in which the named limb is the mover."""
    captures = read_captures(config.file)
    named = [(name, NAMED.search(content or ""), load) for name, content, load in captures.clips]
    named = [(name, match[1], load) for name, match, load in named if match][:: config.every]
    if not named:
        raise DataError(
            f"expected clips whose content is like raise-up-left-hand in {config.file}, found none: take another"
        )
    solid: list[bool] = []
    views: dict[int, list[bool]] = defaultdict(list)
    unseen = 0
    up = captures.up()
    for name, limb, load in tqdm(named, unit="clip"):
        record = to_record(load(), name, up=up, stand=True)
        solid.append(mover(detect_events(record)) == limb)
        for degrees in VIEWS:
            rng = np.random.default_rng([zlib.crc32(name.encode()), degrees])
            estimate, _ = look(record, float(degrees), FRAME_SIZE, SWAPPED, rng, rng)
            if not shown(estimate, limb):
                unseen += 1
                continue
            views[degrees].append(mover(detect_events(estimate)) == limb)
    flat = [right for results in views.values() for right in results]
    return {
        "clips": len(solid),
        "right_3d": float(np.mean(solid)),
        "right_ci95_3d": wilson(sum(solid), len(solid)),
        "views": len(flat),
        "views_unseen": unseen,
        "right_2d": float(np.mean(flat)),
        "right_ci95_2d": wilson(sum(flat), len(flat)),
        "by_view": {str(degrees): [sum(results), len(results)] for degrees, results in sorted(views.items())},
    }


def mover(events: list[LimbEvent]) -> str | None:
    """left, right, both, or None where no arm is told to move."""
    seconds = {
        side: sum(event.end - event.start for event in events if event.limb in (f"{side} arm", "both arms"))
        for side in SIDES
    }
    less, more = sorted(seconds.values())
    if more == 0:
        return None
    if any(event.limb == "both arms" for event in events) or less > 0.5 * more:
        return "both"
    return max(seconds, key=seconds.get)


def shown(estimate: Skeleton, limb: str) -> bool:
    """Whether the wrists of the named arm are seen in at least half of the rows."""
    sides = SIDES if limb == "both" else (limb,)
    wrists = [get_layout(estimate.layout).index(f"{side}_wrist") for side in sides]
    usual = np.median(estimate.confidence[estimate.visible])
    return bool((estimate.confidence[0][:, wrists] >= BEHIND * usual).mean(0).min() >= 0.5)
