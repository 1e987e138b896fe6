"""Every ``T8_*`` setting: its name, default and check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from scrapy.settings import BaseSettings

from scrapy_t8.errors import ConfigError

from .causes import Accepted
from .parsing import bad_value, read_layers, setting_name, unknown
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
Check = Callable[[Any], bool]
CHECKS: tuple[tuple[str, Check, tuple[str, ...]], ...] = (
    ("seconds, above 0 and at most 60", lambda value: 0 < value <= 60, ("commit_interval",)),
    (
        "a whole number of at least 1",
        lambda value: value >= 1,
        (
            *("commit_pages", "crash_limit", "max_failed_tasks", "max_resume_points", "max_workers"),
            "batch_update_size",
        ),
    ),
    ("a whole number of at least 0", lambda value: value >= 0, ("breaker_failures", "body_sample")),
    (
        "seconds of at least 0",
        lambda value: value >= 0,
        (
            *("retry_after_cap", "retry_wait", "breaker_give_up", "failed_task_ttl", "update_interval"),
            *("resume_point_ttl", "stop_grace", "alert_host_down"),
        ),
    ),
    (
        "seconds above 0",
        lambda value: value > 0,
        ("breaker_probe", "retry_handler_timeout", "notify_timeout", "retry_check_interval", "validator_timeout"),
    ),
    ("a part from 0 to 1", lambda value: 0 <= value <= 1, ("alert_items_drop",)),
)
"""What a number must be, in words and as a check, by the names of fields."""
MASK = ("password", "passwd", "secret", "token", "api_key", "apikey", "authorization", "cookie", "session", "signature")
THRESHOLDS = {"failed_task_ratio": 0.1, "retry_success_rate": 0.8, "data_integrity_score": 0.95}
"""An alert fires above the first threshold, and below the others."""


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one job. Each field ``x`` is the setting ``T8_X``.

    :raises ConfigError: naming the setting whose value is invalid.
    """

    durability: str = "process"
    """``process``: nothing is lost when the process dies. ``power``: nor when the machine does."""
    commit_interval: float = 0.05
    """Maximum seconds between a change and its commit."""
    commit_pages: int = 100
    """Maximum number of settled pages in one commit."""
    unserializable: str = "memory"
    """What to do with a request that cannot be stored: ``memory`` runs it from memory, ``error`` stops the crawl."""
    allow_pickle: bool = False
    """Whether values without a safe encoding are pickled. Loading such a job can run code from its file."""
    crash_limit: int = 5
    """Deaths of the process during a page after which the page is tried alone."""
    resume: str = "auto"
    """``continue``: go on although arguments differ or the state is damaged. ``fresh``: begin anew."""
    gc_freeze: bool = True
    """Whether Python's garbage collector ignores, during the crawl, the objects that exist when the crawl begins."""

    retry_base: float = 1.0
    """Maximum seconds before the first retry."""
    retry_factor: float = 2.0
    """Factor by which the maximum grows with each retry."""
    retry_cap: float = 600.0
    """Maximum seconds before any retry."""
    retry_jitter: float = 0.5
    """The random part of each delay: 1 is full jitter, 0 none."""
    retry_kinds: dict[str, Any] = field(default_factory=dict)
    """Other rules for some kinds of failure: ``{"ban": {"times": 1, "base": 60}}``."""
    retry_after_cap: float = 3600.0
    """Maximum seconds that a Retry-After header can demand."""
    retry_wait: float = 600.0
    """An idle crawl stays open for retries that are due within so many seconds, and for a host that is down as long."""
    retry_checks: list[Any] = field(default_factory=list)
    """Callables, or their import paths, that check each response before its callback."""
    retry_handlers: dict[str, Any] = field(default_factory=dict)
    """By task type, a callable, or its import path, that does the retries instead of the crawl."""
    retry_handler_timeout: float = 300.0
    """Maximum seconds that a retry handler may take."""
    breaker_failures: int = 5
    """Different requests that fail, with no answer in between, after which a host is considered down; 0: never."""
    breaker_probe: float = 5.0
    """Seconds before the first probe of a host that is down, and at least between two probes."""
    breaker_probe_cap: float = 300.0
    """Maximum seconds between two probes."""
    breaker_give_up: float = 43200.0
    """Seconds after which the requests of a host that is still down are charged and buried like others."""
    body_sample: int = 2000
    """Bytes of a response that a dead letter keeps."""
    revive_on_code_change: bool = True
    """Whether pages that failed by a bug are tried again when the code of the spider has changed."""
    failed_task_ttl: float = 2592000.0
    """Seconds that a dead letter is kept."""
    max_failed_tasks: int = 1000
    """Maximum number of dead letters; the oldest go first."""

    cursor_waits_for: str = "admission"
    """When a list page is done: ``admission``, once the frontier has its requests; ``details``, once they are done."""
    update_interval: float = 60.0
    """Seconds between two records of a resume point's history."""
    max_resume_points: int = 100
    """Maximum number of records of history."""
    resume_point_ttl: float = 604800.0
    """Seconds that a record of history is kept."""
    closespider_per_job: bool = False
    """Whether ``CLOSESPIDER_*`` counts over all runs of a job, rather than in each."""
    stop_grace: float = 8.0
    """Seconds that a stop waits for requests in flight, before they return to the queue; 0: without a limit."""

    item_key: Any = None
    """The key of an item: a field, several fields, a callable or its import path; or a dict of these by class."""
    item_key_exclude: list[Any] = field(default_factory=list)
    """Fields that are left out where items are compared by their content."""
    dedup: str = "keyed"
    """``keyed``: drop an item whose key was exported before. ``all``: also an item without a key whose content was."""
    dedup_policy: str = "first"
    """Which of several items with the same key stays: the ``first``, the ``last``, or each that has ``changed``."""
    dedup_scope: str = "job"
    """How long a key is remembered: for a ``run``, a ``job``, or for all jobs of the directory (``spider``)."""
    changed_field: str = ""
    """The field for the names of changed fields, with T8_DEDUP_POLICY = "changed"; empty: none."""
    expect_file: str = ""
    """A file with the keys of the expected items, one in a line."""
    expect_sitemaps: list[Any] = field(default_factory=list)
    """Sitemaps, as URLs or files, with a URL for each expected item."""
    expect_last: bool = False
    """Whether all items of the last good job of the spider are expected."""

    enable_integrity_check: bool = True
    """Whether items are checked, and each run ends with a report."""
    required_fields: Any = None
    """Fields that each item must have; or a dict of such lists by class."""
    field_coverage: dict[str, Any] = field(default_factory=dict)
    """By field, the part of the items that must have it, from 0 to 1; or a dict of these by class."""
    item_schema: dict[str, Any] = field(default_factory=dict)
    """By class, a JSON Schema (a dict, or the path of a file) or a pydantic model that validates its items."""
    invalid_items: str = "keep"
    """What to do with invalid items: ``keep`` and count them, ``drop`` them, or ``bury`` their page."""
    validator: Any = None
    """A subclass of ``ResumeValidator``, or its import path, whose findings go into the report."""
    accept: list[Any] = field(default_factory=list)
    """Causes for which requests may end without a result in a complete job: ``["status:404"]``."""
    validator_timeout: float = 300.0
    """Maximum seconds that T8_VALIDATOR may take."""
    report_dir: str = ""
    """The directory of the report; empty: ``report`` in the job directory."""
    report_mask: list[Any] = field(default_factory=lambda: list(MASK))
    """Parts of the names whose values a report hides."""
    alert_thresholds: dict[str, Any] = field(default_factory=lambda: dict(THRESHOLDS))
    """Alert if failed_task_ratio is above its threshold, or another metric below. Missing ones keep their defaults."""
    alert_items_drop: float = 0.1
    """Alert if the items are fewer than those of the last good job by more than this part, at least."""
    alert_host_down: float = 3600.0
    """Alert if a host is down for more seconds; 0: never."""
    notify_urls: list[Any] = field(default_factory=list)
    """URLs of Apprise to which alerts are sent."""
    notify_timeout: float = 20.0
    """Maximum seconds that sending may take."""
    exit_status: bool = False
    """Whether ``scrapy crawl`` exits with 3 if the job is not complete, and with 4 if there are alerts."""

    env: str = ""
    """The profile of defaults: development, testing, production; empty: none."""
    state_dir: str = "data/state"
    """The directory of the service's state. A crawl has its job directory."""
    max_workers: int = 3
    """Maximum number of retry handlers that the service runs at the same time."""
    retry_check_interval: float = 60.0
    """Seconds between two searches of the service for due tasks. Its own tasks do not wait for the next search."""
    enable_auto_retry: bool = True
    """Whether the service retries tasks, or only collects them."""
    enable_metrics: bool = False
    """Whether the service logs its metrics and alerts at each search."""
    log_level: str = "INFO"
    """The log level of the service."""
    batch_update_size: int = 100
    """Maximum number of updates in one commit inside of a batch."""
    enable_compression: bool = True
    """Whether large metadata is stored compressed."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "alert_thresholds", THRESHOLDS | self.alert_thresholds)
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise bad_value(name, getattr(self, name), "one of " + ", ".join(filter(None, allowed)))
        for expected, holds, names in CHECKS:
            for name in names:
                if not holds(getattr(self, name)):
                    raise bad_value(name, getattr(self, name), expected)
        Accepted(self.accept)
        if self.breaker_probe_cap < self.breaker_probe:
            raise bad_value("breaker_probe_cap", self.breaker_probe_cap, "seconds of at least T8_BREAKER_PROBE")

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Config:
        """Return the configuration from *settings*, the environment, ``.env`` and a profile, the strongest first.

        :raises ConfigError: for an unknown ``T8_*`` name, or an invalid value.
        """
        return effective(settings).config

    def retry_rule(self, settings: BaseSettings | None = None) -> dict[str, Any]:
        """Return what the retries of all kinds of failure have in common, for a ``Policy``.

        :param settings: those of a crawl, whose RETRY_TIMES counts if the user has set it.
        """
        rule: dict[str, Any] = {name: getattr(self, f"retry_{name}") for name in ("base", "factor", "cap", "jitter")}
        if settings is not None and settings.getpriority("RETRY_TIMES"):
            rule["times"] = settings.getint("RETRY_TIMES")
        return rule


@dataclass(frozen=True, slots=True)
class Effective:
    """The effective configuration, and the origin of each field's value."""

    config: Config
    origins: dict[str, str]


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
