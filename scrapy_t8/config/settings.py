"""Every ``T8_*`` setting: its name, default and check. Where their values come from is told in :mod:`.layers`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import MISSING, dataclass, field, fields
from difflib import get_close_matches
from os import PathLike
from typing import Any

from scrapy.settings import BaseSettings
from scrapy.utils.misc import load_object

from scrapy_t8.errors import ConfigError

from .sources import ENV, PREFIX, PROFILES, layers

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
MASK = ("password", "passwd", "secret", "token", "api_key", "apikey", "authorization", "cookie", "session", "signature")
COUNTS = ("commit_pages", "crash_limit", "max_failed_tasks", "max_resume_points", "max_workers", "batch_update_size")
POINTS = ("update_interval", "resume_point_ttl", "stop_grace", "alert_host_down")
THRESHOLDS = {"failed_task_ratio": 0.1, "retry_success_rate": 0.8, "data_integrity_score": 0.95}
DEFAULT = "the default"
"""The origin of a value that nobody has given."""
TRUE = {"1", "true", "yes", "on"}
FALSE = {"0", "false", "no", "off", ""}


@dataclass(frozen=True, slots=True)
class Config:
    """The settings of one job. Each field ``x`` is the setting ``T8_X``.

    :raises ConfigError: naming the setting, for a value that makes no sense.
    """

    durability: str = "process"
    """``process``: nothing is lost when the process dies. ``power``: nor when the machine does."""
    commit_interval: float = 0.05
    """Seconds between a change and its commit, at the most."""
    commit_pages: int = 100
    """Settled pages in one commit, at the most."""
    unserializable: str = "memory"
    """A request that cannot be stored: ``memory`` runs it from memory, ``error`` stops the crawl."""
    allow_pickle: bool = False
    """Store with pickle what has no safe encoding. Loading such a job runs code from its file."""
    crash_limit: int = 5
    """Deaths of the process during a page, before the page is tried alone."""
    resume: str = "auto"
    """``continue``: go on although arguments differ or the state is damaged. ``fresh``: begin anew."""

    gc_freeze: bool = True
    """Whether Python's garbage collector leaves out what is there when the crawl begins, as long as it runs."""

    retry_base: float = 1.0
    """Seconds before the first retry, at the most."""
    retry_factor: float = 2.0
    """How much longer each next delay may be."""
    retry_cap: float = 600.0
    """Seconds that no delay exceeds."""
    retry_jitter: float = 1.0
    """The part of each delay that is drawn by chance: 1 is full jitter, 0 none."""
    retry_kinds: dict[str, Any] = field(default_factory=dict)
    """What is otherwise for some kinds of failure: ``{"ban": {"times": 1, "base": 60}}``."""
    retry_after_cap: float = 3600.0
    """Seconds that a Retry-After header may ask for, at the most."""
    retry_wait: float = 600.0
    """An otherwise idle crawl stays open for retries that are due within so many seconds."""
    retry_checks: list[Any] = field(default_factory=list)
    """Response checks: callables, or their import paths, that look at a response before the callback."""
    retry_handlers: dict[str, Any] = field(default_factory=dict)
    """What does the retries of a task type in place of the crawl: callables, or their import paths."""
    retry_handler_timeout: float = 300.0
    """Seconds that a handler may take."""
    breaker_failures: int = 5
    """Different requests that fail in a row before a host is thought to be down; 0: it never is."""
    breaker_probe: float = 5.0
    """Seconds before the first probe of a host that is down. Each next interval is twice as long."""
    breaker_probe_cap: float = 300.0
    """Seconds between two probes, at the most."""
    breaker_give_up: float = 86400.0
    """Seconds after which the requests of a host that is still down are charged, and buried, like any others."""
    body_sample: int = 2000
    """Bytes of a response that are kept in a dead letter."""
    revive_on_code_change: bool = True
    """Pages that failed by a bug are tried again when the code of the spider has changed."""
    failed_task_ttl: float = 2592000.0
    """Seconds that a dead letter is kept."""
    max_failed_tasks: int = 1000
    """Dead letters that are kept; the oldest go first."""

    cursor_waits_for: str = "admission"
    """When a list page is done: ``admission``, once the frontier has its requests; ``details``, once these are done."""
    update_interval: float = 60.0
    """Seconds between two records of a resume point's history."""
    max_resume_points: int = 100
    """Records of history that are kept."""
    resume_point_ttl: float = 604800.0
    """Seconds that a record of history is kept."""
    closespider_per_job: bool = False
    """Whether ``CLOSESPIDER_*`` counts over all runs of a job, rather than in each."""
    stop_grace: float = 8.0
    """Seconds that a stop waits for what is in flight, before it is given back; 0: however long it takes."""

    item_key: Any = None
    """What tells one item from another: a field, several, a callable or its import path; or these by class."""
    item_key_exclude: list[Any] = field(default_factory=list)
    """Fields that do not count where items are told apart by their content."""
    dedup: str = "keyed"
    """``keyed``: an item whose key was there before is dropped. ``all``: also one without a key whose content was."""
    dedup_policy: str = "first"
    """Which of several stays: the ``first``, the ``last``, or each that has ``changed``."""
    dedup_scope: str = "job"
    """How long a key is remembered: for a ``run``, a ``job``, or for all jobs of the directory (``spider``)."""
    changed_field: str = ""
    """The field of an item that is to name what has changed, with T8_DEDUP_POLICY = "changed"; empty: none."""
    expect_file: str = ""
    """A file of keys of items that should be there, one in a line."""
    expect_sitemaps: list[Any] = field(default_factory=list)
    """Sitemaps, as URLs or files: for each URL in them there should be an item."""
    expect_last: bool = False
    """Whether all items should be there that the last good job of the spider had."""

    enable_integrity_check: bool = True
    """Whether items are checked, and each run ends with a report."""
    required_fields: Any = None
    """Fields that each item must have; or a dict of such lists by class."""
    field_coverage: dict[str, Any] = field(default_factory=dict)
    """In which part of the items a field must be filled, from 0 to 1; or a dict of these by class."""
    item_schema: dict[str, Any] = field(default_factory=dict)
    """By class, a JSON Schema (a dict, or the path of a file) or a pydantic model that its items have to meet."""
    invalid_items: str = "keep"
    """What becomes of others: ``keep`` and count them, ``drop`` them, or ``bury`` their page."""
    validator: Any = None
    """A subclass of ``ResumeValidator``, or its import path: what it finds stands in the report."""
    report_dir: str = ""
    """Where the report goes; empty: into ``report`` in the job directory."""
    report_mask: list[Any] = field(default_factory=lambda: list(MASK))
    """Parts of names whose values are not shown in a report."""
    alert_thresholds: dict[str, Any] = field(default_factory=lambda: dict(THRESHOLDS))
    """Over the first, or under one of the others, it is an alert. What is not named keeps its default."""
    alert_items_drop: float = 0.1
    """By which part the items may be fewer than those of the last good job, at least, before it is an alert."""
    alert_host_down: float = 3600.0
    """Seconds that a host may be down before it is an alert."""
    notify_urls: list[Any] = field(default_factory=list)
    """Where alerts are sent: URLs of Apprise."""
    notify_timeout: float = 20.0
    """Seconds that sending may take."""
    exit_status: bool = False
    """Whether ``scrapy crawl`` ends with 3 if the job is not complete, and with 4 if there are alerts."""

    env: str = ""
    """The profile that gives defaults of its own: development, testing, production; empty: none."""
    state_dir: str = "data/state"
    """Where the service keeps its state; a crawl has its job directory."""
    max_workers: int = 3
    """Retry handlers of the service that run at once, at the most."""
    retry_check_interval: float = 60.0
    """Seconds between two looks of the service for tasks that are due; for those that it knows of it does not wait."""
    enable_auto_retry: bool = True
    """Whether the service retries; else it only collects."""
    enable_metrics: bool = False
    """Whether the service tells its metrics and alerts in the log, with each look."""
    log_level: str = "INFO"
    """Of the service's log."""
    batch_update_size: int = 100
    """Updates that one commit takes inside of a batch, at the most."""
    enable_compression: bool = True
    """Whether large metadata is stored compressed."""

    def __post_init__(self) -> None:
        # What is frozen is frozen from here on.
        object.__setattr__(self, "alert_thresholds", THRESHOLDS | self.alert_thresholds)
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise _bad(name, getattr(self, name), "one of " + ", ".join(filter(None, allowed)))
        if not 0 < self.commit_interval <= 60:
            raise _bad("commit_interval", self.commit_interval, "seconds, above 0 and at most 60")
        for name in COUNTS:
            if getattr(self, name) < 1:
                raise _bad(name, getattr(self, name), "a whole number of at least 1")
        for name in ("breaker_failures", "body_sample"):
            if getattr(self, name) < 0:
                raise _bad(name, getattr(self, name), "a whole number of at least 0")
        for name in ("retry_after_cap", "retry_wait", "breaker_give_up", "failed_task_ttl", *POINTS):
            if not getattr(self, name) >= 0:
                raise _bad(name, getattr(self, name), "seconds of at least 0")
        if not 0 <= self.alert_items_drop <= 1:
            raise _bad("alert_items_drop", self.alert_items_drop, "a part from 0 to 1")
        for name in ("breaker_probe", "retry_handler_timeout", "notify_timeout", "retry_check_interval"):
            if not getattr(self, name) > 0:
                raise _bad(name, getattr(self, name), "seconds above 0")
        if self.breaker_probe_cap < self.breaker_probe:
            raise _bad("breaker_probe_cap", self.breaker_probe_cap, "seconds of at least T8_BREAKER_PROBE")

    @classmethod
    def from_settings(cls, settings: Mapping[str, Any]) -> Config:
        """Read the ``T8_*`` names of *settings*, of the environment, of a ``.env`` file, of a profile, in this order.

        :raises ConfigError: for a name that does not exist or a value of the wrong type.
        """
        return effective(settings).config

    def retry_rule(self, settings: BaseSettings) -> dict[str, Any]:
        """What all kinds of failure have in common; with RETRY_TIMES, if the user has set it."""
        rule: dict[str, Any] = {name: getattr(self, f"retry_{name}") for name in ("base", "factor", "cap", "jitter")}
        if settings.getpriority("RETRY_TIMES"):
            rule["times"] = settings.getint("RETRY_TIMES")
        return rule


