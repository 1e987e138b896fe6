"""Each trouble of a crawl on the page is brought about, and each way out is gone. Real processes, real kills."""

from __future__ import annotations

import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8.stores.sqlite.file import SCHEMA_VERSION

from .troubleshooting_page import Situation, check, no_power, quoted

pytestmark = pytest.mark.slow

SPIDER = Path(__file__).parent / "cars.py"
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


def command(*more: str) -> list[str]:
    words = [sys.executable, "-m", "scrapy", "runspider", str(SPIDER), "-s", "JOBDIR=job"]
    return [*words, *more] if "-O" in more else [*words, "-o", "items.jsonl", *more]


def environment(**variables: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("T8_", "SCRAPY_"))}
    return {**kept, **variables}


def crawl(*more: str, before: Callable[[], None] | None = None, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(*more), env=environment(**variables), capture_output=True, text=True, preexec_fn=before, timeout=60
    )


def killed() -> None:
    """A job that was killed half-way."""
    assert crawl(DIE_AT="30").returncode == -9


def refused(*more: str, **options: Any) -> str:
    """One clear line, and nothing of the crawl."""
    done = crawl(*more, **options)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    assert "Spider opened" not in done.stderr
    return done.stderr


def finished(*more: str, pages: int = 60, **options: Any) -> str:
    """To the end: every page stands in the feed, once."""
    done = crawl(*more, **options)
    assert done.returncode == 0, done.stderr
    items = [json.loads(line)["page"] for line in Path("items.jsonl").read_text().splitlines()]
    assert sorted(items) == list(range(pages)), done.stderr
    return done.stderr


@situation("The state file is lost")
def lost(here: Path) -> str:
    killed()
    shutil.copytree("job", "backup")
    shutil.copy("items.jsonl", "backup.jsonl")
    STATE.unlink()
    told = finished("-O", "items.jsonl")
    shutil.rmtree("job")
    shutil.move("backup", "job")
    shutil.move("backup.jsonl", "items.jsonl")
    finished()
    return told


@situation("The state file is damaged")
def damaged(here: Path) -> str:
    killed()
    STATE.write_bytes(b"Dear diary, " * 1000)
    told = refused()
    told += crawl("-s", "T8_RESUME=continue").stderr
    assert {json.loads(line)["page"] for line in Path("items.jsonl").read_text().splitlines()} == set(range(60))
    [aside] = STATE.parent.glob("state.db.damaged-*[0-9]")
    assert aside.read_bytes() == b"Dear diary, " * 1000
    return told


@situation("The state file cannot be read or written")
def unreadable(here: Path) -> str:
    killed()
    STATE.chmod(0o000)
    told = refused(before=no_power)
    STATE.chmod(0o600)
    finished(before=no_power)
    return told


@situation("The state file is of another version")
def other_version(here: Path) -> str:
    killed()
    set_version(SCHEMA_VERSION - 1)
    told = refused()
    set_version(SCHEMA_VERSION)  # the release that wrote it
    finished()
    return told


def set_version(number: int) -> None:
    db = sqlite3.connect(STATE)
    db.execute(f"PRAGMA user_version = {number}")
    db.close()


@situation("The state is in use by another process")
def in_use(here: Path) -> str:
    first = subprocess.Popen(command(), env=environment(WAIT_AT="30"), stderr=subprocess.DEVNULL)
    try:
        end = time.monotonic() + 30
        while not Path("items.jsonl").exists():
            assert time.monotonic() < end
            time.sleep(0.05)
        told = refused()
        assert f"(pid {first.pid})" in told
    finally:
        first.kill()
        first.wait()
    finished()
    return told


@situation("The disk is full")
def full_disk(here: Path) -> str:
    def little() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (600_000, resource.RLIM_INFINITY))

    stopped = crawl(before=little, WEIGHT="40000").stderr
    assert "Traceback" not in stopped
    finished(WEIGHT="40000")
    return stopped


@situation("It does not start")
def no_start(here: Path) -> str:
    killed()
    told = refused("-s", "T8_COMIT_INTERVAL=1") + refused("-s", "T8_COMMIT_INTERVAL=soon")
    told += refused("-a", "colour=red")
    finished("-s", "T8_COMMIT_INTERVAL=1")
    return told


@situation("Validation fails: items")
def bad_items(here: Path) -> str:
    told = refused("-s", "T8_VALIDATOR=shop.NoSuchValidator")
    Path("keys").write_text("".join(f"{number}\n" for number in range(61)))
    done = crawl("-s", "T8_EXPECT_FILE=keys", "-s", "T8_EXIT_STATUS=1")
    assert done.returncode == 3, done.stderr
    Path("keys").write_text("".join(f"{number}\n" for number in range(60)))
    shutil.rmtree("job")
    finished("-O", "items.jsonl", "-s", "T8_EXPECT_FILE=keys", "-s", "T8_EXIT_STATUS=1")
    return told + done.stderr


@situation("More is to be logged")
def more_logs(here: Path) -> str:
    calm = finished("-L", "INFO")
    assert "DEBUG" not in calm
    shutil.rmtree("job")
    return finished("-O", "items.jsonl", "-L", "DEBUG")
