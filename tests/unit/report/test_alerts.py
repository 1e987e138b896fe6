"""Which numbers of a report are alerts, by tables."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from scrapy_t8.config.settings import THRESHOLDS
from scrapy_t8.errors import ConfigError
from scrapy_t8.report.alerts import (
    CEILING,
    Alert,
    Incidents,
    alert_lines,
    alert_thresholds,
    alerts_now,
    alerts_of,
    tolerance,
)

NOW = 1_705_314_600.0  # 2024-01-15T10:30:00Z
RUN = {"id": 1, "started": None, "ended": None, "reason": "finished", "end": "finished"}
HOST = {"host": "example.com", "open_since": None}
GOOD: dict[str, Any] = {
    "verdict": "complete",
    "job": {"finished": True},
    "runs": [RUN],
    "ledger": {
        "requests": {"admitted": 100, "done": 95, "waiting": 2, "dead": 3, "difference": 0},
        "items": {"scraped": 100, "exported": 100, "difference": 0},
        "expected": {"expected": None, "collected": None, "missing": None, "difference": None},
    },
    "retry_outcomes": {"succeeded": 9, "buried": 1},
    "hosts": [HOST],
    "coverage": [{"item": "Car", "count": 100, "fields": {"name": 1.0, "price": 0.5}}],
    "validation": {"valid": 100, "invalid": 0, "integrity_score": 0.99, "problems": [], "custom": {}},
}


def alerts(
    changes: dict[str, Any], history: list[int] | None = None, host_down: float = 3600, **more: Any
) -> list[Alert]:
    document = deepcopy(GOOD)
    for path, value in changes.items():
        *above, name = path.split("/")
        part = document
        for key in above:
            part = part[key]
        part[name] = value
    return alerts_of(document, {}, history or [], items_drop=0.1, host_down=host_down, now=NOW, **more)


GONE = "rows are gone from a feed, or it is a bug of scrapy_t8"


@pytest.mark.parametrize(
    ("changes", "name", "value", "threshold", "message"),
    [
        (
            {"ledger/requests/dead": 9},
            "failed_task_ratio",
            0.11,
            0.1,
            "11 % of 100 requests have failed (9 dead, 2 waiting): over 10 %",
        ),
        (
            {"retry_outcomes": {"succeeded": 15, "buried": 8, "not_retried": 3}},
            "retry_success_rate",
            0.75,
            0.8,
            "75 % of 20 requests that were retried succeeded in the end: under 80 %",
        ),
        (
            {"validation/integrity_score": 0.94},
            "data_integrity_score",
            0.94,
            0.95,
            "94 % of the expected items are there, once and valid: under 95 %",
        ),
        (
            {"ledger/requests/difference": -2, "ledger/items/difference": 1},
            "ledger_unbalanced",
            3,
            0,
            f"the ledger does not balance: requests by -2, items by 1, not 0: {GONE}",
        ),
        (
            {"runs": [*[{**RUN, "end": "killed"}] * 3, RUN]},
            "run_died",
            3,
            3,
            "3 of 4 runs of this job were killed: 3 or more; the job was recovered",
        ),
        (
            {"hosts": [HOST, {"host": "a.example", "open_since": "2024-01-15T09:00:00Z"}]},
            "host_down",
            5400,
            3600,
            "a.example has been down for 5400 s: longer than 3600 s",
        ),
    ],
)
def test_alerts(changes: dict[str, Any], name: str, value: float, threshold: float, message: str) -> None:
    [alert] = alerts(changes)
    assert (alert.name, alert.value, alert.threshold) == (name, pytest.approx(value), threshold)
    assert alert.message == message


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ledger/requests/dead": 8},  # not over, but at it
        {"ledger/requests/admitted": 0},
        {"ledger/requests/admitted": None},
        {"retry_outcomes": {"succeeded": 0, "buried": 0}},
        {"retry_outcomes": {"succeeded": 16, "buried": 4}},
        {"retry_outcomes": {"succeeded": 0, "buried": 19}},  # too few to say anything
        {"retry_outcomes": {"succeeded": 16, "buried": 100, "not_retried": 96}},
        {"runs": [*[{**RUN, "end": "killed"}] * 2, RUN]},
        {"retry_outcomes": None},
        {"validation/integrity_score": None},
        {"validation/integrity_score": 0.95},
        {"runs": [{**RUN, "end": "stopped"}, {**RUN, "end": "running"}]},
        {"hosts": [{"host": "a.example", "open_since": "2024-01-15T10:00:00+00:00"}]},
        {"hosts": []},
        {"coverage": []},
    ],
)
def test_no_alerts(changes: dict[str, Any]) -> None:
    assert alerts(changes, [100]) == []


def test_settings_that_govern_them() -> None:
    changes = {
        "ledger/requests/dead": 90,
        "ledger/requests/difference": 1,
        "ledger/items/exported": 1,
        "retry_outcomes": {"succeeded": 0, "buried": 20},
        "validation/integrity_score": 0.1,
        "runs": [{**RUN, "end": "killed"}] * 3,
        "hosts": [{"host": "a.example", "open_since": "1999-01-01T00:00:00+00:00"}],
    }
    assert [alert.setting for alert in alerts(changes, [100], coverage={"price": 0.9})] == [
        "T8_ALERT_THRESHOLDS['failed_task_ratio']",
        "T8_ALERT_THRESHOLDS['retry_success_rate']",
        "T8_ALERT_THRESHOLDS['data_integrity_score']",
        None,
        "T8_ALERT_ITEMS_DROP",
        None,
        "T8_ALERT_HOST_DOWN",
        "T8_FIELD_COVERAGE",
    ]


def test_a_host_may_be_down_for_any_time() -> None:
    assert alerts({"hosts": [{"host": "a", "open_since": "1999-01-01T00:00:00+00:00"}]}, host_down=0) == []


def test_field_coverage() -> None:
    assert alerts({}, coverage={"Car": {"price": 0.9, "name": 1}}) == [
        Alert("field_coverage", "T8_FIELD_COVERAGE", 0.5, 0.9, "50 % of the items of Car have 'price': under 90 %")
    ]


# -- fewer items than before -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("exported", "history", "finished", "fires"),
    [
        (90, [100], True, False),
        (89, [100], True, True),
        (89, [100], False, False),
        (89, [], True, False),
        (0, [0], True, False),
        (None, [100], True, False),
        (300, [100], True, False),
        (80, [100, 70, 110, 75, 100], True, False),  # such are its ways
        (80, [100, 101, 99, 100, 102, 100], True, True),
    ],
)
def test_items_drop(exported: int | None, history: list[int], finished: bool, fires: bool) -> None:
    found = alerts({"ledger/items/exported": exported, "job/finished": finished}, history)
    assert [alert.name for alert in found] == ["items_drop"] * fires


def test_what_it_says() -> None:
    [alert] = alerts({"ledger/items/exported": 70}, [100])
    assert alert.message == "70 items, 30 % fewer than the 100 of the last good job: more than 10 %"


@pytest.mark.parametrize(
    ("history", "learned"),
    [
        ([100, 50, 200, 10], 0.1),  # too few to learn from
        ([100] * 5, 0.1),
        ([100, 0, 0, 0, 0, 0, 0], 0.1),  # nothing follows from nothing
        ([1000, 1100, 990, 1089, 980], 3 * 1.4826 * 0.1),
        ([100, 1000, 10, 1000, 10], CEILING),
    ],
)
def test_tolerance(history: list[int], learned: float) -> None:
    assert tolerance(history, 0.1) == pytest.approx(learned, abs=2e-3)


def test_one_bad_job_does_not_make_it_blind() -> None:
    steady = [1000, 1010, 1000, 990, 1000, 1010, 1000, 995, 1005]
    assert tolerance([*steady, 100, *steady], 0.01) < 0.05


@given(st.lists(st.integers(0, 10**9), max_size=30), st.floats(0, 1))
def test_the_tolerance_is_between_the_least_and_the_ceiling(history: list[int], least: float) -> None:
    assert least <= tolerance(history, least) <= max(least, CEILING)


@given(st.lists(st.integers(1, 10**6), min_size=5, max_size=30), st.integers(2, 1000))
def test_the_tolerance_does_not_depend_on_the_size(history: list[int], times: int) -> None:
    assert tolerance([count * times for count in history], 0.1) == pytest.approx(tolerance(history, 0.1))


@given(st.lists(st.integers(0, 10**6), min_size=1, max_size=30))
def test_to_lose_everything_is_always_an_alert(history: list[int]) -> None:
    assume(history[-1] > 0)
    assert [alert.name for alert in alerts({"ledger/items/exported": 0}, history)] == ["items_drop"]


# -- the setting -------------------------------------------------------------------------------------------------


def test_thresholds_of_the_users_own() -> None:
    assert alert_thresholds({}) == THRESHOLDS
    assert alert_thresholds({"failed_task_ratio": 1}) == {**THRESHOLDS, "failed_task_ratio": 1.0}
    document = deepcopy(GOOD)
    document["ledger"]["requests"]["dead"] = 50
    at = {"failed_task_ratio": 0.9}
    assert alerts_of(document, at, [], items_drop=0.1, host_down=60, now=NOW) == []


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([], r"T8_ALERT_THRESHOLDS is \[\]"),
        ({"failed_ratio": 0.1}, "T8_ALERT_THRESHOLDS: there is no 'failed_ratio'; there are failed_task_ratio"),
        ({"failed_task_ratio": 10}, r"T8_ALERT_THRESHOLDS\['failed_task_ratio'\] is 10"),
        ({"failed_task_ratio": "0.1"}, r"T8_ALERT_THRESHOLDS\['failed_task_ratio'\] is '0.1'"),
        ({"failed_task_ratio": False}, r"T8_ALERT_THRESHOLDS\['failed_task_ratio'\] is False"),
    ],
)
def test_thresholds_that_make_no_sense(value: Any, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        alert_thresholds(value)


def now(down: dict[str, float] | None = None, **counts: int) -> dict[str, Alert]:
    all_counts = {"done": 0, "dead": 0, "waiting": 0, "succeeded": 0, "buried": 0, "not_retried": 0, **counts}
    return alerts_now(all_counts, {}, down or {}, 60)


@pytest.mark.parametrize(
    ("found", "names"),
    [
        (now(done=18, dead=1), set()),  # too few to say anything
        (now(dead=1), set()),
        (now(done=18, dead=2), set()),
        (now(done=17, dead=2, waiting=1), {"failed_task_ratio"}),
        (now(done=100, succeeded=16, buried=4), set()),
        (now(done=100, succeeded=16, buried=9, not_retried=5), set()),
        (now(done=100, succeeded=15, buried=5), {"retry_success_rate"}),
        (now({"a": 60, "b": 61}), {"host_down b"}),
        (now({"a": 100, "b": 61}), {"host_down a", "host_down b"}),
    ],
)
def test_alerts_of_a_crawl_that_runs(found: dict[str, Alert], names: set[str]) -> None:
    assert set(found) == names
    assert all((alert.setting or "").startswith("T8_ALERT_") and alert.message for alert in found.values())


def test_each_incident_is_told_once_and_is_over_once() -> None:
    incidents = Incidents()
    first = now({"a": 61})
    assert incidents.update(first) == ([first["host_down a"]], [])
    assert incidents.update(now({"a": 99})) == ([], [])
    both = now({"a": 99, "b": 61})
    assert incidents.update(both) == ([both["host_down b"]], [])
    new, over = incidents.update(now({"b": 90}))
    assert (new, over) == ([], [first["host_down a"]])
    assert alert_lines(new, over) == [
        "All clear, no longer: a has been down for 61 s: longer than 60 s (T8_ALERT_HOST_DOWN)"
    ]
    again = now({"a": 70, "b": 99})
    assert incidents.update(again) == ([again["host_down a"]], [])
    assert alert_lines([again["host_down a"]], []) == [
        "Alert: a has been down for 70 s: longer than 60 s (T8_ALERT_HOST_DOWN)"
    ]
