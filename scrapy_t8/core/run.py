"""What the parts of one run share: the context of the run, its control, and the way in which an error ends it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, Protocol

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.exceptions import CloseSpider, DontCloseSpider

from scrapy_t8.config.settings import Config
from scrapy_t8.errors import T8Error, WriteError, remedy
from scrapy_t8.model.batch import CommitBatch
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.job import JobRecord, Recovery
from scrapy_t8.stores.base import Store
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.log.tracebacks import culprit_of

from .page import Page

logger = get_logger(__name__)

ANSWERS = (CloseSpider, DontCloseSpider)
"""Exceptions that are answers to Scrapy, not errors."""


class RunContext(NamedTuple):
    """What every part of a run may need, and what never changes during the run.

    :param directory: the JOBDIR.
    :param recovery: what the store said of the job when the run began.
    :param fingerprint: a request's fingerprint as an integer of 63 bits.
    :param clock: the time, in Unix seconds.
    """

    crawler: Crawler
    config: Config
    directory: Path
    store: Store
    recovery: Recovery
    codec: Codec
    fingerprint: Callable[[Request], int]
    clock: Callable[[], float]

    @property
    def record(self) -> JobRecord:
        return self.recovery.job

    @property
    def state_directory(self) -> Path:
        return self.directory / "t8"


class RunControl(Protocol):
    """What the parts of a run may ask for: settling a page, a commit, the end of the run."""

    error: T8Error | None
    """The error that has ended the run, if one has."""

    @property
    def works(self) -> bool:
        """Whether the run has begun, has not ended, and has met no error."""

    def fail(self, error: T8Error) -> None:
        """End the run because of *error*. The last commit is the state, as after a kill."""

    def guard(self, what: str) -> StopOnError:
        """Return a context in which any exception ends the run."""
        return StopOnError(self, what)

    def end(self, page: Page) -> None:
        """Record that one of the outputs of *page* has ended. With the last output, the page settles."""

    def changed(self) -> None:
        """Record a change. The change is committed within the commit interval."""

    def commit(self) -> bool:
        """Commit what has settled, unless the commit would take long. Return whether nothing is left to commit."""

    def flush(self) -> None:
        """Commit everything that has settled, before anything else happens."""

    def flush_or_raise(self) -> None:
        """Commit as :meth:`flush` does.

        :raises T8Error: the error that has ended the run, if one has.
        """
        self.flush()
        if self.error is not None:
            raise self.error


class CommitParticipant:
    """A part of the run that has something to say in each commit. Each method does nothing by default."""

    def settle(self, page: Page) -> None:
        """Take note of the outcome of *page*, whose outputs are written."""

    def fill(self, batch: CommitBatch) -> None:
        """Put what has changed into *batch*. :meth:`committed` follows, unless the commit fails."""

    def committed(self) -> None:
        """Forget what was kept for the batch: the batch is durable."""


class StopOnError:
    """A context in which any exception ends the run: if the crawl went on, the loss would be unknown.

    A guard may be entered again and again.

    :param what: what is done inside, as in "cannot commit".
    """

    def __init__(self, control: RunControl, what: str) -> None:
        self._control = control
        self._what = what

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: Any) -> bool:
        if not isinstance(error, Exception) or isinstance(error, ANSWERS):
            return False
        self._control.fail(self._as_t8_error(error))
        return True

    def _as_t8_error(self, error: Exception) -> T8Error:
        if isinstance(error, T8Error):
            return error
        if isinstance(error, OSError):
            return WriteError(f"cannot {self._what}: {error}. {remedy(error)}")
        culprit = culprit_of(error)
        if not culprit:
            logger.error("Unexpected error, please report it as a bug of scrapy_t8", exc_info=error)
            return T8Error(f"cannot {self._what}: {error!r}. {remedy(error)}")
        logger.error("%s has raised an exception", culprit, exc_info=error)
        return T8Error(f"cannot {self._what}: {culprit} has raised {error!r}. Mend it, and run the same command again")


class PersistedComponent(Protocol):
    """A component whose state is part of each commit, and read back with ``store.kept``."""

    def dump(self, *, force: bool) -> Mapping[str, bytes]:
        """Return changes to store now, by name; all pending changes if *force*."""
