"""A crawl of one host, in simulated time: pages that fail by themselves, outages, and three ways of retrying.

Nothing but :class:`Breaker` and :class:`Policy` is the project's own code here. What the crawl does around them is
modelled: slots, requests that wait, requests that are held back, and probes.
"""

from __future__ import annotations

import heapq
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from itertools import count

from scrapy_t8.core.retry.breaker import KNOWN_PAGE, Breaker, Evidence
from scrapy_t8.core.retry.failure import HOST, NETWORK, Failure
from scrapy_t8.core.retry.policy import HostState, Policy

NEVER = 10**9
FAILURES, PROBE, LONGEST = 5, 5.0, 300.0
"""The defaults of the settings."""
POLICY = Policy({}, {}, 3600.0)


@dataclass(frozen=True)
class Outage:
    """From *begin* to *end* every request fails, without an answer or with 503."""

    begin: float
    end: float
    is_silent: bool = True
    takes: float = 0.02
    """Seconds until a request has failed: a connection that is refused, or a timeout."""


SHORT = 15.0
"""An outage that lasts no longer may look like failures of its pages."""


@dataclass(frozen=True)
class World:
    """One host.

    :param failures: how often each page fails before the page is answered, not counting outages; NEVER: it never is.
    :param kinds: how each page fails.
    :param at_once: requests at once.
    :param is_chain: whether each page is known only when the page before was answered, as in a list by cursor.
    """

    failures: tuple[int, ...]
    kinds: tuple[str, ...]
    outages: tuple[Outage, ...]
    at_once: int
    takes: float
    seed: int
    is_chain: bool = False

    def outage(self, now: float) -> Outage | None:
        """Return the outage at a time."""
        return next((outage for outage in self.outages if outage.begin <= now < outage.end), None)

    @classmethod
    def of(cls, seed: int) -> World:
        """Return a host by chance: no page, some or all of them fail, up to four times or for ever."""
        dice = random.Random(seed)
        pages = dice.choice([1, 2, 3, 5, 10, 20, 40])
        share, hopeless = dice.choice([0, 0.1, 0.3, 1]), dice.choice([0, 0.1])
        failures = [dice.randint(1, 4) if dice.random() < share else 0 for _ in range(pages)]
        failures = [NEVER if dice.random() < hopeless else times for times in failures]
        failures[0] = 0  # of a host that has never answered, failures alone say nothing
        return cls(
            tuple(failures),
            tuple(dice.choice([HOST, NETWORK]) for _ in range(pages)),
            tuple(_outages(dice)),
            at_once=dice.choice([1, 4, 16]),
            takes=dice.choice([0.02, 0.2, 1.0]),
            seed=seed,
            is_chain=dice.random() < 0.3,
        )

    @property
    def short_outages(self) -> list[Outage]:
        """The outages that may look like failures of pages."""
        return [outage for outage in self.outages if outage.end - outage.begin < SHORT]

    def can_be_had(self, page: int) -> bool:
        """Whether the budget of a page, and of those that lead to it, is enough for short outages, too."""
        short = len(self.short_outages)
        needed = self.failures[: page + 1] if self.is_chain else self.failures[page : page + 1]
        return max(needed) + 3 * short <= POLICY.rule(HOST, {}).times

    def chance(self, page: int, attempt: int) -> float:
        """Return what a delay is drawn by: the same for all ways of retrying."""
        mixed = (self.seed * 73856093) ^ (page * 19349663) ^ (attempt * 83492791)
        return (mixed * 2654435761 % 2**32) / 2**32


def _outages(dice: random.Random) -> Iterator[Outage]:
    begin = dice.choice([0.5, dice.uniform(0, 5), dice.uniform(0, 60)])
    for _ in range(dice.choice([0, 1, 1, 2])):
        length = dice.choice([3, dice.uniform(1, 30), dice.uniform(30, 120), dice.uniform(60, 500)])
        yield Outage(begin, begin + length, dice.random() < 0.5, dice.choice([0.02, 0.02, 10.0]))
        begin += length + dice.uniform(1, 60)


