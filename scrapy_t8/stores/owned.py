"""Opens a job's state for changes from outside a crawl."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scrapy_t8.model.job import JobRecord
from scrapy_t8.stores.sqlite.file import check_access, no_job
from scrapy_t8.stores.sqlite.store import SQLiteStore


@contextmanager
def open_for_changes(directory: Path) -> Iterator[tuple[SQLiteStore, JobRecord]]:
    """Open the state in *directory* (the ``t8`` of a job directory). No crawl can use it until the block ends.

    :raises JobLocked: if a crawl is using it.
    :raises JobError: if there is no job. None is created.
    :raises StoreError: if the state cannot be read.
    """
    check_access(directory, writes=True)
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
