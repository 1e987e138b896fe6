"""Matches the stored feeds of a job with the feeds that this run names."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from pathlib import Path
from typing import Any

from scrapy.crawler import Crawler
from scrapy.extensions.feedexport import FeedSlot

from scrapy_t8.core.job.job import Job
from scrapy_t8.errors import ConfigError, FeedError
from scrapy_t8.model.items import FeedBalance
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.log.tracebacks import in_one_line

from .feed_paths import FeedPaths
from .rewritten import AbsentFeed
from .undo_log import BegunFiles, UndoLog

logger = get_logger(__name__)


def refuse_without_storage(crawler: Crawler) -> None:
    """Refuse to begin if Scrapy cannot make one of the named feeds: Scrapy would then make none of them.

    :raises ConfigError: naming the feeds.
    """
    feeds = [str(uri) for uri in crawler.settings.getdict("FEEDS")]
    if feeds or crawler.settings["FEED_URI"]:
        named = ", ".join(feeds or [str(crawler.settings["FEED_URI"])])
        with in_one_line(logger):
            raise ConfigError(
                f"no feed would be written, of {named}: Scrapy cannot use one of them, and the line above says why (a "
                "format or storage that it does not have, or a library that is not installed). Mend that, or take "
                "that feed away"
            )


def leave_feeds(job: Job, records: dict[str, dict[str, Any]]) -> None:
    """Record that this run does not name the feeds of *records*: they lack the items of this run.

    Their files are not touched: only the settings and the command of this run say which files are feeds.
    """
    exported = job.record.ledger.exported
    for name, record in records.items():
        balance = FeedBalance.of(record)
        if name.partition(":")[0] in ("feed", "target", "spool") and balance.absent_since is None:
            balance.absent_since = exported
            job.add_sink(AbsentFeed(name, {**record, "balance": balance.to_dict()}))
            if exported and name != "spool":
                message = (
                    "The feed %s, which this job has written to before, is not named by this run: items from now on "
                    "are not in it, and the crawl will not be complete. To go on with it, name it again"
                )
                logger.warning(message, record.get("uri", name))


def log_earlier_rows(job: Job, uri: str, length: int) -> None:
    """Log that a feed of this new job begins with *length* bytes, if the job before was given up."""
    if length and job.config.resume == "fresh":
        message = (
            "The feed %s keeps the %d bytes that it has held before this job: items of a job that was given up may be "
            "among them, and come again. To begin with an empty file, use -O or remove it first"
        )
        logger.warning(message, uri, length)


def same_feed(slot: FeedSlot, record: dict[str, Any], paths: FeedPaths) -> None:
    """Check that *record* is one of the feed of *slot*.

    :raises FeedError: if it names another URI.
    """
    uri = record["uri"]
    if uri != slot.uri and not paths.has_uri(uri):
        raise FeedError(
            f"the job directory says that the feed {slot.uri_template} is {uri}, which is another one: somebody has "
            "changed the job directory. Nothing was changed. Put the job directory back from a copy, or give the job "
            "up with -s T8_RESUME=fresh"
        )


@contextmanager
def reading_record(name: str) -> Iterator[None]:
    """Turn each error of a record that is not as this crawl writes it into one line."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, RecursionError) as error:
        raise FeedError(
            f"the record of {name} in the job directory is damaged ({error!r}). Nothing was changed. Put the job "
            "directory back from a copy, or give the job up with -s T8_RESUME=fresh"
        ) from None


def undo_log(job: Job, name: str, record: dict[str, Any] | None, owns: Callable[[str], bool]) -> UndoLog:
    """Return the undo log of the feed *name*; a new one if the job has no *record* of the feed yet."""
    path = job.state_directory / f"feed-{blake2b(name.encode(), digest_size=6).hexdigest()}"
    power = job.config.durability == "power"
    writes, begun = path.with_suffix(".writes"), path.with_suffix(".undo")
    if record is None:
        writes.unlink(missing_ok=True)
        begun.unlink(missing_ok=True)
        return UndoLog(writes, 0, power=power, files=BegunFiles(begun, 0, power=power), owns=owns)
    files = BegunFiles(begun, record["noted"], power=power)
    if "writes" not in record and owns(record["path"]):
        files.undo_without_writes(Path(record["path"]), record["length"], owns)
    return UndoLog(writes, record.get("writes", 0), power=power, files=files, owns=owns)