@dataclass
class Result:
    """What came of a crawl."""

    had: set[int] = field(default_factory=set)
    buried: set[int] = field(default_factory=set)
    end: float = 0.0
    hits: list[tuple[float, bool]] = field(default_factory=list)
    """When each request was sent, and whether the host counted as down for sure."""
    taken_for_own: Counter[int] = field(default_factory=Counter)
    """How often an outage has failed each page, and the page was charged."""


class Crawl:
    """A crawl of *world* with plain backoff: no failure says anything about the host."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.now = 0.0
        self.result = Result()
        self._fresh = [0] if world.is_chain else list(range(len(world.failures)))[::-1]
        self._again: list[int] = []
        self._events: list[tuple[float, int, str, int]] = []
        self._numbers = count()
        self._in_flight = 0
        self._failed = [0] * len(world.failures)
        self._charged = [0] * len(world.failures)
        self._free = [0] * len(world.failures)
        self._attempts = [0] * len(world.failures)

    def run(self) -> Result:
        """Return what came of the crawl."""
        self._send()
        while self._events:
            self.now, _, what, page = heapq.heappop(self._events)
            if what == "due":
                self._again.append(page)
            elif what != "wake":
                self._in_flight -= 1
                self.ended(page, what)
            self._send()
        self.result.end = self.now
        return self.result

    @property
    def failures(self) -> list[int]:
        """How often each page has failed."""
        return self._attempts

    def ended(self, page: int, what: str) -> None:
        """Act on the end of an attempt."""
        if what == "answered":
            self._have(page)
        else:
            self.fail(page, what)

    def fail(self, page: int, kind: str, host: HostState | None = None) -> None:
        """Decide on a failed attempt."""
        self._attempts[page] += 1
        decision = POLICY.decide(
            Failure(kind, kind),
            POLICY.rule(kind, {}),
            earlier=self._charged[page],
            now=self.now,
            chance=self.world.chance(page, self._charged[page]),
            host=host,
            free=self._free[page],
        )
        self._charged[page] += decision.charged
        self._free[page] -= decision.uses_free
        if decision.due is None:
            self.result.buried.add(page)
        else:
            self.at(decision.due, "due", page)

    def at(self, when: float, what: str, page: int = KNOWN_PAGE) -> None:
        """Let something happen at a time."""
        heapq.heappush(self._events, (max(when, self.now), next(self._numbers), what, page))

    def next_page(self) -> int | None:
        """Take the next page that may be sent; None if there is none."""
        return self._take()

    def _take(self) -> int | None:
        if self._fresh:
            return self._fresh.pop()
        return self._again.pop(0) if self._again else None

    def _have(self, page: int) -> None:
        self.result.had.add(page)
        if self.world.is_chain and page + 1 < len(self.world.failures):
            self._fresh.append(page + 1)

    def _send(self) -> None:
        while self._in_flight < self.world.at_once and (page := self.next_page()) is not None:
            self.hit(page)

    def hit(self, page: int, *, is_down: bool = False) -> None:
        """Send a request for a page, or for the known page (-1)."""
        self._in_flight += 1
        self.result.hits.append((self.now, is_down))
        outage = self.world.outage(self.now)
        if outage is not None:
            self.at(self.now + outage.takes, NETWORK if outage.is_silent else HOST, page)
        elif page >= 0 and self._failed[page] < self.world.failures[page]:
            self._failed[page] += 1
            self.at(self.now + self.world.takes, self.world.kinds[page], page)
        else:
            self.at(self.now + self.world.takes, "answered", page)


class Clairvoyant(Crawl):
    """The best that can be done with the same backoff: nothing is sent in an outage, nor later than its end."""

    def next_page(self) -> int | None:
        outage = self.world.outage(self.now)
        if outage is None:
            return self._take()
        if self._fresh or self._again:
            self.at(outage.end, "wake")
        return None


class WithBreaker(Crawl):
    """What the project does."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.breaker = Breaker(failures=FAILURES, probe=PROBE, longest=LONGEST, give_up=86400.0)
        self._known_page_from = 0.0
        self._sent_in_outage: dict[int, bool] = {}

    def ended(self, page: int, what: str) -> None:
        if page == -1:
            self._known_page_ended(what)
            return
        if what == "answered":
            self.breaker.succeeded("h", self.now)
            if not self.result.had:
                self._known_page_from = self.now + POLICY.rule(HOST, {}).base
        super().ended(page, what)

    def fail(self, page: int, kind: str, host: HostState | None = None) -> None:
        known_page_from = self._known_page_from if self.result.had else None
        evidence = Evidence(page + 1, self._attempts[page] == 0, kind == NETWORK, known_page_from)
        self.breaker.failed("h", evidence, self.now)
        refund = self.breaker.refund("h", page + 1)
        self._free[page] = min(self._free[page] + refund, self._charged[page])
        self.result.taken_for_own[page] = max(0, self.result.taken_for_own[page] - refund)
        charged = self._charged[page] + 1
        if not self._free[page] and charged > POLICY.rule(kind, {}).times:
            self.breaker.check("h", page + 1, known_page_from, charged=charged, now=self.now)
        if self.breaker.is_open("h", self.now):
            host = HostState(self.breaker.opens_at("h"), self.breaker["h"].is_suspect)
        charged = self._charged[page]
        super().fail(page, kind, host)
        if self._sent_in_outage[page]:
            self.result.taken_for_own[page] += self._charged[page] - charged

    def _is_any_waiting(self) -> bool:
        return any(what == "due" for _, _, what, _ in self._events)

    def _known_page_ended(self, what: str) -> None:
        if what == "answered":
            self.breaker.known_page_answered("h", self.now)
        else:
            self.breaker.probe_failed("h", self.now)

    def next_page(self) -> int | None:
        if self.breaker.takes("h", self.now):
            return self._take()
        # A suspicion is tested as soon as any page waits, even if none is due.
        if not (self._fresh or self._again or (self.breaker["h"].is_suspect and self._is_any_waiting())):
            return None
        if not self.breaker.wants_probe("h", self.now):
            if self.breaker["h"].probing is None:
                self.at(self.breaker.opens_at("h"), "wake")
            return None
        is_down = not self.breaker["h"].is_suspect
        if self.result.had and (not is_down or self._known_page_from <= self.now):
            self._known_page_from = self.now + POLICY.rule(HOST, {}).base
            self.breaker.probe("h")
            self.hit(-1, is_down=is_down)
            return None
        page = self._take_for_probe()
        if page is None:
            return None
        self.breaker.probe("h", page + 1)
        self.hit(page, is_down=is_down)
        return None

    def _take_for_probe(self) -> int | None:
        """Take by turns the page that has failed most often, whose priority is the lowest, and the next page."""
        if not self._again or self.breaker["h"].probes % 2:
            return self._take()
        page = max(self._again, key=self._attempts.__getitem__)
        self._again.remove(page)
        return page

    def hit(self, page: int, *, is_down: bool = False) -> None:
        self._sent_in_outage[page] = self.world.outage(self.now) is not None
        super().hit(page, is_down=is_down)


def look_alike(world: World, ours: Result) -> World:
    """Return a world that a policy which does not know the future cannot distinguish from *world*.

    That a host is up or down shows only in a request. So whatever the policy is, with one probe per interval:

    1. A probe just before the end of an outage fails, and the next one follows an interval later. Until then, all is as
       if the outage lasted as long. Two outages are one if no probe falls between them.
    2. A failure just before an outage is followed by a check in the outage: all is as if the outage had begun before
       the failure. Besides, a check takes time, which plain backoff does not need, and an outage may begin just then.
    3. A failure in an outage that is over before the check is a failure of the page, as far as anyone can see.

    In any of these worlds the best crawl ends at some time, and a crawl that sees the same here cannot end sooner.
    """
    outages: list[Outage] = []
    for outage in world.outages:
        begin = max(0.0, outage.begin - PROBE)
        if outages and begin <= outages[-1].end:
            begin = outages.pop().begin
        interval = min(max(PROBE, (outage.end - begin) / 3), LONGEST)
        outages.append(replace(outage, begin=begin, end=outage.end + outage.takes + interval))
    failures = [times + ours.taken_for_own[page] for page, times in enumerate(world.failures)]
    return replace(world, failures=tuple(failures), outages=tuple(outages))
