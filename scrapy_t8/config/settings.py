"""Every ``T8_*`` setting: its name, default and check."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import field, fields
from typing import Any, NamedTuple

from scrapy.settings import BaseSettings

from scrapy_t8.errors import ConfigError
from scrapy_t8.utils.classes import record_class
from scrapy_t8.utils.log.mask import NAMES

from .causes import Accepted
from .parsing import bad_value, checked_reasons, read_layers, setting_name, unknown
from .sources import ENV, PROFILES

CHOICES = {
    "env": ("", *PROFILES),
    "log_level": ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"),
    "durability": ("process", "power"),
    "unserializable": ("memory", "error"),
    "resume": ("auto", "continue", "fresh"),
    "cursor_waits_for": ("admission", "details"),
    "dedup": ("keyed", "all", "off"),
    "dedup_policy": ("first", "last", "changed"),
    "dedup_scope": ("run", "job", "spider"),
    "invalid_items": ("keep", "drop", "bury"),
}
CHECKS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "seconds, above 0 and at most 60": (lambda value: 0 < value <= 60, "commit_interval"),
    "seconds above 0": (
        lambda value: value > 0,
        "breaker_probe retry_handler_timeout notify_timeout retry_check_interval validator_timeout",
    ),
    "seconds of at least 0": (
        lambda value: value >= 0,
        (
            "skip_finished retry_after_cap retry_wait breaker_give_up failed_task_ttl update_interval resume_point_ttl "
            "stop_grace alert_host_down alert_interval"
        ),
    ),
    "a whole number of at least 0": (lambda value: value >= 0, "breaker_failures body_sample"),
    "a whole number of at least 1": (
        lambda value: value >= 1,
        "commit_pages crash_limit max_failed_tasks max_resume_points max_workers batch_update_size",
    ),
    "a part from 0 to 1": (lambda value: 0 <= value <= 1, "alert_items_drop"),
}
"""What a number must be, in words: as a check, and the fields that it is about."""
SECRET = ("notify_urls",)  # Fields whose values contain passwords
WIDEST = 60  # Maximum width of a column of a table of settings
THRESHOLDS = {"failed_task_ratio": 0.1, "retry_success_rate": 0.8, "data_integrity_score": 0.95}
"""An alert fires above the first threshold, and below the others."""


@record_class(frozen=True, slots=True)
class Config:
    """The settings of one job. Each field ``x`` is the setting ``T8_X``, which docs/settings.md describes.

    :raises ConfigError: naming the setting whose value is invalid.
    """

    durability: str = "process"  # "power": nothing is lost when the machine dies, either
    commit_interval: float = 0.05  # maximum seconds between a change and its commit
    commit_pages: int = 100  # maximum number of settled pages in one commit
    unserializable: str = "memory"  # a request that cannot be stored runs from "memory", or is an "error"
    allow_pickle: bool = False  # pickle values without a safe encoding; loading them can run code
    stored_classes: list[Any] = field(default_factory=list)  # more classes whose objects are stored by attributes
    crash_limit: int = 5  # deaths of the process during a page after which the page is tried alone
    resume: str = "auto"  # "continue" in spite of other arguments or damage; "fresh": begin anew
    done_reasons: list[Any] = field(default_factory=list)  # close reasons with which the job has finished
    skip_finished: float = 0.0  # seconds for which a finished job is not begun anew
    ignored_arguments: list[Any] = field(default_factory=list)  # spider arguments that do not tell jobs apart
    gc_freeze: bool = True  # whether the garbage collector ignores what exists when the crawl begins

    retry_base: float = 1.0  # maximum seconds before the first retry
    retry_factor: float = 2.0  # by which the maximum grows with each retry
    retry_cap: float = 600.0  # maximum seconds before any retry
    retry_jitter: float = 0.5  # the random part of each delay: 1 is full jitter, 0 none
    retry_kinds: dict[str, Any] = field(default_factory=dict)  # other rules for some kinds: {"ban": {"times": 1}}
    retry_types: dict[str, Any] = field(default_factory=dict)  # of the service: other rules for some task types
    retry_after_cap: float = 3600.0  # maximum seconds that a Retry-After header can demand
    retry_wait: float = 600.0  # an idle crawl stays open so many seconds, for retries and hosts that are down
    retry_checks: list[Any] = field(default_factory=list)  # callables, or paths, that check each response
    request_checks: list[Any] = field(default_factory=list)  # paths of checks that a request may name in its meta
    retry_handlers: dict[str, Any] = field(default_factory=dict)  # by task type, what retries instead of the crawl
    retry_handler_timeout: float = 300.0  # maximum seconds that a retry handler may take
    outage_errors: list[Any] = field(default_factory=list)  # paths of errors of pipelines that are outages, too
    breaker_failures: int = 5  # requests that fail with no answer in between: a host is down; 0: never
    breaker_probe: float = 5.0  # minimum seconds between two probes of a host that is down
    breaker_probe_cap: float = 300.0  # maximum seconds between two probes
    breaker_give_up: float = 43200.0  # seconds after which a host that is down is given up
    body_sample: int = 2000  # bytes of a response that a dead letter keeps
    revive_on_code_change: bool = True  # try pages that failed by a bug again when the code has changed
    failed_task_ttl: float = 2592000.0  # seconds that a dead letter is kept
    max_failed_tasks: int = 1000  # maximum number of dead letters; the oldest go first

    cursor_waits_for: str = "admission"  # when a list page is done: after the "admission" of its requests, or their end
    update_interval: float = 60.0  # seconds between two records of a resume point's history
    max_resume_points: int = 100  # maximum number of records of history
    resume_point_ttl: float = 604800.0  # seconds that a record of history is kept
    closespider_per_job: bool = False  # whether CLOSESPIDER_* counts over all runs of a job
    job_stats: bool = False  # whether a run ends with the statistics of all runs of its job, as "t8/job/..."
    stop_grace: float = 8.0  # seconds that a stop waits for requests in flight; 0: without a limit

    item_key: Any = None  # a field, fields, a callable or its path; or a dict of these by class
    item_key_exclude: list[Any] = field(default_factory=list)  # fields that do not count as content
    dedup: str = "keyed"  # "keyed": drop an item whose key was exported before; "all": or its content
    dedup_policy: str = "first"  # which of several items with one key stay: "first", "last", each "changed" one
    dedup_scope: str = "job"  # a key is remembered for a "run", a "job" or all jobs of the "spider"
    changed_field: str = ""  # the field for the names of changed fields; empty: none
    expect_file: str = ""  # a file with the keys of the expected items, one in a line
    expect_sitemaps: list[Any] = field(default_factory=list)  # URLs or files, with a URL for each item
    expect_last: bool = False  # whether all items of the last good job are expected

    enable_integrity_check: bool = True  # whether items are checked, and each run ends with a report
    required_fields: Any = None  # fields of each item; or a dict of such lists by class
    field_coverage: dict[str, Any] = field(default_factory=dict)  # by field, the part of the items that has it
    item_schema: dict[str, Any] = field(default_factory=dict)  # by class, a JSON Schema or a pydantic model
    invalid_items: str = "keep"  # "keep" and count them, "drop" them, or "bury" their page
    validator: Any = None  # a subclass of ResumeValidator, or its import path
    validator_timeout: float = 300.0  # maximum seconds that T8_VALIDATOR may take
    accept: list[Any] = field(default_factory=list)  # causes for which requests may end without a result
    report_dir: str = ""  # empty: "report" in the job directory
    report_mask: list[Any] = field(default_factory=lambda: list(NAMES))  # parts of the names whose values nothing shows
    alert_thresholds: dict[str, Any] = field(default_factory=THRESHOLDS.copy)  # missing ones keep their defaults
    alert_items_drop: float = 0.1  # alert if more than this part is missing, compared with the last good job
    alert_host_down: float = 3600.0  # alert if a host is down for more seconds; 0: never
    alert_interval: float = 60.0  # seconds between two looks for alerts while a crawl runs; 0: only at its end
    notify_urls: list[Any] = field(default_factory=list)  # URLs of Apprise to which alerts are sent
    notify_timeout: float = 20.0  # maximum seconds that sending may take
    exit_status: bool = False  # whether "scrapy crawl" exits with 3 if incomplete, with 4 if there are alerts

    env: str = ""  # the profile of defaults: development, testing, production; empty: none
    state_dir: str = "data/state"  # of the service; a crawl has its job directory
    max_workers: int = 3  # retry handlers that the service runs at the same time
    retry_check_interval: float = 60.0  # seconds between two searches of the service for due tasks
    enable_auto_retry: bool = True  # whether the service retries tasks, or only collects them
    enable_metrics: bool = False  # whether the service logs its metrics and alerts at each search
    log_level: str = "INFO"  # of the service
    log_file: str = ""  # a file for the log of the service, beside the log of the program; empty: none
    batch_update_size: int = 100  # maximum number of updates in one commit inside of a batch
    enable_compression: bool = True  # whether large metadata is stored compressed

    def __post_init__(self) -> None:
        object.__setattr__(self, "alert_thresholds", THRESHOLDS | self.alert_thresholds)
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise bad_value(name, getattr(self, name), "one of " + ", ".join(filter(None, allowed)))
        for expected, (holds, names) in CHECKS.items():
            for name in names.split():
                if not holds(getattr(self, name)):
                    raise bad_value(name, getattr(self, name), expected)
        Accepted(self.accept)
        checked_reasons("T8_DONE_REASONS", self.done_reasons)
        if self.breaker_probe_cap < self.breaker_probe:
            raise bad_value("breaker_probe_cap", self.breaker_probe_cap, "seconds of at least T8_BREAKER_PROBE")

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Config:
        """Return the configuration from *settings*, the environment, ``.env`` and a profile, the strongest first.

        :raises ConfigError: for an unknown ``T8_*`` name, or an invalid value.
        """
        return effective(settings).config

    def retry_rule(self, settings: BaseSettings | None = None) -> dict[str, Any]:
        """Return what the retries of all kinds of failure have in common. RETRY_TIMES counts if a crawl sets it."""
        rule: dict[str, Any] = {name: getattr(self, f"retry_{name}") for name in ("base", "factor", "cap", "jitter")}
        if settings is not None and settings.getpriority("RETRY_TIMES"):
            rule["times"] = settings.getint("RETRY_TIMES")
        return rule


class Effective(NamedTuple):
    """The effective configuration, and the origin of each field's value."""

    config: Config
    origins: dict[str, str]

    def rows(self) -> list[dict[str, Any]]:
        """Return key, setting, value and origin of each setting, sorted by key. Passwords are hidden."""
        found = []
        for key, origin in sorted(self.origins.items()):
            value = getattr(self.config, key)
            shown = "***" if key in SECRET and value else value
            found.append({"key": key, "setting": setting_name(key), "value": shown, "origin": origin})
        return found

    def lines(self) -> Iterator[str]:
        """Yield the lines of a table of all settings with value and origin."""
        table = [
            (row["setting"], json.dumps(row["value"], ensure_ascii=False, default=repr), row["origin"])
            for row in self.rows()
        ]
        widths = [min(WIDEST, max(len(row[column]) for row in table)) for column in (0, 1)]
        for name, value, origin in table:
            yield f"{name:<{widths[0]}}  {value:<{widths[1]}}  {origin}"


