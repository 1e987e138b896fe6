"""A page that is replayed yields what it has yielded before, although something in it is new at each attempt."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import pytest

from tests.support.crawl import Crawl

from .compare import Lab

pytestmark = pytest.mark.slow

NAMES = ("ada", "bea", "cleo", "dora", "edna", "fay")


def killed_and_finished(crawl: Crawl, points: Sequence[str]) -> Counter[str]:
    """Kill a crawl at each of the points, and finish it. Return the children that it has brought."""
    for seed, point in enumerate(points, 1):
        crawl.killed(point, variables={"PYTHONHASHSEED": str(seed)})
    crawl.finished(variables={"PYTHONHASHSEED": "9"})
    # A page that is a dead letter may be revived: its children are still remembered.
    assert crawl.query("SELECT count(*) FROM spawned") == [(len(NAMES) if crawl.letters() else 0,)]
    return Counter(item["child"] for item in crawl.items if "child" in item)


def expected(carries: str) -> Counter[str]:
    return Counter({"one": len(NAMES)} if carries == "alike" else NAMES)


@pytest.mark.parametrize("carries", ["stamp", "token", "siblings", "both", "alike"])
@pytest.mark.parametrize("way", ["asynchronous", "start"])
def test_killed_in_the_middle_of_its_output(lab: Lab, way: str, carries: str) -> None:
    crawl = lab.crawl("renewing", way=way, carries=carries)
    assert killed_and_finished(crawl, ("yielded:2", "yielded:4")) == expected(carries)


@pytest.mark.parametrize("way", ["generator", "coroutine", "errback", "by_lambda"])
def test_killed_when_it_has_yielded_everything(lab: Lab, way: str) -> None:
    crawl = lab.crawl("renewing", way=way, carries="both")
    assert killed_and_finished(crawl, ("item", "item")) == expected("both")


def test_killed_before_what_is_held_back_is_admitted(lab: Lab) -> None:
    """What is held back is not in the state: the next run yields it again."""
    crawl = lab.crawl("renewing", way="asynchronous", carries="both")
    crawl.fresh = True  # each interpreter has hashes of its own
    assert killed_and_finished(crawl, ("yielded:3", "yielded:6", "yielded:5", "item")) == expected("both")


@pytest.mark.parametrize("carries", ["stamp", "both"])
def test_a_page_that_is_tried_again(lab: Lab, carries: str) -> None:
    """In the same run, and after a kill."""
    crawls = [lab.crawl("renewing", way="retried", carries=carries) for _ in range(2)]
    assert killed_and_finished(crawls[0], ()) == expected(carries)
    assert killed_and_finished(crawls[1], ("raises:2",)) == expected(carries)


def test_a_start_that_waits_for_what_is_held_back(lab: Lab) -> None:
    """It is sent after a while."""
    crawl = lab.crawl("polling")
    crawl.killed("answered", T8_COMMIT_INTERVAL=0.001)
    crawl.finished()
    assert crawl.values("page") == Counter(f"p/{number}" for number in range(3))
