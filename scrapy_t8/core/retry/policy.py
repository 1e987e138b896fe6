"""When a failed request is retried, and when it is given up. Pure: time and chance are arguments."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, replace
from typing import Any, NamedTuple

from scrapy_t8.errors import ConfigError
from scrapy_t8.utils.classes import record_class

from .failure import (
    BAN,
    DOWNLOAD,
    HANDLER,
    HOST,
    HTTP,
    INVALID,
    KINDS,
    MEDIA,
    NETWORK,
    OUTAGE,
    PARSE,
    PIPELINE,
    THROTTLED,
    WAITED_FOR,
    Failure,
    known_kind,
)

TIMES = {
    NETWORK: 6,
    HOST: 6,
    THROTTLED: 8,
    BAN: 3,
    MEDIA: 4,
    HTTP: 2,
    HANDLER: 3,
    DOWNLOAD: 6,
    OUTAGE: 6,
    **dict.fromkeys((PARSE, PIPELINE, INVALID), 0),
}
"""Retries of each kind by default: failures of up to a minute are survived, a bug is not retried."""


@record_class(frozen=True, slots=True)
class Rule:
    """How one kind of failure is retried.

    The delay before retry *n* (from 1) is drawn from the upper *jitter* part of ``min(cap, base * factor ** (n-1))``:
    1 is full jitter (Brooker, "Exponential Backoff And Jitter", AWS 2015), 0 is none.

    :param times: retries, after the first attempt.
    :param base: seconds.
    :param cap: seconds.
    """

    times: int
    base: float = 1.0
    factor: float = 2.0
    cap: float = 600.0
    jitter: float = 0.5

    def checked(self, where: str) -> Rule:
        """Return this rule.

        :raises ConfigError: if a value is out of range. The message names *where* the rule was given.
        """
        for name, holds, expected in (
            ("times", self.times >= 0, "a whole number of at least 0"),
            ("base", 0 <= self.base < math.inf, "seconds of at least 0"),
            ("factor", 1 <= self.factor < math.inf, "at least 1"),
            ("cap", self.base <= self.cap < math.inf, f"seconds of at least the base ({self.base:g})"),
            ("jitter", 0 <= self.jitter <= 1, "between 0 and 1"),
        ):
            if not holds:
                raise ConfigError(f"{where}: {name} is {getattr(self, name)!r}, but must be {expected}")
        return self

    def changed(self, changes: Mapping[str, Any], where: str) -> Rule:
        """Return this rule with *changes*, checked.

        :raises ConfigError: for an unknown name or an invalid value.
        """
        types = {field.name: int if field.name == "times" else float for field in fields(self)}
        given: dict[str, Any] = {}
        for name, value in changes.items():
            if name not in types:
                raise ConfigError(f"{where}: there is no {name!r}; there are {', '.join(types)}")
            try:
                if isinstance(value, bool) or (name == "times" and int(value) != float(value)):
                    raise ValueError
                given[name] = types[name](value)
            except (TypeError, ValueError):
                raise ConfigError(f"{where}: {name} is {value!r}, but must be a number") from None
        return replace(self, **given).checked(where)

    def delay(self, retry: int, chance: float) -> float:
        """Return the seconds to wait before a retry.

        :param retry: its number, from 1.
        :param chance: drawn evenly from 0 to 1.
        """
        try:
            longest = min(self.cap, self.base * self.factor ** (retry - 1))
        except OverflowError:
            longest = self.cap
        return longest * (1 - self.jitter * (1 - chance))


class Decision(NamedTuple):
    """What follows from one failed attempt.

    :param due: when to try again, in Unix seconds; None to give up.
    :param charged: whether the failure counts against the retries of its kind.
    :param uses_free: whether the next attempt is one of those that are not charged.
    """

    due: float | None
    charged: bool
    uses_free: bool = False


class HostState(NamedTuple):
    """A host whose requests are held back.

    :param opens: when the next request may go to the host, in Unix seconds.
    :param is_suspect: whether the host may be up.
    """

    opens: float
    is_suspect: bool = False


class Policy:
    """The retry rules of all kinds of failures.

    :param general: the rule for all kinds, from T8_RETRY_* and RETRY_TIMES.
    :param changes: changes for some kinds, as in ``{"ban": {"times": 1, "base": 60}}``.
    :param retry_after_cap: maximum seconds that a server may demand.
    :raises ConfigError: for an unknown kind or an invalid value.
    """

    def __init__(
        self, general: Mapping[str, Any], changes: Mapping[str, Mapping[str, Any]], retry_after_cap: float
    ) -> None:
        for kind, of_kind in changes.items():
            known_kind(kind, "T8_RETRY_KINDS")
            if not isinstance(of_kind, Mapping):
                raise ConfigError(f"T8_RETRY_KINDS[{kind!r}] is {of_kind!r}, but must be a dict")
        self._retry_after_cap = retry_after_cap
        self._rules = {
            kind: Rule(TIMES[kind])
            .changed({name: value for name, value in general.items() if name != "times"}, "T8_RETRY_*")
            .changed(changes.get(kind, {}), f"T8_RETRY_KINDS[{kind!r}]")
            for kind in KINDS
        }
        if "times" in general:
            # The user's RETRY_TIMES applies to the failures that Scrapy itself retries.
            for kind in (NETWORK, HOST, THROTTLED, HTTP, DOWNLOAD):
                if "times" not in changes.get(kind, {}):
                    self._rules[kind] = self._rules[kind].changed({"times": general["times"]}, "RETRY_TIMES")

    def rule(self, kind: str, meta: Mapping[str, Any]) -> Rule:
        """Return the rule for a failure of a request with this *meta* (``max_retry_times``, ``t8_retry``).

        :raises ConfigError: if the meta is invalid.
        """
        rule = self._rules[kind]
        if meta.get("max_retry_times") is not None and kind not in (PARSE, PIPELINE, OUTAGE, INVALID):
            rule = rule.changed({"times": meta["max_retry_times"]}, "meta['max_retry_times']")
        if meta.get("t8_retry"):
            rule = rule.changed(meta["t8_retry"], "meta['t8_retry']")
        return rule

    def capped(self, seconds: float) -> float:
        """Return the seconds that a server has demanded, capped."""
        return min(seconds, self._retry_after_cap)

    def due(self, failure: Failure, charged: int, rule: Rule, now: float, chance: float) -> float | None:
        """Return when to retry, in Unix seconds; None to give up.

        :param charged: failures of this kind charged to the request, this one included.
        :param chance: drawn evenly from 0 to 1.
        """
        if failure.final or charged > rule.times:
            return None
        if failure.delay is not None:
            return now + failure.delay
        delay = rule.delay(max(charged, 1), chance)
        if failure.retry_after is not None:
            delay = max(delay, self.capped(failure.retry_after))
        return now + delay

    def decide(
        self,
        failure: Failure,
        rule: Rule,
        *,
        earlier: int,
        now: float,
        chance: float,
        host: HostState | None = None,
        free: int = 0,
    ) -> Decision:
        """Decide on *failure* by *rule*.

        A failure is not charged if its host is known to be down; the next attempt waits for the host. While a
        host is only suspected, failures are charged, but a request that has used up its retries has one attempt more.
        A failure that is not charged is followed by the shortest delay, because the outage has taken longer anyway.

        :param earlier: failures of this kind that were charged before.
        :param chance: drawn evenly from 0 to 1.
        :param host: the state of a host whose requests are held back; None if they are not.
        :param free: failures of this kind that are not charged, in place of those that an outage has brought about.
        """
        due = self.due(failure, earlier + 1, rule, now, chance)
        if failure.kind not in WAITED_FOR or failure.final:
            return Decision(due, charged=True)
        is_down = host is not None and not host.is_suspect
        is_charged = not (is_down or free or (host is not None and due is None))
        due = due if is_charged else self.due(failure, 0, rule, now, chance)
        if due is not None and host is not None:
            due = max(due, host.opens)
        return Decision(due, is_charged, uses_free=free > 0 and not is_down)
