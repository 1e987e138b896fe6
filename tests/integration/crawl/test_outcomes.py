"""Pages with errors, errbacks and dropped items yield the same as with plain Scrapy, killed or not."""

from __future__ import annotations

from collections import Counter

import pytest

from .compare import Lab

pytestmark = pytest.mark.slow


def test_errbacks(lab: Lab) -> None:
    """What an errback yields belongs to its page, and comes once. Traps 25, 31."""
    lab.compare("errbacks", ("raising", "coroutine"), ("generous", "refused"))


def test_exceptions(lab: Lab) -> None:
    """What was yielded before an exception counts, once; the page is done all the same. Trap 10."""
    lab.compare("exceptions", ("in_the_middle", "in_async"), ("rescue", "p/of-async"))


def test_ignored_requests(lab: Lab) -> None:
    """IgnoreRequest ends a page, wherever it is raised, and no signal says so. Traps 6, 30."""
    lab.compare("ignored", ("root", "ignored in response"), ("errback of p/ignore-in-request?errback",))


def test_pipelines(lab: Lab) -> None:
    """A page is done when its items are through the pipelines, well or not, and in the feed. Traps 9, 12, 13."""
    lab.compare("pipelines", ("pipeline dropped:2", "slow kept:3"), ("pipeline raising:3", "slow changed"))


def test_coroutines(lab: Lab) -> None:
    """A page lasts as long as its callback; downloads that it makes itself are no pages. Trap 6."""
    lab.compare("coroutines", ("generator:3", "inline:2"), ("inline:1", "generator:4"))


def test_close_spider_from_a_callback(lab: Lab) -> None:
    """CloseSpider is a stop like any other: the next run goes on, with the page that raised it."""
    plain = lab.crawl("enough", t8=False)
    crawl = lab.crawl("enough")
    assert crawl.run(switch="close").reason == "enough"
    assert not crawl.state().record["finished"]
    crawl.finished()
    plain.finished()
    assert plain.lines == crawl.lines
    assert Counter(crawl.pages) == Counter([*plain.pages, "p/4"])


def test_requests_given_to_the_engine(lab: Lab) -> None:
    """Requests given to the engine are kept as well, also those of a ``spider_idle`` handler. Traps 22, 33."""
    lab.compare("injected", ("end of p/start", "end of p/idle-2"))
