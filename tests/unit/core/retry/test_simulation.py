"""The breaker distinguishes an outage from a bad tail: thousands of random hosts, each in simulated time."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product
from math import log2

import pytest

from scrapy_t8.core.retry.failure import HOST, NETWORK

from .simulation import FAILURES, NEVER, POLICY, PROBE, Clairvoyant, Crawl, Outage, WithBreaker, World, look_alike

FACTOR = 1.5
"""How much longer than plain backoff, or than the best that can be done, a crawl may take, whichever is longer."""
UNAVOIDABLE = {0: 13, 1000: 31, 3500: 19, 6000: 29, 8500: 20}
"""By the first seed: in how many hosts no policy can keep to that, because another world looks the same."""


def check(world: World) -> bool:
    """Compare what the project does with plain backoff, and with the best that can be done.

    Return whether the end is in time for someone who knows the future. If not, the end must be in time in a world that
    looks the same, and no crawl of that world may end in time for this one.
    """
    plain, best, ours = Crawl(world).run(), Clairvoyant(world).run(), WithBreaker(world).run()
    must = {page for page in best.had if world.can_be_had(page)}
    assert must <= ours.had, f"{world}: {sorted(must - ours.had)} were not had"
    for outage in world.outages:
        probes = [when for when, is_down in ours.hits if is_down and outage.begin <= when < outage.end]
        assert all(after - before >= PROBE - 1e-6 for before, after in pairwise(probes)), world
    latest = FACTOR * max(plain.end, best.end)
    if ours.end <= latest:
        return True
    best_there = Clairvoyant(look_alike(world, ours)).run().end
    assert latest < best_there, f"{world}: ended at {ours.end}, not by {latest}"
    assert ours.end <= FACTOR * best_there, world
    return False


def late(seeds: range) -> list[int]:
    return [seed for seed in seeds if not check(World.of(seed))]


def test_a_thousand_hosts() -> None:
    assert len(late(range(1000))) <= UNAVOIDABLE[0]


@pytest.mark.slow
@pytest.mark.parametrize("first", [1000, 3500, 6000, 8500])
def test_ten_thousand_hosts(first: int) -> None:
    assert len(late(range(first, first + 2500))) <= UNAVOIDABLE[first]


def world(failures: list[int], *outages: Outage, kind: str = HOST, at_once: int = 8, is_chain: bool = False) -> World:
    return World(tuple(failures), (kind,) * len(failures), outages, at_once, 0.05, seed=1, is_chain=is_chain)


@pytest.mark.parametrize("kind", [HOST, NETWORK])
@pytest.mark.parametrize("times", [4, NEVER])
def test_a_bad_tail_ends_by_the_budgets_of_its_pages(kind: str, times: int) -> None:
    """A tenth of the pages fails, and nothing else is left in the end."""
    of_tail = world([times if page % 10 == 3 else 0 for page in range(300)], kind=kind)
    plain, ours = Crawl(of_tail).run(), WithBreaker(of_tail).run()
    assert ours.had == plain.had
    assert ours.end <= 1.5 * plain.end
    assert len(ours.hits) <= 1.5 * len(plain.hits)


@pytest.mark.parametrize("is_silent", [True, False])
@pytest.mark.parametrize("length", [70.0, 580.0])
def test_a_list_outlasts_an_outage(is_silent: bool, length: float) -> None:
    """One request at a time: no five requests ever fail."""
    listed = world([0] * 30, Outage(0.5, 0.5 + length, is_silent), at_once=1, is_chain=True)
    ours = WithBreaker(listed).run()
    assert len(Crawl(listed).run().had) < 30
    assert len(ours.had) == 30
    assert len([when for when, _ in ours.hits if 0.5 <= when < 0.5 + length]) <= 20


def test_a_list_whose_host_is_down_at_the_start_is_had_later() -> None:
    listed = world([0] * 30, Outage(0.0, 70.0), at_once=1, is_chain=True)
    assert len(Crawl(listed).run().had) == 0
    assert len(WithBreaker(listed).run().had) == 30


HOPELESS = [0, 0, 0, NEVER, NEVER]


@pytest.mark.parametrize("length", [3.0, 12.0, 40.0, 200.0])
def test_an_outage_while_only_pages_are_left_that_never_work(length: float) -> None:
    """What an outage was charged is given back, but the long delays are not waited for twice."""
    late = [begin for begin in range(1, 70) if not check(world(HOPELESS, Outage(float(begin), begin + length)))]
    assert late == []


def test_a_suspicion_is_tested_when_it_arises() -> None:
    """Hours of backoff lie between two attempts of the last page, and the outage falls between them."""
    of_tail = world([0, 0, 0, NEVER])
    failed = [when for when, _ in Crawl(of_tail).run().hits][3:]
    outage = Outage(failed[4] + 2.0, failed[5] - 1.0)
    ours = WithBreaker(replace(of_tail, outages=(outage,))).run()
    assert not [when for when, _ in ours.hits if outage.begin <= when < outage.end]
    assert ours.end <= Crawl(of_tail).run().end + 1.0


SHAPES = [
    *product([5, 10, 20, 40, 100, 500], [1, 4, 16], [1, 2, 3]),
    *(pytest.param(5000, *shape, marks=pytest.mark.slow) for shape in [(1, 1), (16, 3)]),
]
"""Pages, how many are requested at once, and how often each fails."""


@pytest.mark.parametrize("kind", [HOST, NETWORK])
@pytest.mark.parametrize(("pages", "at_once", "times"), SHAPES)
def test_a_host_of_which_every_page_fails_at_first_is_as_fast_as_with_plain_backoff(
    pages: int, at_once: int, times: int, kind: str
) -> None:
    """Each probe takes twice as many new failures as the one before. Later, there is at most one in PROBE seconds."""
    for takes in (0.02, 0.3):
        of_first = replace(world([0] + [times] * (pages - 1), kind=kind, at_once=at_once), takes=takes)
        plain, best, ours = Crawl(of_first).run(), Clairvoyant(of_first).run(), WithBreaker(of_first).run()
        assert ours.had == plain.had
        assert ours.end <= FACTOR * max(plain.end, best.end)
        probes = len(ours.hits) - len(plain.hits)
        assert probes <= log2(max(pages / FAILURES, 1)) + 2 + ours.end / PROBE


@pytest.mark.parametrize("kind", [HOST, NETWORK])
@pytest.mark.parametrize(("pages", "at_once", "times"), SHAPES)
def test_where_the_first_page_fails_too_the_host_seems_to_be_down_until_one_page_is_answered(
    pages: int, at_once: int, times: int, kind: str
) -> None:
    """Every other probe is a page that has failed before: a new one would fail, too.

    No policy with one probe in each interval can distinguish this from an outage that ends with the last failed probe.
    """
    of_first = world([times] * pages, kind=kind, at_once=at_once)
    plain, ours = Crawl(of_first).run(), WithBreaker(of_first).run()
    assert ours.had == plain.had
    probes = [when for when, is_down in ours.hits if is_down]
    assert len(probes) <= 2 * times - 1
    looks_alike = replace(of_first, outages=(Outage(0.0, probes[-1] if probes else 0.0),))
    assert ours.end <= FACTOR * Clairvoyant(looks_alike).run().end


@pytest.mark.parametrize("at_once", [1, 4, 16])
def test_pages_that_never_work_do_not_hide_a_host_that_is_up(at_once: int) -> None:
    """The first pages of a list of URLs are bad. Every other probe is a new page."""
    listed = world([NEVER] * 20 + [0] * 100, at_once=at_once)
    ours = WithBreaker(listed).run()
    assert ours.had == set(range(20, 120))
    assert ours.buried == set(range(20))
    assert len([when for when, is_down in ours.hits if is_down]) <= 2 * 20


@pytest.mark.parametrize("second", [100.0, 130.0, 160.0])
def test_a_page_of_a_list_outlasts_two_outages_that_a_few_of_its_attempts_hit(second: float) -> None:
    """The page fails four times by itself, twice in the first outage, and once in the second."""
    silences = [Outage(40.0, 68.0, takes=10.0), Outage(second - 2, second + 20, takes=10.0)]
    late = []
    for begin in range(10, 35):
        own = [0] * begin + [4, 0, 0]
        listed = replace(world(own, *silences, kind=NETWORK, at_once=1, is_chain=True), takes=1.0, seed=begin)
        late += [begin] if len(WithBreaker(listed).run().had) < len(own) else []
    assert late == []


@pytest.mark.parametrize("takes", [0.02, 1.0, 6.0, 30.0])
@pytest.mark.parametrize("is_chain", [False, True])
def test_a_page_that_never_works_is_tried_at_most_twice_more_than_its_retries(takes: float, is_chain: bool) -> None:
    """However long an attempt takes, the page is given up."""
    listed = replace(world([0] * 5 + [NEVER], kind=NETWORK, at_once=1, is_chain=is_chain), takes=takes)
    crawl = WithBreaker(listed)
    assert crawl.run().buried == {5}
    assert max(crawl.failures) <= 1 + POLICY.rule(NETWORK, {}).times + 2


def test_two_outages_with_no_probe_between_them_look_like_one() -> None:
    """The best crawl ends between them. Whether another one can depends on when its probes happen to be."""
    ends = [200.0 + 4 * number for number in range(20)]
    listed = [world([0] * 3, Outage(0.08, end), Outage(end + 50, end + 200), at_once=1, is_chain=True) for end in ends]
    assert all(Clairvoyant(of_list).run().end < end + 50 for of_list, end in zip(listed, ends, strict=True))
    assert {check(of_list) for of_list in listed} == {True, False}
    assert all(len(WithBreaker(of_list).run().had) == 3 for of_list in listed)
