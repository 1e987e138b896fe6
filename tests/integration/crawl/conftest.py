"""The crawls that these tests make."""

from __future__ import annotations

import pytest

from tests.support.site import Server

from .compare import Lab

LONGEST = "test_huge_page"
"""The module of the test that takes longest: it is run first, beside all others."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST not in item.nodeid)


@pytest.fixture(scope="session")
def lab(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Lab:
    """Makes the crawls of a test."""
    return Lab(tmp_path_factory.mktemp("crawls"), server)