@dataclass(frozen=True, slots=True)
class Effective:
    """The configuration that holds, and for each field where its value comes from."""

    config: Config
    origins: dict[str, str]


def effective(given: Mapping[str, Any], origin: str = "the Scrapy settings") -> Effective:
    """What holds when *given* (by ``T8_*`` names; others are passed over) is stronger than all else.

    :raises ConfigError: naming the setting and its origin.
    """
    known = {f"{PREFIX}{field.name.upper()}": field for field in fields(Config)}
    values: dict[str, Any] = {}
    origins = dict.fromkeys((field.name for field in known.values()), DEFAULT)
    ours = {str(name): value for name, value in given.items() if str(name).startswith(PREFIX)}
    for layer in layers(ours, origin):
        for name, value in layer.values.items():
            if name not in known:
                raise ConfigError(f"{_unknown(name, known)} (from {layer.origin})")
            field = known[name]
            # Also where another one is stronger: what is wrong is not to wait for that to go.
            typed = _from(layer.origin, _typed, field, value)
            if field.name not in values and not (name == ENV and not value):
                values[field.name], origins[field.name] = typed, layer.origin
    try:
        return Effective(Config(**values), origins)
    except ConfigError as error:
        culprit = known.get(str(error).split()[0])
        raise ConfigError(f"{error} (from {origins[culprit.name]})" if culprit else str(error)) from None


