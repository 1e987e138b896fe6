"""Begins, resumes and finishes a job."""

from __future__ import annotations

import secrets
import time
from pathlib import Path

from scrapy_t8.config.settings import Config
from scrapy_t8.core import scrapy_private
from scrapy_t8.errors import JobError, JobMismatch, T8Error
from scrapy_t8.model.job import Identity, JobRecord, PastJob, Recovery
from scrapy_t8.stores.base import Store
from scrapy_t8.stores.sqlite.file import check_access
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.text import counted
from scrapy_t8.utils.times import local_time

logger = get_logger(__name__)

NOT_QUEUES = ("active.json", "info.json")
"""Files that a disk queue of Scrapy has even without requests."""
LOST = "the state of an earlier crawl in this job directory was lost: its items may be in the feeds twice"


def refuse_job_of_scrapy(directory: Path, resume: str) -> None:
    """Refuse to begin a job where an unfinished crawl of Scrapy's own JOBDIR is.

    :raises JobError: unless *resume* gives that crawl up.
    """
    check_access(directory / "t8", writes=True)
    if (directory / "t8/state.db").exists():
        return
    queues = (path for path in (directory / "requests.queue").rglob("*") if path.name not in NOT_QUEUES)
    if not any(path.is_file() and path.stat().st_size for path in queues):
        return
    if resume != "fresh":
        raise JobError(
            f"{directory} holds an unfinished crawl of Scrapy without scrapy_t8, which scrapy_t8 cannot go on with. "
            "Nothing was changed. Finish that crawl without the add-on, or give it up with -s T8_RESUME=fresh, or use "
            "another JOBDIR"
        )
    logger.warning("T8_RESUME=fresh: the unfinished crawl of Scrapy without scrapy_t8 in %s is given up", directory)


def resume_or_begin(
    store: Store, identity: Identity, config: Config, *, directory: Path, clock_time: float
) -> Recovery:
    """Begin a run of the job in *directory*; begin a new job if there is none to resume.

    :raises JobMismatch: if the unfinished job there is another one.
    """
    old = store.job()
    if old is not None and _is_kept(old, identity, config, clock_time):
        until = local_time(old.ended + config.skip_finished)
        logger.info(
            "The job %s has finished already: with T8_SKIP_FINISHED no new job begins until %s, except with -s "
            "T8_RESUME=fresh",
            old.id,
            until,
        )
        _check_policy(old, config.dedup_policy, directory)
    elif old is None or _is_over(old, identity) or config.resume == "fresh":
        _begin_job(store, old, identity, directory, clock_time, config)
    else:
        if not identity.owns(old) and config.resume != "continue":
            raise JobMismatch(
                f"the unfinished job in {directory} was begun with {identity.difference(old)}. To go on with that job "
                "all the same, run with -s T8_RESUME=continue; to give it up and begin a new one, with "
                "-s T8_RESUME=fresh; or use another JOBDIR"
            )
        _check_policy(old, config.dedup_policy, directory)
    recovery = store.begin_run(clock_time, config.crash_limit)
    # A crawl that resumes a job of another spider or arguments owns the job from its next commit on.
    identity.take_over(recovery.job)
    recovery.job.finished = False  # until this run has ended: dead letters may have been revived
    return recovery


