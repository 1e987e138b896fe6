"""Reads the items of feeds of any kind."""

from __future__ import annotations

import csv
import io
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path

FIELDS = ["kind", "page", "number", "note"]
Item = tuple[str, ...]


class Corrupt(AssertionError):
    """A feed that cannot be read."""


def read_items(path: Path) -> Counter[Item]:
    """The items of a feed of any kind, each as the texts of its fields.

    :raises Corrupt: if any line of it is not what it should be.
    """
    text = path.read_text(encoding="utf-8")
    readers: dict[str, Callable[[str], list[dict[str, object]]]]
    readers = {".jsonl": _json_lines, ".json": json.loads, ".csv": _csv_rows}
    try:
        found = readers[path.suffix](text)
        assert all(list(item) == FIELDS for item in found), "fields"
    except (ValueError, AssertionError, csv.Error, TypeError) as error:
        raise Corrupt(f"{path}: {error}") from error
    return Counter(tuple(str(value) for value in item.values()) for item in found)


def _json_lines(text: str) -> list[dict[str, object]]:
    assert not text or text.endswith("\n"), "the last line is cut off"
    return [json.loads(line) for line in text.split("\n")[:-1]]


def _csv_rows(text: str) -> list[dict[str, object]]:
    header, *rows = csv.reader(io.StringIO(text, newline=""), strict=True)
    assert header == FIELDS, "header"
    assert all(len(row) == len(FIELDS) for row in rows), "a row is cut off"
    return [dict(zip(header, row, strict=True)) for row in rows]
