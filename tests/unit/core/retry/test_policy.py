"""When a failed request is retried, by tables."""

from __future__ import annotations

import gzip
import zlib
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.error import ConnectionLost

from scrapy_t8.core.retry.failure import (
    KINDS,
    Failure,
    RetryPage,
    kind_of_status,
    of_download,
    retry_after,
    unpacked,
)
from scrapy_t8.core.retry.policy import TIMES, Decision, HostState, Policy, Rule
from scrapy_t8.errors import ConfigError

NOW = 1_000_000.0


def policy(**general: float) -> Policy:
    return Policy(general, {}, 3600)


@pytest.mark.parametrize(
    ("retry", "chance", "jitter", "seconds"),
    [
        (1, 1, 1, 1),
        (2, 1, 1, 2),
        (4, 1, 1, 8),
        (4, 0.5, 1, 4),
        (4, 0, 1, 0),
        (4, 0, 0, 8),
        (3, 0, 0.5, 2),
        (99, 1, 1, 60),
    ],
)
def test_delays(retry: int, chance: float, jitter: float, seconds: float) -> None:
    assert Rule(6, cap=60, jitter=jitter).delay(retry, chance) == seconds


@given(st.integers(1, 10**6), st.floats(0, 1), st.floats(0, 1e6), st.floats(1, 1e6))
def test_no_delay_is_beyond_its_cap(retry: int, chance: float, base: float, factor: float) -> None:
    assert 0 <= Rule(1, base, factor, base + 10).delay(retry, chance) <= base + 10


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_has_its_budget(kind: str) -> None:
    rule = policy().rule(kind, {})
    assert rule.times == TIMES[kind]
    assert policy().due(Failure(kind, ""), rule.times + 1, rule, NOW, 1) is None
    if rule.times:
        assert policy().due(Failure(kind, ""), 1, rule, NOW, 1) == NOW + 1


def test_the_users_own_number_of_retries_wins() -> None:
    assert policy(times=1).rule("host", {}).times == 1
    assert policy(times=1).rule("parse", {}).times == 0
    assert Policy({"times": 1}, {"host": {"times": 9}}, 1).rule("host", {}).times == 9
    assert policy(times=1).rule("network", {"max_retry_times": 4}).times == 4
    assert policy().rule("ban", {"t8_retry": {"base": 7, "times": 2}}) == Rule(2, base=7)


def test_what_the_server_and_the_spider_ask_for() -> None:
    rule = policy().rule("throttled", {})
    assert policy().due(Failure("throttled", "", retry_after=30), 1, rule, NOW, 1) == NOW + 30
    assert policy().due(Failure("throttled", "", retry_after=10**9), 1, rule, NOW, 1) == NOW + 3600
    assert policy().due(Failure("ban", "", delay=0), 1, rule, NOW, 1) == NOW
    assert policy().due(Failure("host", "", final=True), 1, rule, NOW, 1) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (b"120", 120),
        ("0", 0),
        (formatdate(NOW + 90, usegmt=True), 90),
        (formatdate(NOW - 90, usegmt=True), 0),
        (b"soon", None),
        (b"-3", None),
        (b"1.5", None),
        (b"", None),
        (None, None),
        (b"\xff\xfe", None),
    ],
)
def test_retry_after(value: bytes | str | None, seconds: float | None) -> None:
    assert retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    ("status", "asks", "kind"),
    [
        (429, False, "throttled"),
        (503, True, "throttled"),
        (503, False, "host"),
        (408, False, "network"),
        (403, False, "http"),
        (403, True, "throttled"),
        (404, True, "throttled"),
        (420, False, "throttled"),
        (500, True, "host"),
    ],
)
def test_kinds_of_statuses(status: int, asks: bool, kind: str) -> None:
    assert kind_of_status(status, has_retry_after=asks) == kind


