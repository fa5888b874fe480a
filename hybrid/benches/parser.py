"""The parser of motion claims against the claims that a reader found in captions of HumanML3D.

A claim is right when limb, movement, direction, count, target and negation are those of a labelled claim of the same
caption; each labelled claim is found once. The captions are not stored here (their licence): `captions` is the file
that humanml3d_claims.json names. Part "tune" may be looked at while rules are written, part "report" may not.
"""

import hashlib
import json
from collections import Counter, defaultdict
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from hybrid.config.loading import field
from hybrid.errors import ConfigError, DataError
from hybrid.scoring.claims.read_claims import Claim, parse_claims
from hybrid.scoring.report import wilson

PARTS = ("tune", "report")
LABELS = Path(__file__).with_name("humanml3d_claims.json")


@dataclass
class ParserBench:
    """What `tools/bench.py parser` measures."""

    captions: str = field("test_captions.json of HumanML3D: a list of rows with their captions")
    output: str = field("file for the figures")
    part: str = field("tune or report", "tune")

    def check(self) -> None:
        if self.part not in PARTS:
            raise ConfigError(f"expected part to be one of {PARTS}, found {self.part!r}: choose one")


def measure(config: ParserBench) -> dict[str, Any]:
    """Figures over all captions of a part."""
    labelled = labels(config.part)
    texts = sentences(Path(config.captions), list(labelled))
    read = {key: written(parse_claims(text)) for key, text in texts.items()}
    return {
        "part": config.part,
        "captions_sha256": hashlib.sha256(Path(config.captions).read_bytes()).hexdigest(),
        **figures(labelled, read),
    }


def labels(part: str, path: Path = LABELS) -> dict[str, list[list[str]]]:
    """{id: steps of claims} of one part."""
    captions = json.loads(path.read_text(encoding="utf-8"))["captions"]
    return {key: entry["steps"] for key, entry in captions.items() if entry["part"] == part}


def sentences(path: Path, keys: list[str]) -> dict[str, str]:
    """{id: caption} of the ids ROW.K; DataError where the file is not the one that was labelled."""
    if not path.is_file():
        raise DataError(f"expected captions at {path}, found no file: give HumanML3D's test captions")
    rows = json.loads(path.read_text(encoding="utf-8"))
    try:
        return {key: rows[int(key.split(".")[0])]["captions"][int(key.split(".")[1])] for key in keys}
    except (IndexError, KeyError, TypeError) as error:
        raise DataError(
            f"expected the rows that {LABELS.name} names in {path}, found that one is missing ({error!r}): give the "
            "file that was labelled"
        ) from error


def written(claims: list[Claim]) -> list[list[str]]:
    """Claims in the form of the labels: greeting is waving, and only touching has a target."""
    steps: dict[int, list[str]] = defaultdict(list)
    for claim in claims:
        movement = "wave" if claim.movement == "greet" else claim.movement
        target = claim.target if movement == "touch" else None
        parts = [claim.limb, movement, claim.direction or "", str(claim.count or ""), target or ""]
        steps[claim.step].append(("not " if claim.negated else "") + "|".join(parts).rstrip("|"))
    return [steps[step] for step in sorted(steps)]


def figures(labelled: dict[str, list[list[str]]], read: dict[str, list[list[str]]]) -> dict[str, Any]:
    """Precision, recall and order agreement of `read` against `labelled`, both {id: steps of claims}."""
    wanted, found, right = Counter(), Counter(), Counter()
    agreeing = pairs = whole = 0
    for key, steps in labelled.items():
        truth, said = _places(steps), _places(read[key])
        matched = [(a, b) for claim in truth for a, b in zip(truth[claim], said.get(claim, []), strict=False)]
        for counter, places in ((wanted, truth), (found, said)):
            for claim, where in places.items():
                counter[_movement(claim)] += len(where)
        for claim in truth:
            right[_movement(claim)] += min(len(truth[claim]), len(said.get(claim, [])))
        for (a, b), (c, d) in combinations(matched, 2):
            pairs += 1
            agreeing += (a > c) - (a < c) == (b > d) - (b < d)
        whole += [sorted(step) for step in steps] == [sorted(step) for step in read[key]]
    hits, n_found, n_wanted = right.total(), found.total(), wanted.total()
    return {
        "precision": hits / n_found if n_found else None,
        "precision_ci95": wilson(hits, n_found),
        "recall": hits / n_wanted if n_wanted else None,
        "recall_ci95": wilson(hits, n_wanted),
        "order_agreement": agreeing / pairs if pairs else None,
        "n_pairs": pairs,
        "n_captions": len(labelled),
        "n_labelled": n_wanted,
        "n_read": n_found,
        "captions_all_right": whole / len(labelled) if labelled else None,
        "movements": {
            name: {"labelled": wanted[name], "read": found[name], "right": right[name]}
            for name in sorted(set(wanted) | set(found))
        },
    }


def _places(steps: list[list[str]]) -> dict[str, list[int]]:
    """{claim: the steps it stands in}."""
    places: dict[str, list[int]] = defaultdict(list)
    for number, step in enumerate(steps):
        for claim in step:
            places[claim].append(number)
    return places


def _movement(claim: str) -> str:
    return claim.split("|")[1]
