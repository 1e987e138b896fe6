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
    """The settings of one job. Each field ``x`` is the setting ``T8_X``; ``topics.py`` says what it is.

    :raises ConfigError: naming the setting whose value is invalid.
    """

    durability: str = "process"
    commit_interval: float = 0.05
    commit_pages: int = 100
    unserializable: str = "memory"
    allow_pickle: bool = False
    stored_classes: list[Any] = field(default_factory=list)
    crash_limit: int = 5
    resume: str = "auto"
    done_reasons: list[Any] = field(default_factory=list)
    skip_finished: float = 0.0
    ignored_arguments: list[Any] = field(default_factory=list)
    gc_freeze: bool = True

    retry_base: float = 1.0
    retry_factor: float = 2.0
    retry_cap: float = 600.0
    retry_jitter: float = 0.5
    retry_kinds: dict[str, Any] = field(default_factory=dict)
    retry_types: dict[str, Any] = field(default_factory=dict)
    retry_after_cap: float = 3600.0
    retry_wait: float = 600.0
    retry_checks: list[Any] = field(default_factory=list)
    request_checks: list[Any] = field(default_factory=list)
    retry_handlers: dict[str, Any] = field(default_factory=dict)
    retry_handler_timeout: float = 300.0
    outage_errors: list[Any] = field(default_factory=list)
    breaker_failures: int = 5
    breaker_probe: float = 5.0
    breaker_probe_cap: float = 300.0
    breaker_give_up: float = 43200.0
    body_sample: int = 2000
    revive_on_code_change: bool = True
    failed_task_ttl: float = 2592000.0
    max_failed_tasks: int = 1000

    cursor_waits_for: str = "admission"
    update_interval: float = 60.0
    max_resume_points: int = 100
    resume_point_ttl: float = 604800.0
    closespider_per_job: bool = False
    job_stats: bool = False
    stop_grace: float = 8.0

    item_key: Any = None
    item_key_exclude: list[Any] = field(default_factory=list)
    dedup: str = "keyed"
    dedup_policy: str = "first"
    dedup_scope: str = "job"
    changed_field: str = ""
    expect_file: str = ""
    expect_sitemaps: list[Any] = field(default_factory=list)
    expect_last: bool = False

    enable_integrity_check: bool = True
    required_fields: Any = None
    field_coverage: dict[str, Any] = field(default_factory=dict)
    item_schema: dict[str, Any] = field(default_factory=dict)
    invalid_items: str = "keep"
    validator: Any = None
    validator_timeout: float = 300.0
    accept: list[Any] = field(default_factory=list)
    report_dir: str = ""
    report_mask: list[Any] = field(default_factory=lambda: list(NAMES))
    alert_thresholds: dict[str, Any] = field(default_factory=THRESHOLDS.copy)
    alert_items_drop: float = 0.1
    alert_host_down: float = 3600.0
    alert_interval: float = 60.0
    notify_urls: list[Any] = field(default_factory=list)
    notify_timeout: float = 20.0
    exit_status: bool = False

    env: str = ""
    state_dir: str = "data/state"
    max_workers: int = 3
    retry_check_interval: float = 60.0
    enable_auto_retry: bool = True
    enable_metrics: bool = False
    log_level: str = "INFO"
    log_file: str = ""
    batch_update_size: int = 100
    enable_compression: bool = True

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

    def lines(self, rows: list[dict[str, Any]] | None = None) -> Iterator[str]:
        """Yield the lines of a table of settings with value and origin: of *rows*, or of all."""
        table = [
            (row["setting"], json.dumps(row["value"], ensure_ascii=False, default=repr), row["origin"])
            for row in (self.rows() if rows is None else rows)
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