@pytest.mark.parametrize(
    ("general", "kinds", "message"),
    [
        ({"factor": 0.5}, {}, "factor is 0.5"),
        ({"base": -1}, {}, "base is -1"),
        ({"base": 5, "cap": 1}, {}, "cap is 1"),
        ({"jitter": 2}, {}, "jitter is 2"),
        ({"base": "soon"}, {}, "base is 'soon'"),
        ({}, {"bann": {}}, "no kind of failure 'bann'"),
        ({}, {"ban": 3}, "must be a dict"),
        ({}, {"ban": {"tries": 3}}, "no 'tries'"),
        ({}, {"ban": {"times": 1.5}}, "times is 1.5"),
        ({"base": float("nan")}, {}, "base is nan"),
    ],
)
def test_invalid_arguments(general: dict[str, float], kinds: dict[str, dict[str, float]], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Policy(general, kinds, 3600)


def test_a_retry_of_no_kind() -> None:
    with pytest.raises(ConfigError, match="no kind of failure 'robot'"):
        RetryPage("captcha", kind="robot")
    with pytest.raises(ConfigError, match="delay is -1"):
        RetryPage("captcha", delay=-1)


@pytest.mark.parametrize(
    ("kind", "earlier", "host", "due", "charged"),
    [
        ("http", 0, None, NOW + 1, True),
        ("http", 1, None, NOW + 2, True),
        ("http", 2, None, None, True),
        ("http", 2, HostState(NOW + 60), None, True),
        ("host", 5, None, NOW + 32, True),
        ("host", 6, None, None, True),
        ("host", 6, HostState(NOW + 60), NOW + 60, False),
        ("host", 6, HostState(NOW + 0.5), NOW + 1, False),
        ("network", 0, HostState(NOW - 1), NOW + 1, False),
        ("network", 1, HostState(NOW, is_suspect=True), NOW + 2, True),
        ("network", 1, HostState(NOW + 30, is_suspect=True), NOW + 30, True),
        ("network", 6, HostState(NOW, is_suspect=True), NOW + 1, False),
        ("network", 6, HostState(NOW + 3, is_suspect=True), NOW + 3, False),
        ("http", 2, HostState(NOW, is_suspect=True), None, True),
    ],
)
def test_decisions(kind: str, earlier: int, host: HostState | None, due: float | None, charged: bool) -> None:
    """A failure that the host is known to be down for is not charged. What is only suspected gives no request up."""
    rule = policy().rule(kind, {})
    decision = policy().decide(Failure(kind, ""), rule, earlier=earlier, now=NOW, chance=1, host=host)
    assert decision == Decision(due, charged)


@pytest.mark.parametrize(
    ("kind", "earlier", "host", "expected"),
    [
        ("host", 6, None, Decision(NOW + 1, charged=False, uses_free=True)),
        ("host", 2, None, Decision(NOW + 1, charged=False, uses_free=True)),
        ("host", 6, HostState(NOW + 3, is_suspect=True), Decision(NOW + 3, charged=False, uses_free=True)),
        ("host", 2, HostState(NOW + 60), Decision(NOW + 60, charged=False)),
        ("http", 1, None, Decision(NOW + 2, charged=True)),
    ],
    ids=["no retry is left", "retries are left", "the host is suspect", "the host is down again", "another kind"],
)
def test_an_attempt_that_was_given_back_follows_soon(
    kind: str, earlier: int, host: HostState | None, expected: Decision
) -> None:
    """The delays were waited for before, so a page that never works ends soon after an outage."""
    rule = policy().rule(kind, {})
    decision = policy().decide(Failure(kind, ""), rule, earlier=earlier, now=NOW, chance=1, host=host, free=2)
    assert decision == expected


def test_a_final_failure_is_given_up() -> None:
    rule = policy().rule("host", {})
    assert policy().decide(Failure("host", "", final=True), rule, earlier=0, now=NOW, chance=1).due is None


def test_retry_times_count_for_what_retry_exceptions_names() -> None:
    assert policy(times=1).rule("download", {}).times == 1
    assert policy().rule("download", {"max_retry_times": 4}).times == 4


class BrotliError(Exception):
    """As a library for another encoding raises it."""

    __module__ = "brotli"


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (zlib.error("invalid header"), "network"),
        (EOFError("the end is missing"), "network"),
        (gzip.BadGzipFile("not gzip"), "network"),
        (BrotliError("no stream"), "network"),
        (ConnectionLost(), "network"),
        (ValueError("a bug"), "download"),
    ],
)
def test_kinds_of_errors_before_there_is_a_response(error: Exception, kind: str) -> None:
    assert of_download(unpacked(error)).kind == kind
