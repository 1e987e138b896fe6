"""Requests of hosts that are down are held back, in both kinds of priority queues."""

from __future__ import annotations

from collections import deque
from urllib.parse import urlsplit

from scrapy import Request

from scrapy_t8.core.retry.breaker import Breaker
from scrapy_t8.core.retry.host_gate import HELD, HostGatedQueue
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


def gated(clock: Clock) -> tuple[HostGatedQueue, Breaker]:
    breaker = Breaker(failures=2, probe=10.0, longest=60.0, give_up=600.0)
    return HostGatedQueue(Plain(), breaker, host, clock=clock), breaker


def take_down(breaker: Breaker, name: str, clock: Clock) -> None:
    breaker.failed(name, 1, clock.now)
    assert breaker.failed(name, 2, clock.now)


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
