"""Which findings of a report are alerts. Pure: the report, the earlier jobs and the time are arguments."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from scrapy_t8.config.settings import THRESHOLDS
from scrapy_t8.core.items.checks import coverage_problems, fraction
from scrapy_t8.errors import ConfigError
from scrapy_t8.utils.times import parse_time

SETTING = "T8_ALERT_THRESHOLDS"

ENOUGH = 5
"""Earlier jobs that are needed to learn from."""
TO_DEVIATION = 1.4826
"""Makes the median absolute deviation of a normal distribution its standard deviation."""
DEVIATIONS = 3.0
CEILING = 0.9
"""A loss above this is an alert whatever the earlier jobs did."""


@dataclass(frozen=True, slots=True)
class Alert:
    """A finding that somebody should look at.

    :param setting: the setting that governs the alert.
    :param message: one line, with value and threshold.
    """

    name: str
    setting: str
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

    :param document: the report, as in docs/report.md.
    :param thresholds: T8_ALERT_THRESHOLDS.
    :param history: how many items each earlier finished and complete job of the spider exported, the oldest first.
    :param items_drop: T8_ALERT_ITEMS_DROP: a smaller drop is never an alert. 1: no drop is.
    :param host_down: T8_ALERT_HOST_DOWN: seconds that a host may be down. 0: any time.
    :param now: Unix seconds.
    :param coverage: T8_FIELD_COVERAGE.
    """
    at = {**THRESHOLDS, **thresholds}
    return [
        *_failed_tasks(document["ledger"]["requests"], _accepted_dead(document), at["failed_task_ratio"]),
        *_retries(document.get("retry_outcomes") or {}, at["retry_success_rate"]),
        *_integrity(document["validation"], at["data_integrity_score"]),
        *_ledger(document["ledger"]),
        *_items(document, history, items_drop),
        *_deaths(document["runs"]),
        *_hosts(document["hosts"], host_down, now),
        *_coverage(document["coverage"], coverage or {}),
    ]


def _accepted_dead(document: Mapping[str, Any]) -> int:
    """Return how many requests are dead for a cause that the user accepts."""
    rows = document.get("without_result", {}).get("causes", ())
    return sum(row["dead"] for row in rows if row["accepted"])


def _failed_tasks(requests: Mapping[str, Any], accepted: int, most: float) -> Iterator[Alert]:
    admitted, dead, waiting = (requests.get(name) or 0 for name in ("admitted", "dead", "waiting"))
    dead -= accepted
    if admitted and (dead + waiting) / admitted > most:
        message = (
            f"{_percent((dead + waiting) / admitted)} of {admitted} requests have failed "
            f"({dead} dead, {waiting} waiting): over {_percent(most)}"
        )
        yield _by_threshold("failed_task_ratio", (dead + waiting) / admitted, most, message)


def _retries(outcomes: Mapping[str, Any], least: float) -> Iterator[Alert]:
    succeeded, buried = (outcomes.get(name) or 0 for name in ("succeeded", "buried"))
    tried = succeeded + buried
    if tried and succeeded / tried < least:
        message = (
            f"{_percent(succeeded / tried)} of {tried} requests that had failed succeeded in the end: "
            f"under {_percent(least)}"
        )
        yield _by_threshold("retry_success_rate", succeeded / tried, least, message)


def _integrity(validation: Mapping[str, Any], least: float) -> Iterator[Alert]:
    score = validation.get("integrity_score")
    if score is not None and score < least:
        message = f"{_percent(score)} of the expected items are there, once and valid: under {_percent(least)}"
        yield _by_threshold("data_integrity_score", score, least, message)


def _by_threshold(name: str, value: float, threshold: float, message: str) -> Alert:
    return Alert(name, f"{SETTING}[{name!r}]", value, threshold, message)


def _ledger(ledger: Mapping[str, Mapping[str, Any]]) -> Iterator[Alert]:
    off = {name: account["difference"] for name, account in ledger.items() if account.get("difference")}
    if off:
        differences = ", ".join(f"{name} by {difference}" for name, difference in off.items())
        message = f"the books do not balance: {differences}, not 0; please report it as a bug of scrapy_t8"
        value = sum(abs(difference) for difference in off.values())
        yield Alert("ledger_unbalanced", "T8_ENABLE_INTEGRITY_CHECK", value, 0, message)


def _items(document: Mapping[str, Any], history: Sequence[int], least: float) -> Iterator[Alert]:
    exported = document["ledger"]["items"].get("exported")
    if exported is None or not document["job"]["finished"] or not history or history[-1] <= 0:
        return
    # Items that an earlier job exported are not exported again, but the site still has them.
    exported += document.get("duplicates", {}).get("again") or 0
    drop, most = 1 - exported / history[-1], tolerance(history, least)
    if drop > most:
        message = (
            f"{exported} items, {_percent(drop)} fewer than the {history[-1]} of the last good job: "
            f"more than {_percent(most)}"
        )
        yield Alert("items_drop", "T8_ALERT_ITEMS_DROP", drop, most, message)


def tolerance(history: Sequence[int], least: float) -> float:
    """Return by which part a job may have fewer items than the last good one.

    The relative changes from job to job tell what is usual for the spider: the tolerance is three scaled median
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
    if killed:
        message = f"{killed} of {len(runs)} runs of this job were killed, which should be 0; the job was recovered"
        yield Alert("run_died", "T8_ENABLE_INTEGRITY_CHECK", killed, 0, message)


def _hosts(hosts: Sequence[Mapping[str, Any]], most: float, now: float) -> Iterator[Alert]:
    for row in hosts if most else ():
        down = now - parse_time(row["open_since"]).timestamp() if row.get("open_since") else 0.0
        if down > most:
            message = f"{row['host']} has been down for {down:.0f} s: longer than {most:g} s"
            yield Alert("host_down", "T8_ALERT_HOST_DOWN", down, most, message)


def _coverage(coverage: Sequence[Mapping[str, Any]], thresholds: Mapping[str, Any]) -> Iterator[Alert]:
    for gap in coverage_problems(coverage, thresholds):
        message = f"{_percent(gap.part)} of the items of {gap.item} have {gap.field!r}: under {_percent(gap.least)}"
        yield Alert("field_coverage", "T8_FIELD_COVERAGE", gap.part, gap.least, message)


def _percent(part: float) -> str:
    return f"{100 * part:.4g} %"
