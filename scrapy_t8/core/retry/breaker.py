"""Which hosts get no requests for a while, and until when. Pure: the time is an argument.

::

                 failures, no answer                     time to probe
    closed ------------------------> open --------------------------> half-open: one request is let through
      ^                               ^                                   |
      |                               +---- it fails, longer interval ----+
      +-------------------------------------------- it succeeds ----------+

Failures say that a host is down only while nothing is answered in between, because a page that never works says nothing
about its host. Failures of several requests open the breaker, and so do repeated failures of one request: a list may
have one request at a time. Where the host has answered a page before, the breaker is *suspect* first: a request for
that page is the first probe. If the page is answered, the host is up and the failures are those of the pages. A page
that was answered lately is as good as a probe: failures of the same request say less then. If every request of a host
fails at first, a probe for each few of them would cost more than the requests: each takes twice as many as the last.
Such a probe does not wait until its page may be requested again, because all requests would wait with it.

While a host is down, no attempt is charged to a request, and what was charged since the last answer is taken back. A
host that stays down too long is given up: its requests are tried, charged and buried like any others, so that a crawl
with a dead host comes to an end.

A host is also *paused* when it demands a pause (Retry-After), whether it is down or not.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any, NamedTuple

from scrapy_t8.utils.classes import record_class

STORED = ("since", "interval", "probe_at", "paused_until", "is_given_up")
REFUNDS = "refunds"

REPEATED = 2
"""Failures of one request, with no answer to any, that make a host suspect which has answered a page before."""
SILENT = 4
"""The same that open the breaker of a host that has answered nothing yet. More than the two retries of plain Scrapy."""
KNOWN_PAGE = 0
"""The fingerprint of a probe with a page that the host has answered before."""


@record_class(slots=True)
class Health:
    """The health of one host that is failing, down or paused."""

    failing: dict[int, int] = field(default_factory=dict)
    """How often each request has failed since the last answer."""
    unanswered: dict[int, int] = field(default_factory=dict)
    """The same before, since a request was answered that is no probe with a known page."""
    checked: set[int] = field(default_factory=set)
    """Requests that have made the host suspect when they were to be given up, since an outage or such an answer."""
    since: float = 0.0
    """When the breaker opened."""
    interval: float = 0.0
    """Seconds between two probes; 0 while the breaker is closed."""
    probe_at: float = 0.0
    paused_until: float = 0.0
    is_given_up: bool = False
    """Whether the crawl has stopped waiting for the host, although the host is down."""
    is_suspect: bool = False
    """Whether the breaker is open for the first probe only, and that has not ended yet."""
    trusted_until: float = 0.0
    """Until then failures say less: the known page was answered lately."""
    probes_answered: int = 0
    """How often the known page was answered since a request was."""
    probing: int | None = None
    """The fingerprint of the probe in flight."""
    probes: int = 0
    """How many requests of the crawl were probes since the breaker opened."""

    @classmethod
    def of(cls, record: Mapping[str, Any]) -> Health:
        """Return the health that is stored as *record*."""
        return cls(**{name: record[name] for name in STORED if name in record})

    @property
    def is_open(self) -> bool:
        return self.interval > 0

    def failures(self, request: int) -> int:
        """Return how often *request* has failed since a request of the crawl was answered."""
        return self.failing.get(request, 0) + self.unanswered.get(request, 0)


class Evidence(NamedTuple):
    """What a failed attempt shows about the host.

    :param request: the fingerprint of the request.
    :param is_first: whether the request has not failed before.
    :param is_silence: whether there was no answer at all.
    :param known_page_from: from when on a page that the host has answered may be requested again, in Unix seconds; None
        if there is none.
    """

    request: int
    is_first: bool = True
    is_silence: bool = True
    known_page_from: float | None = None


class Breaker:
    """The health of all hosts, by name and port.

    :param failures: requests that fail in a row and open the breaker; 0 turns the breaker off.
    :param probe: seconds before the first probe, and at least between two. The interval grows to a third of the time
        that the host has been down.
    :param longest: seconds between two probes, at the most.
    :param give_up: seconds after which a host that is still down is given up.
    """

    def __init__(self, *, failures: int, probe: float, longest: float, give_up: float) -> None:
        self._limit = failures
        self._probe = probe
        self.longest = longest
        self._give_up = give_up
        self._hosts: dict[str, Health] = {}
        self._refunds: dict[str, dict[int, int]] = {}
        """How often each request had failed when its host came to count as down, for the last time."""
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

    def suspects(self) -> set[str]:
        """Return the hosts that may be down, and whose first probe has not ended yet."""
        return {host for host, health in self._hosts.items() if health.is_suspect}

    # -- results of requests -------------------------------------------------------------------------------------

    def failed(self, host: str, evidence: Evidence, now: float) -> bool:
        """Record that a request has failed because of the host. Return whether the host counts as down from now on."""
        if not self._limit:
            return False
        health, request = self._hosts.setdefault(host, Health()), evidence.request
        if health.is_open and not health.is_suspect:
            return self.probe_failed(host, now, request)
        health.failing[request] = health.failing.get(request, 0) + 1
        if health.is_suspect or not self._is_enough(health, evidence, now):
            return False
        if evidence.known_page_from is not None:
            is_of_many = evidence.is_first and health.failing[request] == 1
            self._suspect(health, now if is_of_many else max(now, evidence.known_page_from))
            return False
        self._count_as_down(host, health, now)
        self.refund(host, request)  # the failure that has opened the breaker is not charged
        if (charged := health.failing[request] - 1) > 0:
            self._refunds[host][request] = charged
        return True

    def check(self, host: str, request: int, known_page_from: float | None, *, charged: int, now: float) -> bool:
        """Make *host* suspect because *request* is to be given up. Return whether the host is suspect now.

        A list has one request at a time, and short outages may have failed some of its attempts. So there is a check
        only if no other request was answered or has failed since the first failure. There is one until an outage or an
        answer: a page whose failures take long would be retried for ever.

        :param charged: failures that were charged to the request.
        """
        health = self._hosts.get(host)
        if health is None or health.is_open or known_page_from is None or request in health.checked:
            return False
        failures, is_alone = health.failures(request), {request} == health.failing.keys() | health.unanswered.keys()
        if not is_alone or failures <= REPEATED or failures < charged:
            return False
        if now < self._trusted_until(health, known_page_from):
            return False
        health.checked.add(request)
        self._suspect(health, max(now, known_page_from))
        return True

    def _suspect(self, health: Health, probe_at: float) -> None:
        health.is_suspect, health.interval, health.probe_at = True, self._probe, probe_at

    def _trusted_until(self, health: Health, known_page_from: float | None) -> float:
        return max(health.trusted_until, 0.0 if known_page_from is None else known_page_from + self._probe)

    def _is_enough(self, health: Health, evidence: Evidence, now: float) -> bool:
        times = health.failing[evidence.request]
        if now < self._trusted_until(health, evidence.known_page_from) and not evidence.is_first:
            return times > REPEATED
        if len(health.failing) >= self._limit << (health.probes_answered if evidence.is_first else 0):
            return True
        return times >= REPEATED if evidence.known_page_from is not None else evidence.is_silence and times >= SILENT

    def probe_failed(self, host: str, now: float, request: int = KNOWN_PAGE) -> bool:
        """Record that *request* has failed, which may be the probe. Return whether that has confirmed a suspicion."""
        health = self._hosts.get(host)
        if health is None or health.probing != request:
            return False
        was_suspect, health.is_suspect, health.probing = health.is_suspect, False, None
        if was_suspect:
            self._count_as_down(host, health, now)
        else:
            self._wait(host, health, now)
        return was_suspect

    def _count_as_down(self, host: str, health: Health, now: float) -> None:
        health.since = now
        self._refunds[host] = dict(health.failing)
        self._wait(host, health, now)

    def _wait(self, host: str, health: Health, now: float) -> None:
        health.interval = min(max(self._probe, (now - health.since) / 3), self.longest)
        health.probe_at = now + health.interval
        self.changed.add(host)

    def succeeded(self, host: str, now: float) -> bool:
        """Record that a request was answered. Return whether the host was down until now."""
        health = self._hosts.get(host)
        if health is None:
            return False
        was_down = health.is_open and not health.is_suspect
        if max(health.paused_until, health.trusted_until) > now:
            self._hosts[host] = Health(paused_until=health.paused_until, trusted_until=health.trusted_until)
        else:
            del self._hosts[host]
        if was_down:
            self.changed.add(host)
        return was_down

    def known_page_answered(self, host: str, now: float) -> bool:
        """Record that the probe with a known page was answered. Return whether the host was down until now."""
        health = self._hosts.setdefault(host, Health())
        health.trusted_until = now + self._probe
        was_down = self.succeeded(host, now)
        after = self._hosts[host]
        after.unanswered = {**health.unanswered, **{each: health.failures(each) for each in health.failing}}
        if not was_down:
            after.probes_answered, after.checked = health.probes_answered + 1, health.checked
        return was_down

    def ended(self, host: str, request: int, now: float) -> None:
        """Record that *request* has ended: if it was a probe that says nothing, another probe follows."""
        health = self._hosts.get(host)
        if health is None or health.probing != request:
            return
        health.probing, health.probe_at = None, now + health.interval
        if health.is_suspect and request == KNOWN_PAGE:
            health.is_suspect, health.interval = False, 0.0  # nothing can confirm the suspicion

    def probe_again(self, host: str, request: int, now: float) -> None:
        """Let another probe follow at once, if *request* was the probe: it says nothing."""
        health = self._hosts.get(host)
        if health is not None and health.probing == request:
            health.probing, health.probe_at = None, now

    def pause(self, host: str, until: float) -> None:
        """Pause the host until the time that it has demanded."""
        health = self._hosts.setdefault(host, Health())
        if until > health.paused_until:
            health.paused_until = until
            self.changed.add(host)

    def refund(self, host: str, request: int) -> int:
        """Take back what *request* was charged before it was clear that its host was down. Return how often it was."""
        times = self._refunds.get(host, {}).pop(request, 0)
        if times:
            self.changed.add(host)
        return times

    def give_up(self, host: str) -> None:
        """Stop waiting for a host that is down."""
        self._hosts[host].is_given_up = True
        self.changed.add(host)

    def begin_job(self, now: float) -> None:
        """Forget that hosts were given up and what was charged: another job tries everything anew."""
        self.changed |= self._refunds.keys()
        self._refunds.clear()
        for host, health in self.hosts().items():
            if health.is_open and not self.is_open(host, now):
                del self._hosts[host]
                self.changed.add(host)

    # -- what follows --------------------------------------------------------------------------------------------

    def is_open(self, host: str, now: float) -> bool:
        """Whether the requests of *host* are held back: the host counts as down or suspect, and is not given up."""
        health = self._hosts.get(host)
        if health is None or not health.is_open or health.is_given_up:
            return False
        return health.is_suspect or now < health.since + self._give_up

    def takes(self, host: str, now: float) -> bool:
        """Whether any request may go to *host* now."""
        health = self._hosts.get(host)
        return health is None or (health.paused_until <= now and not self.is_open(host, now))

    def wants_probe(self, host: str, now: float) -> bool:
        """Whether one request may go to a *host* that is down. Call :meth:`probe` afterwards."""
        health = self._hosts.get(host)
        return (
            health is not None
            and self.is_open(host, now)
            and health.probing is None
            and max(health.probe_at, health.paused_until) <= now
        )

    def probe(self, host: str, request: int = KNOWN_PAGE) -> None:
        """Record that a request goes to a host that is down."""
        health = self._hosts[host]
        health.probing = request
        health.probes += request != KNOWN_PAGE

    def opens_at(self, host: str) -> float:
        """Return when the next request may go to *host*, in Unix seconds; a time in the past if now."""
        health = self._hosts.get(host)
        if health is None:
            return 0.0
        return max(health.probe_at if health.is_open else 0.0, health.paused_until)

    def next_test(self, now: float) -> float | None:
        """Return when the next suspicion can be tested, in Unix seconds; None if no suspicion has to wait."""
        return min((when for when in map(self.opens_at, self.suspects()) if when > now), default=None)

    # -- the stored form -----------------------------------------------------------------------------------------

    def dump(self) -> dict[str, dict[str, Any] | None]:
        """Return what has changed, to be stored. Neither a probe in flight nor a suspicion outlives its run."""
        changed, self.changed = self.changed, set()
        return {host: self._record(host) for host in changed}

    def _record(self, host: str) -> dict[str, Any] | None:
        health, refunds = self._hosts.get(host), self._refunds.get(host)
        if health is None and not refunds:
            return None
        record = {name: getattr(health or Health(), name) for name in STORED}
        if health is not None and health.is_suspect:
            record |= {"interval": 0.0, "probe_at": 0.0}
        return {**record, REFUNDS: list(refunds.items())} if refunds else record

    def load(self, hosts: dict[str, dict[str, Any]]) -> None:
        """Load what an earlier run has stored."""
        self._refunds = {host: dict(record[REFUNDS]) for host, record in hosts.items() if REFUNDS in record}
        self._hosts = {host: health for host in hosts if (health := Health.of(hosts[host])) != Health()}