def finish_run(
    record: JobRecord, left: int, reason: str, *, is_complete: bool, now: float, untried: int | None = None
) -> None:
    """Balance the ledger of a run that ends, and mark the job as finished if it is. Log what does not balance.

    :param left: requests that are not done.
    :param reason: why Scrapy ends the run.
    :param is_complete: whether all items are in the feeds.
    :param now: the time, in Unix seconds.
    :param untried: how many of the requests left were never tried, if *reason* ends the job; None if it does not.
    """
    difference = record.ledger.difference(left)
    if difference:
        requests = counted(difference, "request is", "requests are")
        logger.error("The ledger does not balance: %s unaccounted for (%s)", requests, record.ledger)
    if record.ledger.item_difference:
        items = counted(record.ledger.item_difference, "item is", "items are")
        logger.error("The ledger does not balance: %s unaccounted for (%s)", items, record.ledger)
    is_through = (untried is not None or (record.start_done and not left)) and is_complete and not difference
    # A job whose spider closes itself has finished. After a signal, the same command resumes the job.
    record.finished = record.unreported = is_through and reason != scrapy_private.SHUTDOWN
    if record.finished and not record.ended:
        record.ended = now
    if record.finished and untried is not None:
        record.leave(untried, reason)
        record.start_done = True  # a run that finds the job finished lately reads nothing more
        record.ledger.discarded += untried
    if reason == "finished" and not is_through:
        logger.error(
            "Scrapy says finished, but the job is not: %s left, start() %s. Run the same command again",
            counted(left, "request", "requests"),
            "read to its end" if record.start_done else "not read to its end",
        )


def conclude(store: Store, record: JobRecord) -> None:
    """Store that the job has finished and that its reports are written: the next run may begin a new job."""
    record.unreported = False
    try:
        store.put_job(record)
    except T8Error as error:
        logger.critical("%s", error)


def _is_over(old: JobRecord, identity: Identity) -> bool:
    """Whether nothing of *old* is left to do. If its last run died in the midst of its reports, they are left."""
    return old.finished and not (old.unreported and identity.owns(old))


def _is_kept(old: JobRecord, identity: Identity, config: Config, now: float) -> bool:
    """Whether *old* has finished so lately that this run begins no new job."""
    is_lately = old.finished and now < old.ended + config.skip_finished
    return is_lately and config.resume != "fresh" and identity.owns(old)


def _check_policy(old: JobRecord, policy: str, directory: Path) -> None:
    """Refuse another policy: with it, the feeds of the items so far would be of the wrong kind."""
    if old.policy != policy and "last" in (old.policy, policy):
        raise JobMismatch(
            f"the unfinished job in {directory} was begun with T8_DEDUP_POLICY={old.policy}, not {policy}: go on with "
            "that policy; or give the job up and begin a new one, with -s T8_RESUME=fresh; or use another JOBDIR"
        )


def _begin_job(
    store: Store, old: JobRecord | None, identity: Identity, directory: Path, now: float, config: Config
) -> None:
    job = JobRecord(
        id=f"job_{time.strftime('%Y%m%d_%H%M%S', time.gmtime(now))}_{secrets.token_hex(2)}",
        spider=identity.spider,
        arguments=identity.arguments or {},
        begun=now,
        follows=old.id if old is not None and old.finished and identity.owns(old) else "",
        number=old.number + 1 if old is not None else 1,
        policy=config.dedup_policy,
    )
    if old is not None and not old.finished:
        given_up = PastJob(old.id, old.number, old.spider, old.begun, now, old.ledger.exported, good=False)
        store.items.add_past_job(given_up)
    salvaged = 0 if old else store.count_entries() + store.count_waiting()
    if old is None and store.is_salvaged and config.resume != "fresh":
        job.doubt = LOST
    if salvaged:
        job.ledger.admitted = salvaged
        job.next_seq = 1 << 32  # beyond all ids that the lost record may have used
    keep_items = config.dedup_scope == "spider" or config.expect_last
    store.begin_job(job, keep=bool(salvaged), afresh=config.resume == "fresh", keep_items=keep_items)
    if config.expect_last:
        count = store.items.expect_last(identity.spider, "last good job")
        if count:
            logger.info("%s expected: those of the last good job", counted(count, "item is", "items are"))
    _log_beginning(old, directory)


def _log_beginning(old: JobRecord | None, directory: Path) -> None:
    if old is None:
        logger.info("A new job begins in %s", directory)
    elif old.finished:
        logger.info("The last job here (%s) has finished: a new one begins", old.id)
    else:
        logger.warning("T8_RESUME=fresh: the unfinished job %s is given up, a new one begins", old.id)
