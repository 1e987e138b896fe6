"""Runs the spider on pages of the site, and says which items a page brings."""

from __future__ import annotations

from collections import Counter
from typing import Any

from tests.support.crawl import Crawl, Run
from tests.support.ledger import State

SPIDER = "failing"


def run(crawl: Crawl, *paths: str, switch: str = "", **more: Any) -> Run:
    """Crawl some pages to the end. Only with a bug, which *switch* switches on, may there be a traceback."""
    done = crawl.run(SPIDER, paths=",".join(paths), switch=switch, **more)
    assert "Traceback" not in done.log or switch, done.log
    return done


def items(crawl: Crawl) -> Counter[str]:
    return crawl.values("path")


def both(*paths: str) -> Counter[str]:
    """Return the two items of each page."""
    return Counter(f"/{path}{part}" for path in paths for part in ("", "#second"))


def balanced(crawl: Crawl) -> State:
    """Return the state of the job, whose ledger is balanced."""
    state = crawl.state()
    assert state.difference == 0, state
    return state


def asked(crawl: Crawl) -> Counter[str]:
    """Return how often each page was asked for."""
    return Counter(hit.path for hit in crawl.site.hits)
