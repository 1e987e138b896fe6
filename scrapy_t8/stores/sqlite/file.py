"""The state file: creates it, opens it, and detects damage."""

from __future__ import annotations

import errno
import os
import pwd
import sqlite3
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import cache
from pathlib import Path
from typing import ClassVar

from scrapy_t8.errors import JobError, JobLocked, StoreDamaged, StoreError, StoreVersion, remedy
from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.locks import FileLock

from .dead_letters import SQLiteDeadLetters
from .resume_points import SQLiteResumePoints
from .tables import LARGEST_RECORD, SQLiteReader, load_job, sql

MAGIC = b"SQLite format 3\0"
APPLICATION_ID = 0x54384A42  # "T8JB"
SCHEMA_VERSION = 4

LARGEST = 1 << 28
"""Bytes of the largest value that is read from a state file."""
SCHEMA_OBJECTS = """
    SELECT type, name, tbl_name, sql LIKE 'CREATE VIRTUAL%', (
        SELECT group_concat(one, ' ') FROM (
            SELECT name || ':' || type || ':' || hidden AS one FROM pragma_table_xinfo(m.name) ORDER BY 1
        )
    ) FROM sqlite_master AS m WHERE type <> 'index' OR sql IS NOT NULL
"""

MADE_HERE: set[frozenset[tuple[str, ...]]] = set()
"""The schema of the files that this process has made, if any: it needs no second making to compare with."""
OPEN_HERE: Counter[str] = Counter()
"""How often this process has each state file open that it shares with others, by real path."""


