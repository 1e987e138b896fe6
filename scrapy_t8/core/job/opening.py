"""Opens the job of a crawl: creates all of its parts, from the bottom up."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from scrapy import Request
from scrapy.crawler import Crawler
from scrapy.utils.request import RequestFingerprinter

from scrapy_t8.config.parsing import load_callable
from scrapy_t8.config.settings import Config
from scrapy_t8.core import scrapy_private
from scrapy_t8.core.frontier.frontier import Frontier
from scrapy_t8.core.items.checks import ItemChecks
from scrapy_t8.core.items.expectations import Expectations
from scrapy_t8.core.items.keys import ItemKeys
from scrapy_t8.core.items.ledger import Dedup, ItemLedger
from scrapy_t8.core.items.statistics import RunStatistics
from scrapy_t8.core.items.tracker import ItemTracker
from scrapy_t8.core.resume_points import ResumePointTracker
from scrapy_t8.core.retry.policy import Policy
from scrapy_t8.core.retry.system import RetrySystem
from scrapy_t8.core.run import RunContext
from scrapy_t8.model.codec import Codec
from scrapy_t8.model.job import Identity, Recovery
from scrapy_t8.stores.base import IfDamaged, Store
from scrapy_t8.stores.sqlite import SQLiteStore
from scrapy_t8.utils.hashes import hash63, truncate63

from .commit_loop import CommitLoop
from .job import Job
from .jobdir import default_directory
from .lifecycle import refuse_job_of_scrapy, resume_or_begin
from .page_outputs import PageOutputs

IF_DAMAGED: dict[str, IfDamaged] = {"auto": "refuse", "continue": "salvage", "fresh": "replace"}
"""For each value of T8_RESUME: what to do with a damaged state file."""


class Loaded(NamedTuple):
    """The objects that settings name, loaded before the job is owned: a mistake in the settings must change nothing."""

    policy: Policy
    retry_handlers: dict[str, Any]
    retry_checks: list[Any]
    request_checks: list[Any]
    item_checks: ItemChecks
    item_keys: ItemKeys


def open_job(crawler: Crawler, clock: Callable[[], float] = time.time) -> Job:
    """Lock the job of *crawler*, and begin a run of the job.

    :param clock: the time, in Unix seconds.
    :raises T8Error: if the job cannot be opened; nothing was changed then.
    """
    scrapy_private.check()
    config = Config.from_settings(crawler.settings)
    objects = _load(crawler, config)
    directory = _directory(crawler)
    store = _open_store(directory, config)
    try:
        recovery = _begin_run(crawler, store, config, directory=directory, clock_time=clock())
        job = _build(_context(crawler, config, store, recovery, directory, clock), objects)
    except BaseException:
        store.close()
        raise
    job.begin()
    return job


def _load(crawler: Crawler, config: Config) -> Loaded:
    assert crawler.spider is not None
    named = {**config.retry_handlers, **getattr(crawler.spider, "t8_retry_handlers", {})}
    return Loaded(
        Policy(config.retry_rule(crawler.settings), config.retry_kinds, config.retry_after_cap),
        {kind: load_callable("T8_RETRY_HANDLERS", name) for kind, name in named.items()},
        [load_callable("T8_RETRY_CHECKS", name) for name in config.retry_checks],
        [load_callable("T8_REQUEST_CHECKS", name) for name in config.request_checks],
        ItemChecks.of(config.required_fields, config.item_schema),
        ItemKeys(config.item_key, [*config.item_key_exclude, config.changed_field], crawler.spider),
    )


def _directory(crawler: Crawler) -> Path:
    assert crawler.spider is not None
    return Path(crawler.settings["JOBDIR"] or default_directory(crawler.spider.name))


def _open_store(directory: Path, config: Config) -> Store:
    store = SQLiteStore(directory / "t8", power=config.durability == "power")
    refuse_job_of_scrapy(directory, config.resume)
    store.open(if_damaged=IF_DAMAGED[config.resume])
    return store


def _begin_run(crawler: Crawler, store: Store, config: Config, *, directory: Path, clock_time: float) -> Recovery:
    assert crawler.spider is not None
    arguments = scrapy_private.spider_arguments(crawler)
    identity = Identity.of(crawler.spider.name, arguments, config.ignored_arguments)
    return resume_or_begin(store, identity, config, directory=directory, clock_time=clock_time)


def _context(
    crawler: Crawler, config: Config, store: Store, recovery: Recovery, directory: Path, clock: Callable[[], float]
) -> RunContext:
    return RunContext(
        crawler=crawler,
        config=config,
        directory=directory,
        store=store,
        recovery=recovery,
        codec=Codec(crawler.spider, allow_pickle=config.allow_pickle),
        fingerprint=_fingerprint_of(crawler),
        clock=clock,
    )


def _build(context: RunContext, objects: Loaded) -> Job:
    config, record = context.config, context.record
    expectations = Expectations(context.codec)
    dedup = Dedup(config.dedup, config.dedup_policy, config.dedup_scope)
    ledger = ItemLedger(
        context.store, record, context.recovery.run, keys=objects.item_keys, dedup=dedup, expectations=expectations
    )
    commits = CommitLoop(context, PageOutputs(ledger))
    points = ResumePointTracker.open(context)
    frontier = Frontier(context, commits, points, expectations=expectations)
    items = ItemTracker(context, commits, ledger, checks=objects.item_checks)
    retries = RetrySystem(
        context,
        commits,
        frontier,
        policy=objects.policy,
        handlers=objects.retry_handlers,
        checks=objects.retry_checks,
    )
    job = Job(context, commits, frontier, items=items, retries=retries)
    statistics = RunStatistics(record, ledger, expectations)
    commits.begin(frontier, points, statistics, retries, retries.timer, job)
    return job


def _fingerprint_of(crawler: Crawler) -> Callable[[Request], int]:
    """Return 63 bits of Scrapy's fingerprint; for another fingerprinter a hash, since its bits may not be uniform."""
    fingerprinter = crawler.request_fingerprinter
    assert fingerprinter is not None
    of_request = fingerprinter.fingerprint
    shorten = truncate63 if type(fingerprinter) is RequestFingerprinter else hash63
    return lambda request: shorten(of_request(request))
