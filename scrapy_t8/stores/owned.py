"""The state of a job in the hands of who is no crawl."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.base import no_job
from scrapy_t8.stores.sqlite.store import SQLiteStore


@contextmanager
def owning(directory: Path) -> Iterator[tuple[SQLiteStore, JobRecord]]:
    """The state in *directory* (the ``t8`` of a job directory), to be changed: no crawl can run with it meanwhile.

    :raises JobLocked: if one does.
    :raises JobError: if there is no job. None is made.
    :raises StoreError: if its state cannot be read.
    """
    if not (directory / "state.db").exists():
        raise no_job(directory.parent)
    store = SQLiteStore(directory)
    store.open()
    try:
        job = store.job()
        if job is None:
            raise no_job(directory.parent)
        yield store, job
    finally:
        store.close()
