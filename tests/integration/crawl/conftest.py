"""The site and the laboratory that all tests of whole crawls share."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import pytest

from .harness import Crawl, Lab
from .site import Site, serve

HERE = Path(__file__).parent
LONG = "million"
"""The fixture of the crawl that takes longest: it runs beside all others, and is looked at last."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whatever is in this directory is slow."""
    ours = [item for item in items if HERE in item.path.parents]
    for item in ours:
        item.add_marker(pytest.mark.slow)
    items.sort(key=lambda item: item in ours and LONG in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def site() -> Iterator[Site]:
    with serve() as site:
        yield site


@pytest.fixture(scope="session")
def laboratory(site: Site, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("crawls"), site)


@pytest.fixture(scope="session")
def beside(laboratory: Lab, request: pytest.FixtureRequest) -> Iterator[Future[Crawl] | None]:
    """The longest crawl, begun with the first test; None if nobody is going to ask for it."""
    if not any(LONG in getattr(item, "fixturenames", ()) for item in request.session.items):
        yield None
        return
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(_run, laboratory.crawl(LONG))


def _run(crawl: Crawl) -> Crawl:
    crawl.run(limit=300)
    return crawl


@pytest.fixture
def million(beside: Future[Crawl]) -> Crawl:
    return beside.result()


@pytest.fixture(scope="session")
def lab(laboratory: Lab, beside: Future[Crawl] | None) -> Lab:
    """Makes the crawls of a test."""
    return laboratory
