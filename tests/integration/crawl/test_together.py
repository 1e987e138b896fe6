"""Requests that belong together: shared values stay shared, and replayed pages take up where they were."""

from __future__ import annotations

import pytest

from .compare import Lab

pytestmark = pytest.mark.slow


def test_a_basket_that_several_requests_fill(lab: Lab) -> None:
    """The callbacks change what they share, so that the requests run from memory, with one warning."""
    comparison = lab.compare("baskets", ("quick-c", "patient-b"), ("quick-e", "patient-d"))
    assert len(comparison.calm.last.lines("share")) == 1


@pytest.mark.parametrize("filtered", ["yes", "no"])
def test_a_basket_whose_last_request_has_no_answer_at_two_kills(lab: Lab, filtered: str) -> None:
    crawl = lab.crawl("held_baskets", filtered=filtered)
    for _ in range(2):
        crawl.killed("last")
    assert crawl.site is not None
    crawl.site.release()
    crawl.finished()
    assert crawl.values("rows") == {"abc": 3}


def test_a_basket_that_requests_of_start_fill(lab: Lab) -> None:
    lab.compare("basket_of_start", ("start-a",), ("start-c", "start-e"))


def test_a_dict_that_all_requests_read(lab: Lab) -> None:
    """Once some callbacks have left it as it was, the requests are stored."""
    comparison = lab.compare("catalogue", ("offer 30",))
    assert not comparison.calm.last.lines("share")
    crawl = lab.crawl("catalogue")
    crawl.stopped("offer 30")
    state = crawl.state()
    assert state.ready > 5
    assert crawl.query("SELECT count(*) FROM spawned") == [(0,)]


def test_accounts_out_of_a_set(lab: Lab) -> None:
    plain = lab.crawl("accounts", t8=False)
    plain.finished()
    crawl = lab.crawl("accounts")
    crawl.fresh = True  # the order of a set is that of its interpreter
    points = enumerate(("home:2", "order:3", "home:2", "order:5"), 1)
    if all(crawl.dies(point, variables={"PYTHONHASHSEED": str(seed)}) for seed, point in points):
        crawl.finished(variables={"PYTHONHASHSEED": "9"})
    assert crawl.lines == plain.lines


@pytest.mark.parametrize("spider", ["links", "links_by_path"])
def test_a_filter_like_scrapys(lab: Lab, spider: str) -> None:
    """What it has seen is part of the commits: after a kill nothing is missing, and nothing is there twice."""
    comparison = lab.compare(spider, ("link 24", "link-28"), ("link-3", "link 56", "link 59"))
    assert not comparison.calm.last.lines("DUPEFILTER_CLASS is set to")
    assert not (comparison.calm.job / "requests.seen").read_bytes()
