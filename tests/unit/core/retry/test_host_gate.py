"""Requests of hosts that are down are held back, in both kinds of priority queues."""

from __future__ import annotations

from collections import deque
from functools import partial
from typing import Any
from urllib.parse import urlsplit

import pytest
from scrapy import Request
from scrapy.pqueues import DownloaderAwarePriorityQueue, ScrapyPriorityQueue
from scrapy.squeues import FifoMemoryQueue
from scrapy.utils.test import get_crawler

from scrapy_t8.core.retry.breaker import KNOWN_PAGE, REPEATED, Breaker, Evidence
from scrapy_t8.core.retry.host_gate import HELD, HELD_OF_PORT, HostGatedQueue
from tests.support.clock import Clock


class Plain:
    """A priority queue that cannot be asked for one host."""

    def __init__(self) -> None:
        self.requests: deque[Request] = deque()

    def __len__(self) -> int:
        return len(self.requests)

    def push(self, request: Request) -> None:
        self.requests.append(request)

    def pop(self) -> Request | None:
        return self.requests.popleft() if self.requests else None


def host(request: Request) -> str:
    return urlsplit(request.url).netloc


class Slots:
    """The hosts of requests, and their download slots, which do not tell ports apart."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.has_known_page = False

    def name(self, request: Request) -> str:
        return host(request)

    def slot(self, request: Request) -> str:
        return host(request).partition(":")[0]

    def ask_known_page(self, name: str, *, at_once: bool) -> bool:
        self.asked.append(name)
        return self.has_known_page


class BySlot(DownloaderAwarePriorityQueue):
    """Scrapy's queue by slot, without a downloader."""

    def __init__(self) -> None:
        self.pqueues: dict[str, Any] = {}
        self.pqfactory = lambda slot: Plain()  # type: ignore[assignment, method-assign]

    def __len__(self) -> int:
        return sum(map(len, self.pqueues.values()))

    def push(self, request: Request) -> None:
        slot = Slots().slot(request)
        self.pqueues.setdefault(slot, self.pqfactory(slot)).push(request)

    def pop(self) -> Request | None:
        filled = [queue for queue in self.pqueues.values() if len(queue)]
        return filled[0].pop() if filled else None


class ByPriority(BySlot):
    """Scrapy's queue by slot with Scrapy's queues by priority, in memory."""

    def __init__(self) -> None:
        super().__init__()
        make: Any = partial(ScrapyPriorityQueue, get_crawler(), FifoMemoryQueue, start_queue_cls=FifoMemoryQueue)
        self.pqfactory = make  # type: ignore[method-assign]


def gated(clock: Clock, queue: Any = None, slots: Slots | None = None) -> tuple[HostGatedQueue, Breaker]:
    breaker = Breaker(failures=2, probe=10.0, longest=60.0, give_up=600.0)
    slots = slots or Slots()
    gate = HostGatedQueue(
        Plain() if queue is None else queue,
        breaker,
        slots,  # type: ignore[arg-type]
        ask_known_page=slots.ask_known_page,
        fingerprint=lambda request: hash(request.url),
        clock=clock,
    )
    return gate, breaker


def take_down(breaker: Breaker, name: str, clock: Clock) -> None:
    breaker.failed(name, Evidence(1), clock.now)
    assert breaker.failed(name, Evidence(2), clock.now)


def test_the_probe_is_a_page_that_was_had_before_if_there_is_one(clock: Clock) -> None:
    slots = Slots()
    slots.has_known_page = True
    gate, breaker = gated(clock, slots=slots)
    gate.push(Request("http://down/1"))
    take_down(breaker, "down", clock)
    assert gate.pop() is None
    clock.now += 10
    assert gate.pop() is None
    assert slots.asked == ["down"]
    assert gate.pop() is None
    assert len(slots.asked) == 1, "one probe at a time"
    breaker.known_page_answered("down", clock.now)
    assert gate.pop() is not None


def test_a_suspicion_is_tested_although_no_request_is_due(clock: Clock) -> None:
    slots = Slots()
    gate, breaker = gated(clock, slots=slots)
    for _ in range(REPEATED):
        breaker.failed("down", Evidence(1, known_page_from=clock.now + 1), clock.now)
    assert gate.pop() is None
    assert slots.asked == [], "the page was requested too recently"
    clock.now += 1
    assert gate.pop() is None
    assert slots.asked == ["down"]
    assert breaker["down"].probing is None, "no page was there to ask for"
    slots.has_known_page = True
    assert gate.pop() is None
    assert breaker["down"].probing == KNOWN_PAGE


