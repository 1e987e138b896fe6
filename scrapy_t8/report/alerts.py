"""Which findings of a report are alerts. Pure: the report, the earlier jobs and the time are arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, NamedTuple

from scrapy_t8.config.settings import THRESHOLDS
from scrapy_t8.core.items.checks import coverage_problems, fraction
from scrapy_t8.errors import ConfigError
from scrapy_t8.utils.times import parse_time

SETTING = "T8_ALERT_THRESHOLDS"
Parts = Mapping[str, tuple[float | None, str]]
"""By the name of a threshold: a part from 0 to 1 (None if unknown), and its description for the message."""

ENOUGH_TRIED = 20  # Requests of which a part says something
OFTEN = 3  # Killed runs of one job that are more than an accident
ENOUGH = 5  # Earlier jobs that are needed to learn from
TO_DEVIATION = 1.4826  # Makes the median absolute deviation of a normal distribution its standard deviation
DEVIATIONS = 3.0
CEILING = 0.9  # A loss above this is an alert whatever the earlier jobs did


class Alert(NamedTuple):
    """A finding for a person. *message* has value and threshold.

    :param setting: the setting that has the threshold; None if no setting has.
    """

    name: str
    setting: str | None
    value: float
    threshold: float
    message: str


def alert_thresholds(value: Any) -> dict[str, float]:
    """Return T8_ALERT_THRESHOLDS with the defaults of the thresholds that it does not name.

    :raises ConfigError: for an unknown name, or a value that is not a number from 0 to 1.
    """
    if not isinstance(value, Mapping):
        raise ConfigError(f"{SETTING} is {value!r}, but must be a dict")
    for name in value:
        if name not in THRESHOLDS:
            raise ConfigError(f"{SETTING}: there is no {name!r}; there are {', '.join(THRESHOLDS)}")
    return THRESHOLDS | {str(name): fraction(given, f"{SETTING}[{name!r}]") for name, given in value.items()}


def alerts_of(
    document: Mapping[str, Any],
    thresholds: Mapping[str, float],
    history: Sequence[int],
    *,
    items_drop: float,
    host_down: float,
    now: float,
    coverage: Mapping[str, Any] | None = None,
) -> list[Alert]:
    """Return the alerts of a report. A value that is not known (null) is no alert.

    :param thresholds: T8_ALERT_THRESHOLDS; *items_drop*, *host_down*, *coverage*: the settings of these names.
    :param history: how many items each earlier finished and complete job of the spider exported, the oldest first.
    :param now: Unix seconds.
    """
    return [
        *by_thresholds(_parts(document), {**THRESHOLDS, **thresholds}),
        *_ledger(document["ledger"]),
        *_items(document, history, items_drop),
        *_deaths(document["runs"]),
        *_hosts(document["hosts"], host_down, now),
        *_coverage(document["coverage"], coverage or {}),
    ]


def _parts(document: Mapping[str, Any]) -> Parts:
    requests, outcomes = document["ledger"]["requests"], document.get("retry_outcomes") or {}
    admitted, dead, waiting = (requests.get(name) or 0 for name in ("admitted", "dead", "waiting"))
    causes = document.get("without_result", {}).get("causes", ())
    dead -= sum(row["dead"] for row in causes if row["accepted"])
    succeeded, buried, untried = (outcomes.get(name) or 0 for name in ("succeeded", "buried", "not_retried"))
    failed, tried = dead + waiting, succeeded + buried - untried
    what = f"of {admitted} requests have failed ({dead} dead, {waiting} waiting)"
    return {
        "failed_task_ratio": (failed / admitted if admitted else None, what),
        "retry_success_rate": (
            succeeded / tried if tried >= ENOUGH_TRIED else None,
            f"of {tried} requests that were retried succeeded in the end",
        ),
        "data_integrity_score": (
            document["validation"].get("integrity_score"),
            "of the expected items are there, once and valid",
        ),
    }


def by_thresholds(parts: Parts, thresholds: Mapping[str, float]) -> Iterator[Alert]:
    """Yield an alert for each of *parts* that is over or under its threshold."""
    for name, (part, what) in parts.items():
        threshold, is_over = thresholds[name], name == "failed_task_ratio"
        if part is not None and (part > threshold if is_over else part < threshold):
            message = f"{_percent(part)} {what}: {'over' if is_over else 'under'} {_percent(threshold)}"
            yield Alert(name, f"{SETTING}[{name!r}]", part, threshold, message)


def _ledger(ledger: Mapping[str, Mapping[str, Any]]) -> Iterator[Alert]:
    off = {name: account["difference"] for name, account in ledger.items() if account.get("difference")}
    if off:
        differences = ", ".join(f"{name} by {difference}" for name, difference in off.items())
        message = (
            f"the ledger does not balance: {differences}, not 0: rows are gone from a feed, or it is a bug of scrapy_t8"
        )
        value = sum(abs(difference) for difference in off.values())
        yield Alert("ledger_unbalanced", None, value, 0, message)


def _items(document: Mapping[str, Any], history: Sequence[int], least: float) -> Iterator[Alert]:
    exported = document["ledger"]["items"].get("exported")
    if exported is None or not document["job"]["finished"] or not history or history[-1] <= 0:
        return
    # Items that an earlier job exported are not exported again, but the site still has them.
    exported += document.get("duplicates", {}).get("again") or 0
    drop, most = 1 - exported / history[-1], tolerance(history, least)
    if drop > most:
        fewer = f"{_percent(drop)} fewer than the {history[-1]} of the last good job"
        message = f"{exported} items, {fewer}: more than {_percent(most)}"
        yield Alert("items_drop", "T8_ALERT_ITEMS_DROP", drop, most, message)


def tolerance(history: Sequence[int], least: float) -> float:
    """Return by which part a job may have fewer items than the last good one.

    The relative changes from job to job show what is usual for the spider: the tolerance is three scaled median
    absolute deviations of these changes, less their median; at most 0.9 and at least *least*. Unlike a standard
    deviation, it is not moved by a single bad job (Leys et al. 2013, doi:10.1016/j.jesp.2013.03.013). With fewer than
    five jobs it is *least*.
    """
    from statistics import median

    changes = [later / earlier - 1 for earlier, later in pairwise(history) if earlier > 0]
    if len(changes) < ENOUGH - 1:
        return least
    middle = median(changes)
    deviation = TO_DEVIATION * median(abs(change - middle) for change in changes)
    return max(least, min(CEILING, DEVIATIONS * deviation - middle))


def _deaths(runs: Sequence[Mapping[str, Any]]) -> Iterator[Alert]:
    killed = sum(run["end"] == "killed" for run in runs)
    if killed >= OFTEN:
        message = f"{killed} of {len(runs)} runs of this job were killed: {OFTEN} or more; the job was recovered"
        yield Alert("run_died", None, killed, OFTEN, message)


def _hosts(hosts: Sequence[Mapping[str, Any]], most: float, now: float) -> Iterator[Alert]:
    for row in hosts if most else ():
        down = now - parse_time(row["open_since"]).timestamp() if row.get("open_since") else 0.0
        if down > most:
            message = f"{row['host']} has been down for {down:.0f} s: longer than {most:g} s"
            yield Alert("host_down", "T8_ALERT_HOST_DOWN", down, most, message)


def alerts_now(
    counts: Mapping[str, int], thresholds: Mapping[str, float], down: Mapping[str, float], host_down: float
) -> dict[str, Alert]:
    """Return the alerts of a crawl that runs, by what each is about.

    :param counts: how many requests are ``done``, ``dead`` and ``waiting``; of those that had failed, how many have
        ``succeeded`` and were ``buried`` in this run, and how many of these were ``not_retried``.
    :param down: for how many seconds each host is down that is.
    """
    failed = counts["dead"] + counts["waiting"]
    ended = counts["succeeded"] + counts["buried"] - counts["not_retried"]
    tried = failed + counts["done"]
    ratio = failed / tried if tried >= ENOUGH_TRIED else None
    rate = counts["succeeded"] / ended if ended >= ENOUGH_TRIED else None
    parts = {
        "failed_task_ratio": (ratio, f"of {tried} requests so far have failed"),
        "retry_success_rate": (rate, f"of {ended} requests that were retried succeeded in this run"),
    }
    found = {alert.name: alert for alert in by_thresholds(parts, {**THRESHOLDS, **thresholds})}
    for host, seconds in down.items() if host_down else ():
        if seconds > host_down:
            message = f"{host} has been down for {seconds:.0f} s: longer than {host_down:g} s"
            found[f"host_down {host}"] = Alert("host_down", "T8_ALERT_HOST_DOWN", seconds, host_down, message)
    return found


class Incidents:
    """The alerts of something that runs: each is new once, and over once."""

    def __init__(self) -> None:
        self._open: dict[str, Alert] = {}

    def update(self, found: Mapping[str, Alert]) -> tuple[list[Alert], list[Alert]]:
        """Take the alerts that hold now, by what each is about. Return those that are new, and those that are over."""
        new = [alert for name, alert in found.items() if name not in self._open]
        over = [alert for name, alert in self._open.items() if name not in found]
        self._open = {name: self._open.get(name, alert) for name, alert in found.items()}
        return new, over


def alert_lines(new: Sequence[Alert], over: Sequence[Alert]) -> list[str]:
    """Return a line for each alert that is new or over, with the setting that has the threshold."""
    lines = [f"Alert: {alert.message}{_setting(alert)}" for alert in new]
    return lines + [f"All clear, no longer: {alert.message}{_setting(alert)}" for alert in over]


def _setting(alert: Alert) -> str:
    return f" ({alert.setting})" if alert.setting else ""


def _coverage(coverage: Sequence[Mapping[str, Any]], thresholds: Mapping[str, Any]) -> Iterator[Alert]:
    for item, field, part, least in coverage_problems(coverage, thresholds):
        message = f"{_percent(part)} of the items of {item} have {field!r}: under {_percent(least)}"
        yield Alert("field_coverage", "T8_FIELD_COVERAGE", part, least, message)


def _percent(part: float) -> str:
    return f"{100 * part:.4g} %"