def effective(given: Mapping[str, Any], origin: str = "the Scrapy settings") -> Effective:
    """Return the effective configuration where *given* is stronger than every other source.

    :param given: values by names with ``T8_``; other names are ignored.
    :param origin: what errors call *given*.
    :raises ConfigError: naming the setting and its origin.
    """
    values, origins = read_layers(Config, given, origin)
    try:
        return Effective(Config(**values), origins)
    except ConfigError as error:
        where = {setting_name(name): source for name, source in origins.items()}.get(str(error).split()[0])
        raise ConfigError(f"{error} (from {where})" if where else str(error)) from None


def get_config(env: str | None = None) -> Config:
    """Return the configuration of the profile *env*, or of T8_ENV. The environment and ``.env`` override the profile.

    :raises ConfigError: for an unknown profile or name, or an invalid value.
    """
    if env is not None and env not in PROFILES:
        raise ConfigError(f"{ENV} is {env!r}, but must be one of {', '.join(PROFILES)} (from get_config)")
    return effective({} if env is None else {ENV: env}, "get_config").config


def from_dict(given: Mapping[str, Any]) -> Config:
    """Return the configuration of a dict with the names of fields as keys. Other fields have their usual values.

    :raises ConfigError: for an unknown key, or an invalid value.
    """
    names = [field.name for field in fields(Config)]
    for name in given:
        if name not in names:
            raise ConfigError(f"{unknown(str(name), names)} (from the dict)")
    return effective({setting_name(name): value for name, value in given.items()}, "the dict").config
