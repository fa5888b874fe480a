"""JSON and JSON Lines: read with the place of each fault, written whole or not at all."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from skeleton.errors import DataError
from skeleton.files import atomic


def write_json(path: str | Path, value: Any) -> None:
    """Write one JSON value, indented; NaN is refused, because JSON has none."""
    with atomic(path) as file:
        json.dump(value, file, indent=2, ensure_ascii=False, allow_nan=False)
        file.write("\n")


def write_jsonl(path: str | Path, values: Iterable[Any]) -> None:
    """Write one JSON value a line."""
    with atomic(path) as file:
        for value in values:
            file.write(json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


def read_jsonl(path: str | Path) -> list[Any]:
    """The values of a JSONL file. Raises: DataError naming file:line."""
    return [value for _, value in numbered_jsonl(path)]


def numbered_jsonl(path: str | Path) -> Iterator[tuple[int, Any]]:
    """(line number from 1, value) of each line that is not blank. Raises: DataError naming file:line."""
    path = Path(path)
    if not path.is_file():
        raise DataError(f"expected a JSONL file at {path}, found none; check the path")
    with path.open(encoding="utf-8") as file:
        try:
            for number, text in enumerate(file, start=1):
                text = text.removeprefix("\ufeff")  # a byte order mark, in joined files on any line
                if text.strip():
                    yield number, _parse(text, f"{path}:{number}")
        except UnicodeDecodeError as error:
            raise DataError(f"expected UTF-8 text in {path}, found {error.reason}; save it as UTF-8") from error


def _parse(text: str, place: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # not only of JSON's grammar: thousands of digits or brackets
        found = f"{error.msg} at column {error.colno}" if isinstance(error, json.JSONDecodeError) else error
        raise DataError(f"{place}: expected JSON, found {found}; mend that line") from error