def get_config(env: str | None = None) -> Config:
    """The configuration of the profile *env*, or of the one that T8_ENV names, under the environment and ``.env``.

    :raises ConfigError: for a profile, a name or a value that there is not.
    """
    return effective({} if env is None else {ENV: _known_env(env)}, "get_config").config


def from_dict(given: Mapping[str, Any]) -> Config:
    """The configuration of a dict with the names of the fields as keys. What it does not name is as ever.

    :raises ConfigError: naming what is unknown or makes no sense.
    """
    names = [field.name for field in fields(Config)]
    for name in given:
        if name not in names:
            raise ConfigError(f"{_unknown(str(name), names)} (from the dict)")
    return effective({f"{PREFIX}{name.upper()}": value for name, value in given.items()}, "the dict").config


def _known_env(env: str) -> str:
    if env not in PROFILES:
        raise ConfigError(f"{ENV} is {env!r}, but must be one of {', '.join(PROFILES)} (from get_config)")
    return env


def _from(origin: str, convert: Callable[[Any, Any], Any], field: Any, value: Any) -> Any:
    try:
        return convert(field, value)
    except ConfigError as error:
        raise ConfigError(f"{error} (from {origin})") from None


def loaded(setting: str, path: Any) -> Any:
    """The callable at an import *path*, or the callable that it is.

    :raises ConfigError: naming the setting, if there is none.
    """
    try:
        found = load_object(path)
    except (ImportError, NameError, TypeError, ValueError) as error:
        raise ConfigError(f"{setting} names {path!r}, which cannot be loaded: {error}") from None
    if not callable(found):
        raise ConfigError(f"{setting} names {path!r}, which cannot be called")
    return found


def _unknown(name: str, known: Iterable[str]) -> str:
    near = get_close_matches(name, list(known), n=1)
    hint = f"did you mean {near[0]}?" if near else "the settings are " + ", ".join(sorted(known))
    return f"there is no setting {name}: {hint}"


def _typed(field: Any, value: Any) -> Any:
    """*value*, which may come from a command line as text, as the type of the field's default."""
    kind = type(field.default if field.default is not MISSING else field.default_factory())
    if kind is type(None):  # of several kinds: whoever uses it looks at it
        return value.copy_to_dict() if isinstance(value, BaseSettings) else value
    try:
        if kind is bool:
            return _bool(value)
        if kind in (dict, list):
            return _collection(kind, value)
        if kind is not str and isinstance(value, bool):
            raise ValueError
        if kind is str and not isinstance(value, (str, PathLike)):
            raise ValueError
        if kind is int and isinstance(value, float) and not value.is_integer():
            raise ValueError
        return kind(value)
    except (TypeError, ValueError):
        expected = {bool: "true or false", dict: "a dict, or one as JSON", list: "a list, or one as JSON"}
        raise _bad(field.name, value, expected.get(kind, f"of type {kind.__name__}")) from None


def _collection(kind: type, value: Any) -> Any:
    value = json.loads(value) if isinstance(value, str) else value
    if isinstance(value, (BaseSettings, tuple)):  # what Scrapy makes of a dict
        value = kind(value)
    if not isinstance(value, kind):
        raise ValueError(value)
    return value


def _bool(value: Any) -> bool:
    text = str(value).strip().lower()
    if text in TRUE:
        return True
    if text in FALSE:
        return False
    raise ValueError(value)


def _bad(name: str, value: Any, expected: str) -> ConfigError:
    return ConfigError(f"T8_{name.upper()} is {value!r}, but must be {expected}")
