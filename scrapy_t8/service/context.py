"""What the parts of an open service state share, and how a state is opened."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from pathlib import Path
from weakref import finalize

from scrapy_t8.config.settings import Config
from scrapy_t8.errors import JobMismatch, StoreDamaged
from scrapy_t8.model.job import SERVICE, JobRecord
from scrapy_t8.stores.base import IfDamaged
from scrapy_t8.stores.locks import LeaseHolder
from scrapy_t8.stores.shared.store import SharedStore
from scrapy_t8.stores.shared.tasks import SQLiteTasks
from scrapy_t8.stores.sqlite.file import check_access
from scrapy_t8.stores.sqlite.store import SQLiteStore
from scrapy_t8.utils.times import moment

from .logs import logger
from .write_batch import WriteBatch

MEND: dict[str, IfDamaged] = {"continue": "salvage", "fresh": "replace"}
"""What T8_RESUME makes of a damaged state."""


class StateContext:
    """The open state in ``T8_STATE_DIR``, which is made if there is none.

    :param holder: of an earlier opening. It is used if it still holds a lease, as a handler has not ended.
    :param clock: the time, in Unix seconds.
    :param chance: draws evenly from 0 to 1.
    :raises T8Error: if a crawl owns it, if it is damaged or of another version, if it cannot be written.
    """

    def __init__(
        self, config: Config, holder: LeaseHolder | None, *, clock: Callable[[], float], chance: Callable[[], float]
    ) -> None:
        self.config = config
        self.clock = clock
        self.chance = chance
        directory = Path(config.state_dir).absolute() / "t8"
        check_access(directory, writes=True)
        is_lost = (directory / "lock").exists() and not (directory / "state.db").exists()
        self.store = _open_store(directory, config)
        try:
            job = self.store.job()
            if job is not None and job.spider != SERVICE:
                owner = f"the crawl {job.spider!r}"
                raise JobMismatch(f"the state in {config.state_dir} is that of {owner}: use another T8_STATE_DIR")
            now = clock()
            new_id = f"service_{moment(now):%Y%m%d_%H%M%S}_{secrets.token_hex(2)}"
            job, self.run = self.store.begin(JobRecord(new_id, SERVICE, {}, now), now)
            self.holder = holder if holder is not None and holder.is_held else LeaseHolder(directory / "holders")
            self.stored_tasks = SQLiteTasks(self.store, self.holder.name)
            self.stored_tasks.adopt(job)
        except BaseException:
            self.store.close()
            raise
        logger.debug("The state in %s is open", directory)
        if is_lost:
            logger.warning("State file missing in %s; starting without earlier state", directory)
        self.job_id = job.id
        self.writes = WriteBatch(self.stored_tasks, config.batch_update_size)
        # At the end of the interpreter at the latest, with the locks that closing needs.
        finalize(self, self.store.close)


def _open_store(directory: Path, config: Config) -> SharedStore:
    store = SharedStore(directory, power=config.durability == "power")
    try:
        store.open()
    except StoreDamaged:
        if config.resume not in MEND:
            raise
        # Only a sole owner may repair a state.
        mended = SQLiteStore(directory)
        mended.open(if_damaged=MEND[config.resume])
        mended.close()
        store.open()
    return store
