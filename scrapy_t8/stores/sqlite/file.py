"""The state file: how it is made, opened, and told from a damaged one."""

from __future__ import annotations

import os
import sqlite3
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scrapy_t8.errors import StoreDamaged, StoreVersion

MAGIC = b"SQLite format 3\0"
APPLICATION_ID = 0x54384A42  # "T8JB"
SCHEMA_VERSION = 4

OPEN_HERE: Counter[str] = Counter()
"""State files that this process shares with others, by their real path: how often it has each open."""


def create(path: Path) -> None:
    """Make an empty state file, readable by its owner alone."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    db = connect(path, power=True)
    db.execute("PRAGMA journal_mode = WAL")  # a property of the file: never set on one that is not ours
    db.executescript((Path(__file__).parent / "schema.sql").read_text(encoding="utf-8"))
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    db.close()


def make_sure_it_is_there(path: Path) -> None:
    """A new file appears whole or not at all: one that is empty or cut off is damage, never a beginning."""
    if path.exists():
        return
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    create(new)
    # SQLite would take the log of a file that is lost for one of the new file.
    for left in (path.with_name(f"{path.name}{part}") for part in ("-wal", "-shm")):
        if left.exists():
            left.rename(left.with_name(f"{left.name}.lost-{time.strftime('%Y%m%d-%H%M%S')}"))
    new.rename(path)


def connect(path: Path, *, power: bool) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
    db.execute(f"PRAGMA synchronous = {'FULL' if power else 'NORMAL'}")
    db.execute("PRAGMA cache_size = -16000")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    return db


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """All that is done inside is done, or nothing."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def check_file(path: Path) -> None:
    """Whether *path* can be a database at all. SQLite takes an empty file for a new one, and misses no lost tail."""
    # POSIX: who closes any descriptor of a file loses all locks of the process on it, those of SQLite, too. Another
    # process would take itself for the last one to close, and remove a log that is in use here.
    if OPEN_HERE[os.path.realpath(path)]:
        return
    with path.open("rb") as file:
        header = file.read(100)
    if header[:16] != MAGIC or len(header) < 100:
        raise damaged(path, "it is not a database" if header else "it is empty")
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        return  # a kill in the middle of a checkpoint: SQLite puts the file in order from its log
    page_size = int.from_bytes(header[16:18], "big")
    pages = int.from_bytes(header[28:32], "big")
    if path.stat().st_size < pages * (65536 if page_size == 1 else page_size):
        raise damaged(path, "its end is missing")


def check_version(db: sqlite3.Connection, path: Path) -> None:
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise damaged(path, "it is a database of another program")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version != SCHEMA_VERSION:
        raise StoreVersion(
            f"{path} is of schema {version}, this scrapy_t8 reads schema {SCHEMA_VERSION}: "
            "use the release that wrote it, or another JOBDIR"
        )


def damaged(path: Path, why: str) -> StoreDamaged:
    return StoreDamaged(
        f"the state file {path} is damaged: {why}. Nothing was changed. To go on with what can be read, run the same "
        "command with -s T8_RESUME=continue; to begin anew, with -s T8_RESUME=fresh (the damaged file is kept aside)"
    )


def check_all(db: sqlite3.Connection, path: Path) -> None:
    """Look at every page. It takes a second for a gigabyte, so only where damage was told or is suspected."""
    try:
        found = db.execute("PRAGMA quick_check(1)").fetchone()[0]
    except sqlite3.DatabaseError as error:
        found = str(error)
    if found != "ok":
        db.close()
        raise damaged(path, found)
