"""Which hosts are not asked for a while, and until when. Pure: the time is an argument.

::

                 run of failures                    time to probe
    closed ------------------------> open --------------------------> half-open: one request is let through
      ^                               ^                                   |
      |                               +---- it fails, longer interval ----+
      +-------------------------------------------- it succeeds ----------+

The breaker opens for failures of *different* requests in a row: a page that never works says nothing about its host.
While the breaker is open, no attempt is charged to a request. A host whose breaker stays open too long is given up: its
requests are tried, charged and buried like any others, so that a crawl with a dead host comes to an end.

A host is also *paused* when the host asks for a pause (Retry-After), whether it is down or not.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

STORED = ("since", "interval", "probe_at", "paused_until")


@dataclass(slots=True)
class Health:
    """What is known of one host that is failing, down or paused."""

    failing: set[int] = field(default_factory=set)
    """Requests that have failed in a row."""
    since: float = 0.0
    """When the breaker opened."""
    interval: float = 0.0
    """Seconds between two probes; 0 while the breaker is closed."""
    probe_at: float = 0.0
    paused_until: float = 0.0
    probing: bool = False
    """Whether a probe is in flight."""

    @property
    def is_open(self) -> bool:
        return self.interval > 0


class Breaker:
    """The health of all hosts, by download slot.

    :param failures: failures in a row that open the breaker; 0 turns the breaker off.
    :param probe: seconds before the first probe. Each next interval is twice as long.
    :param longest: seconds between two probes, at the most.
    :param give_up: seconds after which a host that is still down is given up.
    """

    def __init__(self, *, failures: int, probe: float, longest: float, give_up: float) -> None:
        self._limit = failures
        self._probe = probe
        self._longest = longest
        self._give_up = give_up
        self._hosts: dict[str, Health] = {}
        self.changed: set[str] = set()
        """Hosts whose health is to be stored."""

    def __bool__(self) -> bool:
        """Whether any host is failing, down or paused."""
        return bool(self._hosts)

    def __getitem__(self, host: str) -> Health:
        return self._hosts.get(host, Health())

    def hosts(self) -> dict[str, Health]:
        """Return the hosts that are failing, down or paused."""
        return dict(self._hosts)

    def failed(self, host: str, request: int, now: float) -> bool:
        """Note that a request has failed because of the host. Return whether that has just opened the breaker.

        :param request: the fingerprint of the request.
        """
        if not self._limit:
            return False
        health = self._hosts.setdefault(host, Health())
        if health.is_open:
            if health.probing:
                health.probing = False
                self._open(host, health, now, min(health.interval * 2, self._longest))
            return False
        health.failing.add(request)
        if len(health.failing) < self._limit:
            return False
        health.since = now
        self._open(host, health, now, self._probe)
        return True

    def _open(self, host: str, health: Health, now: float, interval: float) -> None:
        health.interval = interval
        health.probe_at = now + interval
        self.changed.add(host)

    def succeeded(self, host: str, now: float) -> bool:
        """Note that a request was answered. Return whether that has just closed the breaker."""
        health = self._hosts.get(host)
        if health is None:
            return False
        was_open = health.is_open
        if health.paused_until > now:
            self._hosts[host] = Health(paused_until=health.paused_until)
        else:
            del self._hosts[host]
        if was_open:
            self.changed.add(host)
        return was_open

    def ended(self, host: str) -> None:
        """Allow the next probe: a probe may have ended without an answer and without a failure."""
        health = self._hosts.get(host)
        if health is not None and health.probing:
            health.probing = False

    def pause(self, host: str, until: float) -> None:
        """Pause the host, as it has asked for."""
        health = self._hosts.setdefault(host, Health())
        if until > health.paused_until:
            health.paused_until = until
            self.changed.add(host)

    def is_open(self, host: str, now: float) -> bool:
        """Whether *host* counts as down, and is not given up yet."""
        health = self._hosts.get(host)
        return health is not None and health.is_open and now < health.since + self._give_up

    def takes(self, host: str, now: float) -> bool:
        """Whether any request may go to *host* now."""
        health = self._hosts.get(host)
        return health is None or (health.paused_until <= now and not self.is_open(host, now))

    def wants_probe(self, host: str, now: float) -> bool:
        """Whether one request may go to a *host* that is down. To be followed by :meth:`probe`."""
        health = self._hosts.get(host)
        return (
            health is not None
            and self.is_open(host, now)
            and not health.probing
            and max(health.probe_at, health.paused_until) <= now
        )

    def probe(self, host: str) -> None:
        """Note that a request goes to a host that is down."""
        self._hosts[host].probing = True

    def opens_at(self, host: str) -> float:
        """Return when the next request may go to *host*, in Unix seconds; a time in the past if now."""
        health = self._hosts.get(host)
        if health is None:
            return 0.0
        return max(health.probe_at if health.is_open else 0.0, health.paused_until)

    def dump(self) -> dict[str, dict[str, Any] | None]:
        """Return what has changed, to be stored. A probe in flight is not stored: it does not outlive its run."""
        changed, self.changed = self.changed, set()
        return {host: self._record(host) for host in changed}

    def _record(self, host: str) -> dict[str, Any] | None:
        if host not in self._hosts:
            return None
        return {name: getattr(self._hosts[host], name) for name in STORED}

    def load(self, hosts: dict[str, dict[str, Any]]) -> None:
        """Go on from what an earlier run has stored."""
        self._hosts = {host: Health(**record) for host, record in hosts.items()}
