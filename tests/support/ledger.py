"""Reads what a job's state file says, from a copy, so that reading it changes nothing."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class State:
    """The state of a job between two runs: its record, what is in its tables, and how its last run is noted."""

    record: dict[str, Any]
    ready: int
    """Stored requests that do not wait for another attempt."""
    waiting: int
    """Requests that wait for another attempt."""
    spawned: int
    """What is remembered of pages that are neither settled nor buried."""
    dead: list[tuple[str, bytes]]
    """Kind and payload of each dead letter."""
    run_began: float
    last_commit: float
    run_died: bool

    @property
    def finished(self) -> bool:
        return bool(self.record.get("finished"))

    @property
    def ledger(self) -> dict[str, int]:
        ledger: dict[str, int] = self.record["ledger"]
        return ledger

    @property
    def difference(self) -> int:
        """How many requests have no known whereabouts: 0 if the ledger is balanced."""
        ledger = self.ledger
        known = ledger["done"] + ledger["discarded"] + ledger["dead"] + self.waiting + self.ready
        return ledger["admitted"] - known


@contextmanager
def copied(file: Path) -> Iterator[sqlite3.Connection]:
    """Open a copy of a state file and its log. No process may write to it meanwhile."""
    with tempfile.TemporaryDirectory() as directory:
        for suffix in ("", "-wal"):
            part = file.with_name(f"{file.name}{suffix}")
            if part.exists():
                shutil.copy(part, Path(directory) / f"state.db{suffix}")
        db = sqlite3.connect(Path(directory) / "state.db")
        try:
            yield db
        finally:
            db.close()


def query(file: Path, question: str, *arguments: Any) -> list[Any]:
    """Return the rows that answer a question in SQL."""
    with copied(file) as db:
        return db.execute(question, arguments).fetchall()


def content(file: Path) -> list[str]:
    """Return all that a state file holds, as SQL."""
    with copied(file) as db:
        return list(db.iterdump())


def points(file: Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Return the resume points, by task type and name."""
    rows = query(file, "SELECT task_type, name, record FROM point")
    return {(task_type, name): json.loads(record) for task_type, name, record in rows}


def kept(file: Path, name: str) -> bytes:
    """Return what a component has stored under a name."""
    data: bytes = query(file, "SELECT data FROM kept WHERE name = ?", name)[0][0]
    return data


@dataclass(frozen=True)
class Committed:
    """What a running job has committed so far."""

    done: int = 0
    exported: int = 0
    start_done: bool = False


def committed(file: Path) -> Committed:
    """Return what the running job in *file* has committed so far."""
    rows = live(file, "SELECT record FROM job")
    if not rows:
        return Committed()
    record = json.loads(rows[0][0])
    return Committed(record["ledger"]["done"], record["ledger"]["exported"], bool(record["start_done"]))


def live(file: Path, question: str) -> list[Any]:
    """Return the rows that answer a question in SQL to a state file in use; none as long as the file is being made."""
    if not file.exists():
        return []
    db = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
    try:
        return db.execute(question).fetchall()
    except sqlite3.OperationalError:
        return []
    finally:
        db.close()


def read(file: Path) -> State | None:
    """Return the state of the job in *file*; None if there is no job yet."""
    if not file.exists():
        return None
    with copied(file) as db:
        return _read(db)


def _read(db: sqlite3.Connection) -> State | None:
    def one(question: str) -> Any:
        return db.execute(question).fetchone()

    assert one("PRAGMA integrity_check")[0] == "ok"
    record = one("SELECT record FROM job")
    if record is None:
        return None
    run = one("SELECT started, last_commit, ended IS NULL FROM run ORDER BY id DESC LIMIT 1") or (0.0, 0.0, False)
    return State(
        record=json.loads(record[0]),
        ready=one("SELECT count(*) FROM entry")[0],
        waiting=one("SELECT count(*) FROM waiting")[0],
        spawned=one("SELECT count(*) FROM spawned WHERE parent NOT IN (SELECT entry FROM dead)")[0],
        dead=db.execute("SELECT kind, payload FROM dead JOIN dead_body USING (id) ORDER BY id").fetchall(),
        run_began=run[0],
        last_commit=run[1],
        run_died=bool(run[2]),
    )
