"""Each problem of a crawl in docs/troubleshooting.md is reproduced, and each remedy is tried."""

from __future__ import annotations

import json
import resource
import shutil
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8.stores.sqlite.file import SCHEMA_VERSION
from tests.support.crawl import Crawl, Run

from .troubleshooting_page import Situation, check, no_power, quoted

pytestmark = pytest.mark.slow

PROJECT = Path(__file__).parent / "project"
STATE = Path("job/t8/state.db")
SITUATIONS: dict[str, Situation] = {}


def situation(trouble: str) -> Callable[[Situation], Situation]:
    def note(function: Situation) -> Situation:
        SITUATIONS[trouble] = function
        return function

    return note


@pytest.mark.parametrize("trouble", [trouble for trouble, side in quoted() if side == "crawl"])
def test_the_page_quotes_what_is_said(trouble: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    check(trouble, "crawl", SITUATIONS[trouble](tmp_path))


def test_all_situations_are_on_the_page() -> None:
    assert set(SITUATIONS) == {trouble for trouble, side in quoted() if side == "crawl"}


def crawl_of(feed: str = "-o") -> Crawl:
    made = Crawl(PROJECT, None, Path.cwd(), "cars")
    made.feeds = (feed, "items.jsonl")
    return made


def crawl(*, feed: str = "-o", fresh: bool = False, **more: Any) -> Run:
    made = crawl_of(feed)
    made.fresh = fresh
    return made.run(**more)


def killed() -> None:
    """Leave a job that was killed half-way."""
    crawl_of().killed("30")


def refused(**options: Any) -> str:
    """Run a crawl that does not begin, and return its log."""
    done = crawl(**options)
    assert done.code == 1, done.log
    assert "Traceback" not in done.log
    assert "Spider opened" not in done.log
    return done.log


def finished(pages: int = 60, **options: Any) -> str:
    """Crawl to the end, check that every page stands in the feed once, and return the log."""
    done = crawl(**options)
    assert done.code == 0, done.log
    items = [json.loads(line)["page"] for line in Path("items.jsonl").read_text().splitlines()]
    assert sorted(items) == list(range(pages)), done.log
    return done.log


@situation("The state file is lost")
def lost(here: Path) -> str:
    killed()
    shutil.copytree("job", "backup")
    shutil.copy("items.jsonl", "backup.jsonl")
    STATE.unlink()
    logs = refused(feed="-O") + finished(feed="-O", T8_RESUME="fresh")
    restore()
    STATE.with_name("state.db-wal").unlink()
    logs += refused(feed="-O")
    finished(feed="-O", T8_RESUME="fresh")
    restore()
    finished()
    return logs


def restore() -> None:
    """Put job and feed back from the copy."""
    shutil.rmtree("job")
    shutil.copytree("backup", "job")
    shutil.copy("backup.jsonl", "items.jsonl")


@situation("The state file is damaged")
def damaged(here: Path) -> str:
    killed()
    STATE.write_bytes(b"Dear diary, " * 1000)
    logs = refused()
    logs += crawl(T8_RESUME="continue").log
    assert {json.loads(line)["page"] for line in Path("items.jsonl").read_text().splitlines()} == set(range(60))
    [aside] = STATE.parent.glob("state.db.damaged-*[0-9]")
    assert aside.read_bytes() == b"Dear diary, " * 1000
    return logs


@situation("The state file cannot be read or written")
def unreadable(here: Path) -> str:
    killed()
    STATE.chmod(0o000)
    logs = refused(before=no_power, fresh=True)
    STATE.chmod(0o600)
    finished(before=no_power, fresh=True)
    return logs


@situation("The state file is of another version")
def other_version(here: Path) -> str:
    killed()
    set_version(SCHEMA_VERSION - 1)
    logs = refused()
    set_version(SCHEMA_VERSION)  # the release that wrote it
    finished()
    return logs


def set_version(number: int) -> None:
    db = sqlite3.connect(STATE)
    db.execute(f"PRAGMA user_version = {number}")
    db.close()


@situation("The state is in use by another process")
def in_use(here: Path) -> str:
    first = crawl_of().start(switch="wait").until(Path("items.jsonl").exists)
    logs = refused()
    assert f"(pid {first.process.pid})" in logs
    first.kill()
    finished()
    return logs


def little_space() -> None:
    resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))


@situation("The disk is full")
def full_disk(here: Path) -> str:
    heavy = {"WEIGHT": "40000"}
    # Without the items, the log is below the limit.
    stopped = crawl(before=little_space, variables=heavy, LOG_LEVEL="INFO").log
    assert "Traceback" not in stopped
    finished(variables=heavy)
    return stopped


@situation("The start fails")
def no_start(here: Path) -> str:
    killed()
    logs = refused(T8_COMIT_INTERVAL=1) + refused(T8_COMMIT_INTERVAL="soon")
    logs += refused(colour="red")
    finished(T8_COMMIT_INTERVAL=1)
    return logs


@situation("Validation fails: items")
def bad_items(here: Path) -> str:
    logs = refused(T8_VALIDATOR="shop.NoSuchValidator")
    Path("keys").write_text("".join(f"{number}\n" for number in range(61)))
    done = crawl(T8_EXPECT_FILE="keys", T8_EXIT_STATUS="1")
    assert done.code == 3, done.log
    Path("keys").write_text("".join(f"{number}\n" for number in range(60)))
    shutil.rmtree("job")
    finished(feed="-O", T8_EXPECT_FILE="keys", T8_EXIT_STATUS="1")
    return logs + done.log


@situation("Debug logs")
def more_logs(here: Path) -> str:
    calm = finished(LOG_LEVEL="INFO")
    assert "DEBUG" not in calm
    shutil.rmtree("job")
    return finished(feed="-O", LOG_LEVEL="DEBUG")
