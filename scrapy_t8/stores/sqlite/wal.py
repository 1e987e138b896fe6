"""Moves committed pages from the write-ahead log into the database, in a thread, as it may wait for the disk.

The owner does not commit during a checkpoint. SQLite would allow that, but releases up to 3.51.2 can then lose a reset
of the log (two connections that write or checkpoint at the same instant). Reading during a checkpoint is always safe.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from threading import Lock, Thread

from scrapy_t8.utils.files import sync
from scrapy_t8.utils.log.loggers import get_logger

logger = get_logger(__name__)

ROWS = 3000
"""Changed rows after which a checkpoint begins. A row changes a page or two."""


class WalCheckpointer:
    """Counts changed rows, and moves *log* when there are enough. *connect* opens a separate connection."""

    def __init__(self, log: Path, connect: Callable[[], sqlite3.Connection]) -> None:
        self._log = log
        self._connect = connect
        self.lock = Lock()
        """Held during a checkpoint, and by the owner during a transaction."""
        self._thread: Thread | None = None
        self._db: sqlite3.Connection | None = None
        self._done = 0

    @property
    def is_running(self) -> bool:
        return self._thread is not None and self._thread.is_alive()

    def committed(self, total_changes: int) -> None:
        """Record a commit, and start a checkpoint in the background if enough rows have changed."""
        if total_changes - self._done >= ROWS and not self.is_running:
            self._done = total_changes
            self._thread = Thread(target=self._checkpoint, name="t8-checkpoint", daemon=True)
            self._thread.start()

    def wait(self) -> None:
        """Wait until no checkpoint runs."""
        if self._thread is not None:
            self._thread.join()
            self._thread = None

    def close(self) -> None:
        """Wait until no checkpoint runs, and close the connection."""
        self.wait()
        if self._db is not None:
            self._db.close()
            self._db = None

    def _checkpoint(self) -> None:
        try:
            # SQLite would do this first, and it takes longest. Here the owner can commit at the same time.
            sync(self._log)
            # The connection stays open: to open one takes longer than to move the pages.
            self._db = self._db or self._connect()
            with self.lock:
                self._db.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except (sqlite3.Error, OSError) as error:
            # Nothing is lost: the log keeps everything, and only grows.
            logger.warning("The write-ahead log could not be moved into the state file: %s", error)
