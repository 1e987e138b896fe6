"""What a job's state file says, read from a copy, so that looking at it changes nothing."""

from __future__ import annotations

import json
import shutil
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Books:
    """The state of a job between two runs: its record, what is in its tables, and how its last run is noted."""

    record: dict[str, Any]
    entries: int
    """Ready, in flight, or waiting for another try."""
    spawned: int
    """What is remembered of pages that are neither settled nor buried."""
    dead: list[tuple[str, bytes]]
    run_began: float
    last_commit: float
    run_died: bool

    @property
    def finished(self) -> bool:
        return bool(self.record.get("finished"))

    @property
    def ledger(self) -> dict[str, int]:
        return self.record["ledger"]  # type: ignore[no-any-return]


def read_books(directory: Path) -> Books | None:
    """The books of the job somewhere below *directory*; None if there is no job yet. Nobody may have it open."""
    states = list(directory.rglob("state.db"))
    assert len(states) <= 1, f"more than one job: {states}"
    if not states:
        return None
    with tempfile.TemporaryDirectory() as copy:
        for suffix in ("", "-wal"):
            part = states[0].with_name(f"state.db{suffix}")
            if part.exists():
                shutil.copy(part, copy)
        db = sqlite3.connect(Path(copy) / "state.db")
        try:
            return _read(db)
        finally:
            db.close()


def _read(db: sqlite3.Connection) -> Books | None:
    def one(query: str) -> Any:
        return db.execute(query).fetchone()

    assert one("PRAGMA integrity_check")[0] == "ok"
    record = one("SELECT record FROM job")
    if record is None:
        return None
    run = one("SELECT started, last_commit, ended IS NULL FROM run ORDER BY id DESC LIMIT 1") or (0.0, 0.0, False)
    return Books(
        record=json.loads(record[0]),
        entries=one("SELECT (SELECT count(*) FROM entry) + (SELECT count(*) FROM waiting)")[0],
        spawned=one("SELECT count(*) FROM spawned WHERE parent NOT IN (SELECT entry FROM dead)")[0],
        dead=db.execute("SELECT kind, payload FROM dead JOIN dead_body USING (id) ORDER BY id").fetchall(),
        run_began=run[0],
        last_commit=run[1],
        run_died=bool(run[2]),
    )
