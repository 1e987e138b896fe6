"""The dead-letter box in SQLite: the tables ``dead`` and ``dead_body``.

A change first selects its letters into a temporary table (``chosen``), then changes all of them with one statement.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from scrapy_t8.config.causes import DISCARDED, RESOLVED, cause_of_failure
from scrapy_t8.model.dead_letter import ALL, DeadLetter, LetterFilter, LetterGroup
from scrapy_t8.model.items import RefetchRequest, RefetchStatus
from scrapy_t8.model.job import JobRecord
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.text import escape_surrogates

from .tables import Guard, SQLiteTables, Transaction, dump_job, sql

logger = get_logger(__name__)

DAY = 86400

CONDITIONS = {
    "kind": "dead.kind = :kind",
    "host": "dead.host = :host",
    "callback": "dead.callback = :callback",
    # SQLite's own LIKE and lower() handle only ASCII letters.
    "error": "instr(t8_casefold(dead.error), t8_casefold(:error))",
    "older_than": "dead.buried_at <= :now - :older_than",
    "newer_than": "dead.buried_at >= :now - :newer_than",
    "job": "dead.job = :job",
    "status": "dead.status = :status",
    "task_type": "dead.task_type = :task_type",
    "text": """(instr(t8_casefold(dead.error), t8_casefold(:text)) OR instr(t8_casefold(dead.url), t8_casefold(:text))
        OR instr(t8_casefold(dead.target), t8_casefold(:text)))""",
    # One parameter for any number of ids.
    "ids": "dead.id IN (SELECT value FROM json_each(:ids))",
}
"""The SQL condition for each part of a :class:`~scrapy_t8.model.dead_letter.LetterFilter`."""


class SQLiteDeadLetters(SQLiteTables):
    """The dead-letter box of a store. Each change is one transaction that also updates the ledger of *job*.

    That *job* must be as the last commit left it. A letter of the running job counts as discarded when it leaves the
    box, unless it is revived.

    :param clock: returns the time, for the age of letters.
    """

    def __init__(
        self, db: sqlite3.Connection, guard: Guard, transaction: Transaction, *, clock: Callable[[], float] = time.time
    ) -> None:
        super().__init__(db, guard, transaction)
        self._clock = clock
        db.create_function("t8_casefold", 1, str.casefold, deterministic=True)
        # Some builds of SQLite overwrite deleted rows with zeros: a full box would take seconds to empty.
        db.execute("PRAGMA secure_delete = FAST").fetchall()

    # -- reading -------------------------------------------------------------------------------------------------

    def letters(self, which: LetterFilter = ALL, *, limit: int | None = None, after: int = 0) -> list[DeadLetter]:
        """Return letters by number, beginning above *after*, without payload, story and detail."""
        rows = self._read(sql.LETTERS, which, limit=-1 if limit is None else limit, after=after)
        return [DeadLetter(*row) for row in rows]

    def letter(self, number: int) -> DeadLetter | None:
        """Return one letter with everything."""
        return next((DeadLetter(*row) for row in self._read(sql.WHOLE_LETTERS, LetterFilter(ids=(number,)))), None)

    def count(self, which: LetterFilter = ALL) -> int:
        """Return the number of letters."""
        return int(self._read(sql.COUNT_LETTERS, which)[0][0])

    def groups(self, which: LetterFilter = ALL) -> list[LetterGroup]:
        """Return the letters by cause, the most frequent cause first."""
        return [LetterGroup(*row) for row in self._read(sql.GROUPS, which)]

    def fingerprints(self) -> set[int]:
        """Return the fingerprints of the requests of all letters."""
        return {row[0] for row in self._read(sql.DEAD_FINGERPRINTS, ALL)}

    def _read(self, statement: str, which: LetterFilter, **values: Any) -> list[Any]:
        where, chosen = _where(which, self._clock())
        return self.rows(statement.format(where=where), {**chosen, **values})

    # -- changes, each a transaction of its own ------------------------------------------------------------------

    def revive(self, which: LetterFilter, job: JobRecord, now: float) -> int:
        """Turn letters into waiting entries of *job* with fresh attempts, due *now*. Return their number.

        Letters of another job are admitted to *job*. A finished job becomes unfinished. Letters without a payload stay.
        """
        with self._change(job) as db:
            return self._revive(db, which, job, now)

    def refetch(self, requests: list[RefetchRequest], which: LetterFilter, job: JobRecord, now: float) -> None:
        """Add *requests* as waiting entries that are due *now*, and revive letters."""
        with self._change(job) as db:
            self._revive(db, which, job, now)
            db.executemany(sql.SET_REFETCH_STATUS, [(item.status, item.key) for item in requests])
            repeated = [item for item in requests if item.payload is not None]
            rows = [
                (entry, now, item.slot, item.payload, item.story) for entry, item in enumerate(repeated, job.next_seq)
            ]
            db.executemany(sql.WAIT, rows)
            db.executemany(sql.ADD_OPEN_REQUEST, [(item.key,) for item in repeated])
            job.next_seq += len(rows)
            job.ledger.admitted += len(rows)
            job.finished = job.finished and all(item.status == RefetchStatus.IMPOSSIBLE for item in requests)

    def discard(self, which: LetterFilter, job: JobRecord) -> int:
        """Delete letters. Return their number."""
        with self._change(job) as db:
            chosen = self._choose(sql.CHOOSE, which, job, self._clock())
            db.execute(sql.MARK_DISCARDED)
            self._delete(job, chosen, DISCARDED)
        return sum(chosen)

    def prune(self, job: JobRecord, now: float, *, ttl: float, limit: int, keep: str = "") -> tuple[int, int]:
        """Delete letters older than *ttl* seconds, then the oldest beyond *limit*. Return both numbers.

        :param keep: the id of a job whose letters are deleted for their age only.
        """
        with self._change(job) as db:
            expired = sum(self._choose(sql.CHOOSE, LetterFilter(older_than=ttl), job, now))
            chosen = self._choose(sql.CHOOSE_OLDEST, ALL, job, now, limit=limit, keep=keep)
            kinds = ", ".join(f"{count} {kind}" for kind, count in db.execute(sql.CHOSEN_KINDS))
            db.execute(sql.MARK_DISCARDED)
            self._delete(job, chosen)
        excess = sum(chosen) - expired
        if kinds:
            message = "Dead letters pruned: %d older than %.3g days, %d of the oldest beyond %d (%s)"
            logger.warning(message, expired, ttl / DAY, excess, limit, kinds)
        return expired, excess

    # -- parts of a commit: the transaction is the store's -------------------------------------------------------

    def bury(self, letters: list[DeadLetter]) -> None:
        """Add *letters* with new numbers."""
        first = self._db.execute(sql.NEXT_LETTER).fetchone()[0]
        rows = [{**_storable(letter), "id": number} for number, letter in enumerate(letters, first)]
        self._db.executemany(sql.BURY, rows)
        self._db.executemany(sql.BURY_BODY, rows)

    def resolve(self, fingerprints: Collection[int], job: JobRecord) -> int:
        """Delete the letters of requests that have succeeded, and update the ledger of *job*. Return their number."""
        if not fingerprints:
            return 0
        values = {"job_id": job.id, "fingerprints": json.dumps(list(fingerprints))}
        chosen = self._choose_with(sql.CHOOSE_RESOLVED, values)
        self._delete(job, chosen, RESOLVED)
        return sum(chosen)

    @contextmanager
    def _change(self, job: JobRecord) -> Iterator[sqlite3.Connection]:
        """Make a transaction that writes *job*. If it fails, *job* is restored."""
        before = replace(job, ledger=replace(job.ledger))
        try:
            with self._guard("write"), self._transaction() as db:
                yield db
                if job != before:
                    db.execute(sql.PUT_JOB, (dump_job(job),))
        except BaseException:
            job.next_seq, job.finished = before.next_seq, before.finished
            job.ledger.admitted, job.ledger.dead = before.ledger.admitted, before.ledger.dead
            job.ledger.discarded = before.ledger.discarded
            raise

    def _choose(
        self, statement: str, which: LetterFilter, job: JobRecord, now: float, **values: Any
    ) -> tuple[int, int]:
        where, chosen = _where(which, now)
        return self._choose_with(statement.format(where=where), {**chosen, **values, "job_id": job.id})

    def _choose_with(self, statement: str, values: dict[str, Any]) -> tuple[int, int]:
        """Choose more letters. Return how many letters of the running job, and of others, are chosen so far."""
        self._db.execute(sql.CHOSEN)
        self._db.execute(statement, values)
        chosen: tuple[int, int] = self._db.execute(sql.COUNT_CHOSEN).fetchone()
        return chosen

    def _revive(self, db: sqlite3.Connection, which: LetterFilter, job: JobRecord, now: float) -> int:
        old = sum(self._choose(sql.CHOOSE_OLD_IDS, which, job, now))
        job.next_seq += sum(self._choose(sql.CHOOSE_NEW_IDS, which, job, now, next_seq=job.next_seq)) - old
        revived = db.execute(sql.REVIVE, {"now": now}).rowcount
        db.execute(sql.LEAVE_UNREVIVED)
        db.execute(sql.CLEAR_CAUSE)
        mine, foreign = db.execute(sql.COUNT_CHOSEN).fetchone()
        db.execute(sql.TAKE_BACK_BURIED, (mine,))
        db.execute(sql.TAKE_BACK_NOT_RETRIED)
        job.ledger.dead -= mine
        job.ledger.admitted += foreign
        job.finished = job.finished and not revived
        self._remove_chosen()
        return revived

    def _delete(self, job: JobRecord, chosen: tuple[int, int], cause: str | None = None) -> None:
        """Delete the *chosen* letters. Those of *job* count as discarded, for *cause* or for their own failures."""
        if sum(chosen):
            failures = [] if cause else self._db.execute(sql.CHOSEN_FAILURES).fetchall()
            causes = [(cause_of_failure(kind, status), count) for kind, status, count in failures]
            counts = [(cause, chosen[0])] if cause and chosen[0] else causes
            self._db.executemany(sql.ADD_TALLY, [("cause", *row) for row in counts])
            job.ledger.dead -= chosen[0]
            job.ledger.discarded += chosen[0]
            self._db.execute(sql.FORGET_CHOSEN, {"job_id": job.id})
            self._remove_chosen()

    def _remove_chosen(self) -> None:
        everything = self._db.execute(sql.ALL_ARE_CHOSEN).fetchone()[0]
        self._db.execute(sql.REMOVE_ALL_BODIES if everything else sql.REMOVE_CHOSEN_BODIES)
        self._db.execute(sql.REMOVE_ALL if everything else sql.REMOVE_CHOSEN)
        self._db.execute(sql.NOTHING_CHOSEN)


def _where(which: LetterFilter, now: float) -> tuple[str, dict[str, Any]]:
    """Return the condition for *which*, and its parameters."""
    given = {name: getattr(which, name) for name in CONDITIONS if getattr(which, name) is not None}
    where = " AND ".join(CONDITIONS[name] for name in given) or "1"
    if "ids" in given:
        given["ids"] = json.dumps(given["ids"])
    return where, {**given, "now": now}


def _storable(letter: DeadLetter) -> dict[str, Any]:
    values = letter._asdict()
    # An error may quote half of a character, as from the name of a file.
    return {name: escape_surrogates(value) if isinstance(value, str) else value for name, value in values.items()}
