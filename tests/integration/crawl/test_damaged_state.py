"""A state file that is damaged, missing, or of another program: one clear line, nothing deleted, and a way to go on."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support import ledger
from tests.support.crawl import Crawl

from .compare import Lab
from .test_jobs import ALL, assert_refused

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def broken(lab: Lab) -> Crawl:
    """A job that was killed in the middle. To be copied, not used."""
    crawl = lab.crawl("simple", weight="1500")
    crawl.killed("page:45", T8_COMMIT_PAGES=10)
    with sqlite3.connect(crawl.state_file) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    return crawl


def not_a_database(state: Path) -> None:
    state.write_text("Dear diary,\n" * 1000)


def emptied(state: Path) -> None:
    state.write_bytes(b"")


def cut_in_half(state: Path) -> None:
    os.truncate(state, state.stat().st_size // 2)


def overwritten_in_the_middle(state: Path) -> None:
    """Two pages of the file, with some of the requests."""
    with sqlite3.connect(state) as db:
        # Pages that are free still hold what they held, and are never read.
        db.execute("VACUUM")
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    db.close()
    data = bytearray(state.read_bytes())
    full = [at for at in range(4096, len(data), 4096) if b"x" * 1400 in data[at : at + 4096]]
    for at in full[len(full) // 2 :][:2]:
        data[at : at + 4096] = b"\xa5" * 4096
    assert full
    state.write_bytes(data)


def of_another_program(state: Path) -> None:
    state.unlink()
    with sqlite3.connect(state) as db:
        db.execute("CREATE TABLE diary (day, line)")
    db.close()


def checkpoint_first_page(state: Path) -> None:
    """Copy the newest first page from the WAL to the file, and no other."""
    wal = state.with_name("state.db-wal").read_bytes()
    size = int.from_bytes(wal[8:12], "big")
    frames = [wal[at : at + 24 + size] for at in range(32, len(wal), 24 + size)]
    # Those of this generation; and the last one that ends a transaction.
    frames = [frame for frame in frames if frame[8:16] == wal[16:24]]
    last = max(number for number, frame in enumerate(frames) if any(frame[4:8]))
    newest = [frame[24:] for frame in frames[: last + 1] if frame[:4] == b"\0\0\0\1"][-1]
    assert int.from_bytes(newest[28:32], "big") * size > state.stat().st_size
    with state.open("r+b") as file:
        file.write(newest)


DAMAGES = [not_a_database, emptied, cut_in_half, of_another_program]


@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_state(lab: Lab, broken: Crawl, damage: Callable[[Path], None]) -> None:
    """Refused as it is; with T8_RESUME=continue it is set aside and the crawl completes. Traps 4, 5."""
    crawl = lab.copy(broken)
    damage(crawl.state_file)
    before = crawl.state_file.read_bytes()
    assert_refused(crawl.run(), str(Path("job/t8/state.db")), "damaged", "T8_RESUME=continue", "T8_RESUME=fresh")
    assert crawl.state_file.read_bytes() == before
    run = crawl.run(T8_RESUME="continue")
    assert (run.code, run.reason) == (0, "finished"), run.log
    assert [line for line in run.complaints if "the part that cannot be read" not in line] == []
    (aside,) = crawl.state_file.parent.glob("state.db.damaged-*[0-9]")
    assert aside.read_bytes() == before
    assert {"0", "of-59"} <= set(crawl.pages)
    crawl.check_ledger()
    if damage is not cut_in_half:
        # Nothing could be read: the whole crawl was done anew.
        assert _pages(crawl) == _pages_of_all()


def test_overwritten_in_the_middle(lab: Lab, broken: Crawl) -> None:
    """Damage that may show only when it is read: then the crawl stops, and the way on is the same."""
    crawl = lab.copy(broken)
    overwritten_in_the_middle(crawl.state_file)
    run = crawl.run()
    assert run.code == 1 or run.reason.startswith("t8_store_"), run.log
    (complaint,) = run.complaints
    run = crawl.run(T8_RESUME="continue")
    assert (run.code, run.reason) == (0, "finished"), run.log
    assert [line for line in run.complaints if "the part that cannot be read" not in line] == []
    crawl.check_ledger()
    # The items of pages that were done are not taken away.
    assert set(broken.lines) <= set(crawl.lines)
    assert len(crawl.lines) > 100
    assert "T8_RESUME=continue" in complaint


def test_killed_in_the_middle_of_a_checkpoint(lab: Lab) -> None:
    """SQLite writes the first page first, with the number of pages; the other pages are still in the WAL."""
    crawl = lab.crawl("simple", weight="5000")
    crawl.killed("page:45", T8_COMMIT_PAGES=10)
    checkpoint_first_page(crawl.state_file)
    crawl.finished()
    assert _pages(crawl) == _pages_of_all()


def test_newer_schema(lab: Lab, broken: Crawl) -> None:
    """Never misread, never salvaged from: there is another release for it."""
    crawl = lab.copy(broken)
    with sqlite3.connect(crawl.state_file) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    before = ledger.content(crawl.state_file)
    for resume in ("auto", "continue"):
        assert_refused(crawl.run(T8_RESUME=resume), "schema 99", "another JOBDIR")
    assert ledger.content(crawl.state_file) == before


@pytest.mark.parametrize("lost", ["state.db", "state.db-wal", "the end of the log", "a byte of the log"])
def test_state_that_was_lost_between_runs(lab: Lab, lost: str) -> None:
    """A state that has lost a part is never taken for a new job, nor for an earlier state of this one."""
    crawl = lab.crawl("simple")
    crawl.feeds = ("-O", "items.jsonl")
    crawl.killed("page:45", T8_COMMIT_PAGES=10)
    log = crawl.state_file.with_name("state.db-wal")
    if lost == "the end of the log":
        os.truncate(log, log.stat().st_size // 2)
    elif lost == "a byte of the log":
        data = bytearray(log.read_bytes())
        data[len(data) // 2] ^= 0x20
        log.write_bytes(data)
    else:
        crawl.state_file.with_name(lost).unlink()
    feed = (crawl.work / "items.jsonl").read_bytes()
    assert_refused(crawl.run(), "state.db", "T8_RESUME=continue", "T8_RESUME=fresh")
    assert (crawl.work / "items.jsonl").read_bytes() == feed
    crawl.finished(T8_RESUME="fresh")
    assert _pages(crawl) == _pages_of_all()
    assert set(crawl.lines.values()) == {1}


def test_state_that_is_removed_while_the_crawl_runs(lab: Lab) -> None:
    """SQLite would go on in a file without a name: the crawl stops, and says why."""
    crawl = lab.crawl("vandal")
    run = crawl.run(switch="remove")
    assert run.reason == "t8_store_failed", run.log
    (complaint,) = run.complaints
    assert "state.db" in complaint
    assert_refused(crawl.run(), "is missing, and other files of its job are there")
    crawl.finished(T8_RESUME="fresh")
    assert _pages(crawl) == _pages_of_all()


def test_a_directory_that_cannot_be_written(lab: Lab) -> None:
    crawl = lab.crawl("simple", JOBDIR="file/job")
    (crawl.work / "file").touch()
    assert_refused(crawl.run(), "file/job", "JOBDIR")


def test_a_second_process_is_refused(lab: Lab) -> None:
    """Refused while the first lives, with its number; accepted when that was killed."""
    crawl = lab.crawl("lingering")
    first = crawl.start().until(lambda: "page p/first" in crawl.notes)
    assert_refused(crawl.run(), "in use by another process", f"pid {first.process.pid}", "another JOBDIR")
    first.kill()
    assert crawl.site is not None
    crawl.site.release()
    crawl.finished()
    assert crawl.last.lines("Resuming")


def test_a_callback_that_was_renamed(lab: Lab) -> None:
    """Its requests go to the dead-letter box, and the rest completes. Trap 26."""
    crawl = lab.crawl("renamed")
    crawl.killed("page:75", T8_COMMIT_PAGES=10)
    run = crawl.run(switch="renamed")
    assert (run.code, run.reason) == (0, "finished")
    dead = crawl.query("SELECT kind, error FROM dead")
    assert dead
    assert {kind for kind, _ in dead} == {"callback"}
    assert all("'old' is no longer a method of the spider" in error for _, error in dead)
    assert len(run.complaints) == len(dead)
    assert crawl.state().record["ledger"]["dead"] == len(dead)
    crawl.check_ledger()
    pages = set(crawl.pages)
    assert {f"{kind}{number}" for number in range(60) for kind in ("", "of-")} <= pages


def _pages(crawl: Crawl) -> set[str]:
    return {item.split('"')[3] for item in crawl.lines}


def _pages_of_all() -> set[str]:
    return {item.split('"')[3] for item in ALL}
