"""The crawls that these tests make."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from tests.support.crawl import Crawl, Run
from tests.support.site import Server

from .compare import Lab

LONGEST = "huge_page"
"""The fixture of the crawl that takes longest: it runs beside all others, and is looked at last."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST in getattr(item, "fixturenames", ()))


@pytest.fixture(scope="session")
def _lab(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    return Lab(tmp_path_factory.mktemp("crawls"), server)


@pytest.fixture(scope="session")
def _longest(_lab: Lab, request: pytest.FixtureRequest) -> Iterator[tuple[Crawl, Future[Run]] | None]:
    """The longest crawl, begun with the first test; None if no test looks at it."""
    if not any(LONGEST in getattr(item, "fixturenames", ()) for item in request.session.items):
        yield None
        return
    crawl = _lab.crawl(LONGEST)
    with ThreadPoolExecutor(1) as pool:
        yield crawl, pool.submit(crawl.run)


@pytest.fixture
def huge_page(_longest: tuple[Crawl, Future[Run]]) -> Crawl:
    crawl, run = _longest
    run.result()
    return crawl


@pytest.fixture(scope="session")
def lab(_lab: Lab, _longest: object) -> Lab:
    """Makes the crawls of a test."""
    return _lab