@pytest.mark.parametrize("is_start", [False, True])
@pytest.mark.parametrize("queue", [Plain, ByPriority])
def test_probes_are_the_request_that_has_failed_most_often_and_the_next_one_by_turns(
    clock: Clock, queue: type[Plain | ByPriority], is_start: bool
) -> None:
    """Where every page fails at first, a new page would fail, too. The other requests keep their order."""
    gate, breaker = gated(clock, queue())
    for number, failed in enumerate((0, 0, 1, 2, 1, 0)):
        meta = {"retry_times": failed, "is_start_request": is_start}
        gate.push(Request(f"http://down/{number}", priority=-failed, meta=meta))
    take_down(breaker, "down", clock)
    assert gate.pop() is None
    assert _probes(gate, breaker, clock, 4) == ["3", "0", "2", "1"]
    breaker.succeeded("down", clock.now)
    assert [request.url[-1] for request in iter(gate.pop, None)] == (["5", "4"] if queue is ByPriority else ["4", "5"])


def _probes(gate: HostGatedQueue, breaker: Breaker, clock: Clock, times: int) -> list[str]:
    """Return the pages of so many probes, each of which fails."""
    found = []
    for _ in range(times):
        clock.now = breaker.opens_at("down")
        probe = gate.pop()
        assert probe is not None
        found.append(probe.url[-1])
        breaker.failed("down", Evidence(hash(probe.url)), clock.now)
    return found


@pytest.mark.parametrize("queue", [Plain, BySlot])
def test_ports_of_a_host_are_told_apart(clock: Clock, queue: type[Plain | BySlot]) -> None:
    gate, breaker = gated(clock, queue())
    for number in range(3):
        gate.push(Request(f"http://one:8001/{number}"))
        gate.push(Request(f"http://one:8002/{number}"))
    take_down(breaker, "one:8001", clock)
    popped = [gate.pop() for _ in range(4)]
    assert [request and host(request) for request in popped] == ["one:8002"] * 3 + [None]
    breaker.succeeded("one:8001", clock.now)
    assert [request is not None for request in (gate.pop(), gate.pop(), gate.pop(), gate.pop())] == [True] * 3 + [False]


def test_the_queue_of_a_slot_is_set_aside_as_a_whole(clock: Clock) -> None:
    gate, breaker = gated(clock, BySlot())
    for number in range(3):
        gate.push(Request(f"http://down/{number}"))
        gate.push(Request(f"http://up/{number}"))
    take_down(breaker, "down", clock)
    assert [request and host(request) for request in (gate.pop(), gate.pop(), gate.pop(), gate.pop())] == [
        *["up"] * 3,
        None,
    ]
    gate.push(Request("http://down/4"))
    assert gate.parked == {"down"}
    breaker.succeeded("down", clock.now)
    assert sum(gate.pop() is not None for _ in range(9)) == 4


def test_too_many_requests_of_a_port_are_set_aside_with_their_slot(clock: Clock) -> None:
    gate, breaker = gated(clock, BySlot())
    for number in range(HELD_OF_PORT + 10):
        gate.push(Request(f"http://one:8001/{number}"))
    take_down(breaker, "one:8001", clock)
    assert gate.pop() is None
    assert sum(map(len, gate._held.values())) == HELD_OF_PORT
    breaker.succeeded("one:8001", clock.now)
    assert sum(gate.pop() is not None for _ in range(HELD_OF_PORT + 20)) == HELD_OF_PORT + 10


def test_requests_of_a_host_that_is_down_wait_for_the_probe(clock: Clock) -> None:
    gate, breaker = gated(clock)
    for number in range(2):
        gate.push(Request(f"http://down/{number}"))
        gate.push(Request(f"http://up/{number}"))
    take_down(breaker, "down", clock)
    assert [gate.pop(), gate.pop(), gate.pop()][2] is None
    assert gate.parked == {"down"}
    opening = gate.next_opening()
    assert opening is not None
    assert opening > clock.now
    clock.now = opening
    probe = gate.pop()
    assert probe is not None
    assert host(probe) == "down"
    assert gate.pop() is None, "one probe at a time"
    assert gate.next_opening() is None


def test_a_host_that_is_up_again_gets_its_requests_in_their_order(clock: Clock) -> None:
    gate, breaker = gated(clock)
    urls = [f"http://down/{number}" for number in range(3)]
    for url in urls:
        gate.push(Request(url))
    take_down(breaker, "down", clock)
    assert gate.pop() is None
    breaker.succeeded("down", clock.now)
    popped = [gate.pop() for _ in urls]
    assert [request.url for request in popped if request is not None] == urls
    assert gate.pop() is None


def test_a_paused_host_is_left_alone_until_then(clock: Clock) -> None:
    gate, breaker = gated(clock)
    gate.push(Request("http://slow/1"))
    breaker.pause("slow", clock.now + 5)
    assert gate.pop() is None
    assert gate.next_opening() == clock.now + 5
    clock.now += 5
    assert gate.pop() is not None


def test_no_more_is_held_back_than_fits(clock: Clock) -> None:
    gate, breaker = gated(clock)
    for number in range(HELD + 10):
        gate.push(Request(f"http://down/{number}"))
    gate.push(Request("http://up/1"))
    take_down(breaker, "down", clock)
    assert gate.pop() is None
    assert gate.is_full
    assert len(gate) == 11
