"""Imports go downward only: roof, doors, hall, storeroom and rules, words."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import scrapy_t8

ROOT = Path(scrapy_t8.__file__).parent
HALL = [
    *("guard", "care", "closing", "unstorable", "outputs", "tasks", "resume", "points", "deadletters", "opening"),
    *("seen", "spawned", "queuebook"),
    *("burials", "integrity", "frontier", "commits", "states", "queues", "parking", "retries", "handlers", "waiting"),
    *("vigil", "failures", "itemflow", "job", "inflight"),
]
"""Each imports only those before it."""
FLOORS = [
    {"documents", "errors", "itemmodel", "model", "signals"},
    {
        *(
            "breaker",
            "code",
            "codec",
            "config",
            "database",
            "failure",
            "freezing",
            "hashes",
            "identity",
            "joints",
            "layers",
            "page",
            "policy",
            "stores",
        ),
        *("notify", "places", "sqldatabase", "taskrecord", "threads", "track", "values"),
    },
    set(HALL),
    {
        "scheduler",
        "start",
        "checkpoint",
        "feeds",
        "retry",
        "mishaps",
        "spiders",
        "pipelines",
        "kept",
        "grace",
        "expecting",
        "service",
    },
    {"healing", "report"},
    {"entry"},
    {"commands"},
    {"addon"},
    {"__init__", "__main__"},
]
DOORS = FLOORS[3]


def room(path: Path) -> str:
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def floor(name: str) -> int:
    return next(number for number, rooms in enumerate(FLOORS) if name in rooms)


def imported(path: Path) -> set[str]:
    """The rooms that a module imports, by relative imports from the package's root."""
    depth = len(path.relative_to(ROOT).parts)
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level == depth:
            found |= {node.module.split(".")[0]} if node.module else {alias.name for alias in node.names}
    return found


def test_every_room_has_a_floor() -> None:
    for path in ROOT.rglob("*.py"):
        floor(room(path))


def test_imports_go_downward() -> None:
    for path in ROOT.rglob("*.py"):
        here = room(path)
        for there in imported(path) - {here}:
            assert floor(there) <= floor(here), f"{here} imports {there}"
            assert not {here, there} <= DOORS, f"the door {here} imports the door {there}"
            if {here, there} <= set(HALL):
                assert HALL.index(there) < HALL.index(here), f"{here} imports {there}"


def test_commands_go_through_no_door() -> None:
    for path in (ROOT / "commands").glob("*.py"):
        assert not imported(path) & DOORS, path


def test_nothing_above_the_store_knows_sql() -> None:
    for path in ROOT.rglob("*.py"):
        text = path.read_text(encoding="utf-8")
        if room(path) != "stores":
            assert "sqlite3" not in text, path


def test_private_names_of_scrapy_are_in_one_module() -> None:
    for path in ROOT.rglob("*.py"):
        if room(path) != "joints":
            assert "engine._" not in path.read_text(encoding="utf-8"), path


def test_the_package_loads_what_is_asked_for() -> None:
    """Scrapy imports it for each of its commands; and every name is where it is said to be."""
    code = "import sys, scrapy_t8; print([m for m in sys.modules if m.startswith('scrapy')])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "['scrapy_t8']"
    assert set(scrapy_t8.__all__) == set(scrapy_t8.HOMES)
    assert all(getattr(scrapy_t8, name) is not None for name in scrapy_t8.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        scrapy_t8.nothing  # noqa: B018