class StateFile(SQLiteReader):
    """The state file in *directory*, as this process has it open: the common part of the stores.

    :param power: commits survive a power cut, not only the death of the process.
    """

    IN_USE: ClassVar[str]
    """The message for a lock that is not free."""

    def __init__(self, directory: Path, *, power: bool = False) -> None:
        self.path = directory / "state.db"
        self._directory = directory
        self._power = power
        self._lock = FileLock(directory / "lock")
        self._holder = directory / "holder"
        self._inode = 0
        self.box: SQLiteDeadLetters
        self.points: SQLiteResumePoints

    def job(self) -> JobRecord | None:
        """Return the job of this state, or None before the first."""
        row = self._db.execute(sql.GET_JOB).fetchone()
        return None if row is None else load_job(row[0])

    def kept(self, prefix: str) -> dict[str, bytes]:
        """Return other data of the job whose names begin with *prefix*."""
        return dict(self.rows(sql.GET_KEPT, {"prefix": prefix}))

    # -- opening -------------------------------------------------------------------------------------------------

    @contextmanager
    def _opening(self, lock: Callable[[], bool]) -> Iterator[None]:
        """Lock the state with *lock* for the block that opens it, and unlock it if the block fails."""
        check_access(self._directory, writes=True)
        with self._guard("open"):
            check_directory(self._directory)
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not lock():
                pid = self._holder.read_text(errors="replace")[:20] if self._holder.exists() else "unknown"
                raise JobLocked(self.IN_USE.format(where=self._directory.parent, pid=pid))
        try:
            with self._guard("open"):
                self._holder.touch(mode=0o600)
                self._holder.write_text(str(os.getpid()))
                yield
        except BaseException:
            self._lock.release()
            raise

    def _connect(self) -> None:
        create_if_missing(self.path)
        check_file(self.path)
        try:
            self._db = connect(self.path, power=self._power)
            check_version(self._db, self.path)
            check_schema(self._db, self.path)
            self._load()
        except (sqlite3.DatabaseError, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            if isinstance(error, sqlite3.OperationalError) and "no such" not in str(error):
                raise
            raise damaged(self.path, str(error)) from None
        self._inode = self.path.stat().st_ino

    def _load(self) -> None:
        """Read the tables without which nothing works, and make the parts of the store."""
        self.job()
        self.box = SQLiteDeadLetters(self._db, self._reading, self._change)
        self.points = SQLiteResumePoints(self._db, self._reading, self._change)

    # -- using ---------------------------------------------------------------------------------------------------

    def _change(self) -> AbstractContextManager[sqlite3.Connection]:
        """Return a context that is a transaction."""
        raise NotImplementedError

    @contextmanager
    def _guard(self, what: str) -> Iterator[None]:
        """Raise errors of the database and the file system as :exc:`StoreError`. *what* is a verb for the message."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise self._error(what, error) from error

    _reading = _guard

    def _error(self, what: str, error: sqlite3.Error | OSError) -> StoreError:
        if isinstance(error, sqlite3.DatabaseError) and "malformed" in str(error):
            return damaged(self.path, str(error))
        return StoreError(self._advise(f"cannot {what} the state in {self._directory}: {error}. ", remedy(error)))

    def _advise(self, message: str, advice: str) -> str:
        return message + advice


def create(path: Path) -> None:
    """Create an empty state file that only its owner can read."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
    db = connect(path, power=True)
    db.execute("PRAGMA journal_mode = WAL")  # a property of the file: never set on a file that is not ours
    db.executescript((Path(__file__).parent / "schema.sql").read_text(encoding="utf-8"))
    db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
    db.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    MADE_HERE.add(frozenset(db.execute(SCHEMA_OBJECTS)))
    db.close()


def create_if_missing(path: Path) -> None:
    """Create the state file *path* if it is missing. It appears whole: an empty or short file is always damage."""
    if path.exists():
        return
    new = path.with_name(f"{path.name}.new")
    new.unlink(missing_ok=True)
    create(new)
    # SQLite would apply the log of a lost file to the new one.
    for left in (path.with_name(f"{path.name}{part}") for part in ("-wal", "-shm")):
        if left.exists():
            left.rename(left.with_name(f"{left.name}.lost-{time.strftime('%Y%m%d-%H%M%S')}"))
    new.rename(path)


def connect(path: Path, *, power: bool) -> sqlite3.Connection:
    """Return a connection to the state file *path*, for any thread."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
    distrust(db)
    db.execute(f"PRAGMA synchronous = {'FULL' if power else 'NORMAL'}")
    db.execute("PRAGMA cache_size = -16000")
    db.execute("PRAGMA wal_autocheckpoint = 0")
    return db


def distrust(db: sqlite3.Connection) -> None:
    """Prevent a state file from calling functions or filling the memory: it may come from another person."""
    db.execute("PRAGMA trusted_schema = OFF")
    db.execute("PRAGMA cell_size_check = ON")
    if sys.version_info >= (3, 11):
        db.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, LARGEST)


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    """Make every change of the block, or none if the block raises an error."""
    db.execute("BEGIN IMMEDIATE")
    try:
        yield db
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def check_file(path: Path) -> None:
    """Check that *path* can be a database. SQLite accepts an empty file as a new one, and misses a lost end."""
    # POSIX: to close any descriptor of a file frees all locks of the process on that file, those of SQLite included.
    # Another process would then consider itself the last one to close, and remove a log that is in use here.
    if OPEN_HERE[os.path.realpath(path)]:
        return
    with path.open("rb") as file:
        header = file.read(100)
    if header[:16] != MAGIC or len(header) < 100:
        raise damaged(path, "it is not a database" if header else "it is empty")
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        return  # a kill in the middle of a checkpoint: SQLite repairs the file from its log
    page_size = int.from_bytes(header[16:18], "big")
    pages = int.from_bytes(header[28:32], "big")
    if path.stat().st_size < pages * (65536 if page_size == 1 else page_size):
        raise damaged(path, "its end is missing")


def check_version(db: sqlite3.Connection, path: Path) -> None:
    """Check that the database is a state file, and of this version."""
    if db.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise damaged(path, "it is a database of another program")
    version = db.execute("PRAGMA user_version").fetchone()[0]
    if version != SCHEMA_VERSION:
        raise StoreVersion(
            f"{path} is of schema {version}, this scrapy_t8 reads schema {SCHEMA_VERSION}: "
            "use the release that wrote it, or another JOBDIR"
        )


def check_schema(db: sqlite3.Connection, path: Path) -> None:
    """Check that the database has the tables of a state file, and no view, no trigger and nothing else.

    :raises StoreDamaged: if it has something else, or a record that no crawl would write.
    """
    found = frozenset(db.execute(SCHEMA_OBJECTS))
    if found not in MADE_HERE and found != schema_objects():
        names = ", ".join(sorted({f"{kind} {name}" for kind, name, *_ in found ^ schema_objects()})[:3])
        raise damaged(path, f"its tables are not those of a state file ({names})")
    for table in ("job", "feed", "host"):
        size = db.execute(f"SELECT max(length(record)) FROM {table}").fetchone()[0] or 0
        if size > LARGEST_RECORD:
            raise damaged(path, f"a record of {size} bytes in the table {table} is larger than a crawl writes")


@cache
def schema_objects() -> frozenset[tuple[str, ...]]:
    """Return what the schema of a state file has: kind, name, table and columns of each object."""
    db = sqlite3.connect(":memory:")
    db.executescript((Path(__file__).parent / "schema.sql").read_text(encoding="utf-8"))
    found = frozenset(db.execute(SCHEMA_OBJECTS))
    db.close()
    return found


def check_access(directory: Path, *, writes: bool) -> None:
    """Check that this user may read the state in *directory*, or also write it. It is no error if there is none.

    :raises StoreError: naming what this user may not use, its owner, and what to do.
    """
    try:
        for path in (directory, *sorted(directory.iterdir())):
            # Where the whole file system is read-only, the error of SQLite says so.
            may_write = writes and not os.statvfs(path).f_flag & os.ST_RDONLY
            need = os.R_OK | os.W_OK * may_write | os.X_OK * path.is_dir()
            if (writes or path.name.startswith(("t8", "state.db"))) and not os.access(path, need):
                raise PermissionError(errno.EACCES, "", str(path))
    except PermissionError as error:
        raise no_access(Path(error.filename or directory), directory, "written" if writes else "read") from None
    except (FileNotFoundError, NotADirectoryError):
        return


def no_access(path: Path, directory: Path, what: str) -> StoreError:
    """Return the error for *path*, a part of the state in *directory* that this user may not use."""
    owner, me = _owner(path), _user(os.geteuid())
    mend = f"Run this as {owner}, or give {me} the directory (chown -R {me} {directory}), or use another one"
    if owner == me:
        mend = f"Make it readable and writable (chmod -R u+rwX {directory}), or use another directory"
    fact = f"permission denied: {path} belongs to {owner}, and cannot be {what} by this user ({me})"
    return StoreError(f"{fact}. Nothing was changed. {mend}")


def _owner(path: Path) -> str:
    """Return the owner of *path*, or of the first directory above it that this user may look at."""
    for one in (path, *path.absolute().parents):
        try:
            return _user(one.stat().st_uid)
        except OSError:
            continue
    return "another user"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def check_directory(directory: Path) -> None:
    """Check that nothing in the directory of a state leads out of it.

    :raises StoreDamaged: naming the link, pipe or device that no crawl has put there.
    """
    if directory.is_dir():
        for entry in os.scandir(directory):
            if entry.is_symlink() or not (entry.is_file() or entry.is_dir()):
                raise StoreDamaged(
                    f"{entry.path} is a link, a pipe or a device, which no crawl has put there. Nothing was changed. "
                    "Remove it, and run the same command again"
                )


def damage_of(db: sqlite3.Connection) -> str:
    """Return the first damage of any page of the database; empty if there is none. It takes a second per gigabyte."""
    try:
        found = str(db.execute("PRAGMA quick_check(1)").fetchone()[0])
    except sqlite3.DatabaseError as error:
        return str(error)
    return "" if found == "ok" else found


def damaged(path: Path, why: str) -> StoreDamaged:
    """Return the error for a damaged state file."""
    return StoreDamaged(
        f"the state file {path} is damaged: {why}. Nothing was changed. To go on with what can be read, run the same "
        "command with -s T8_RESUME=continue; to begin anew, with -s T8_RESUME=fresh (the damaged file is kept aside)"
    )


def lost(path: Path, what: str) -> StoreDamaged:
    """Return the error for a state that is gone, or is older than the last commit of the crawl."""
    return StoreDamaged(
        f"the state file {path} {what}. Nothing was changed. Put JOBDIR and the feeds back from a copy; or go on from "
        "there with -s T8_RESUME=continue; or begin anew with -s T8_RESUME=fresh, and an empty feed (-O)"
    )


def no_job(jobdir: Path) -> JobError:
    """Return the error for a job directory without a job."""
    return JobError(f"there is no job in {jobdir}: give the JOBDIR of a crawl that ran with scrapy_t8")
