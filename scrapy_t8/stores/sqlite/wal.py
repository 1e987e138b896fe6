"""Moves committed pages from the write-ahead log into the database in a thread, as it may wait for the disk.

While it moves something the owner does not commit. SQLite would allow it, but releases up to 3.51.2 can then lose a
reset of the log (two connections writing or checkpointing at the same instant); reading beside it is safe in all.
"""

from __future__ import annotations

import logging
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from threading import Lock, Thread

logger = logging.getLogger(__name__)

ROWS = 3000
"""Changed rows after which the log is worth moving. A row dirties a page or two."""


class WalCheckpointer:
    """Counts the rows that were changed, and checkpoints when there are enough.

    :param log: the write-ahead log.
    :param connect: opens a connection of its own to the database.
    """

    def __init__(self, log: Path, connect: Callable[[], sqlite3.Connection]) -> None:
        self._log = log
        self._connect = connect
        self.lock = Lock()
        """Held while something is moved, and by the owner while it changes something."""
        self._thread: Thread | None = None
        self._db: sqlite3.Connection | None = None
        self._done = 0

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def committed(self, total_changes: int) -> None:
        """Take note of a commit; begin in the background if it is time."""
        if total_changes - self._done >= ROWS and not self.is_running:
            self._done = total_changes
            self._thread = Thread(target=self._checkpoint, name="t8-checkpoint", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Until nothing runs in the background."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def close(self) -> None:
        """Wait, and give the connection up."""
        self.wait()
        if self._db is not None:
            self._db.close()
            self._db = None

    def _checkpoint(self) -> None:
        try:
            # SQLite would do it first of all, and it takes the longest: the owner may commit meanwhile.
            self._sync_log()
            # It is kept: to open one takes longer than to move the pages.
            self._db = self._db or self._connect()
            with self.lock:
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except (sqlite3.Error, OSError) as error:
            # Nothing is lost by it: the log keeps everything, and only grows.
            logger.warning("The write-ahead log could not be moved into the state file: %s", error)

    def _sync_log(self) -> None:
        fd = os.open(self._log, os.O_RDONLY)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)
