"""Opens the job of a crawl: creates all of its parts, from the bottom up."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple

from scrapy import Request, Spider
from scrapy.crawler import Crawler
from scrapy.utils.request import RequestFingerprinter

from scrapy_t8.config.parsing import load_callable
from scrapy_t8.config.settings import Config
from scrapy_t8.core import scrapy_private
from scrapy_t8.core.frontier.dead_letter_outbox import DeadLetterLimit
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
from scrapy_t8.model.job import Identity
from scrapy_t8.stores.base import IfDamaged
from scrapy_t8.stores.sqlite.store import SQLiteStore
from scrapy_t8.utils.hashes import hash63, truncate63
from scrapy_t8.utils.log.loggers import secrets

from .commit_loop import CommitLoop
from .job import Job
from .jobdir import job_directory
from .leaving import done_reasons
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
    done_reasons: frozenset[str]


def open_job(crawler: Crawler, clock: Callable[[], float] = time.time) -> Job:
    """Lock the job of *crawler*, and begin a run of the job.

    :param clock: the time, in Unix seconds.
    :raises T8Error: if the job cannot be opened; nothing was changed then.
    """
    scrapy_private.check()
    spider = crawler.spider
    assert spider is not None
    config = Config.from_settings(crawler.settings)
    secrets.hide(map(str, config.report_mask))
    objects = _load(crawler, spider, config)
    identity = Identity.of(spider.name, scrapy_private.spider_arguments(crawler), config.ignored_arguments)
    directory = job_directory(crawler.settings["JOBDIR"], identity)
    store = SQLiteStore(directory / "t8", power=config.durability == "power")
    refuse_job_of_scrapy(directory, config.resume)
    store.open(if_damaged=IF_DAMAGED[config.resume])
    try:
        context = RunContext(
            crawler=crawler,
            config=config,
            directory=directory,
            store=store,
            recovery=resume_or_begin(store, identity, config, directory=directory, clock_time=clock()),
            codec=Codec(
                spider, allow_pickle=config.allow_pickle, classes=[str(name) for name in config.stored_classes]
            ),
            fingerprint=_fingerprint_of(crawler),
            clock=clock,
            done_reasons=objects.done_reasons,
        )
        job = _build(context, objects)
    except BaseException:
        store.close()
        raise
    job.begin()
    return job


def _load(crawler: Crawler, spider: Spider, config: Config) -> Loaded:
    named = {**config.retry_handlers, **getattr(spider, "t8_retry_handlers", {})}
    return Loaded(
        Policy(config.retry_rule(crawler.settings), config.retry_kinds, config.retry_after_cap),
        {kind: load_callable("T8_RETRY_HANDLERS", name) for kind, name in named.items()},
        [load_callable("T8_RETRY_CHECKS", name) for name in config.retry_checks],
        [load_callable("T8_REQUEST_CHECKS", name) for name in config.request_checks],
        ItemChecks(config.required_fields, config.item_schema),
        ItemKeys(config.item_key, [*config.item_key_exclude, config.changed_field], spider),
        done_reasons(config, spider),
    )


def _build(context: RunContext, objects: Loaded) -> Job:
    config, record = context.config, context.record
    expectations = Expectations(context.codec)
    dedup = Dedup(config.dedup, config.dedup_policy, config.dedup_scope)
    ledger = ItemLedger(
        context.store, record, context.recovery.run, keys=objects.item_keys, dedup=dedup, expectations=expectations
    )
    commits = CommitLoop(context, PageOutputs(ledger))
    points = ResumePointTracker(context)
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
    commits.begin(frontier, points, statistics, retries, retries.timer, DeadLetterLimit(context), job)
    return job


def _fingerprint_of(crawler: Crawler) -> Callable[[Request], int]:
    """Return 63 bits of Scrapy's fingerprint; for another fingerprinter a hash, since its bits may not be uniform."""
    fingerprinter = crawler.request_fingerprinter
    assert fingerprinter is not None
    of_request = fingerprinter.fingerprint
    shorten = truncate63 if type(fingerprinter) is RequestFingerprinter else hash63
    return lambda request: shorten(of_request(request))
