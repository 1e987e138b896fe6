"""A service as the documentation makes it, in a directory of its own."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from scrapy_t8 import T8ResumeAndRetry, get_config

SOON = {"retry_base": 0.01, "retry_cap": 0.05}


@pytest.fixture(autouse=True)
def _in_a_directory_of_its_own(here: Path) -> None: ...


@pytest.fixture
def t8(here: Path) -> Iterator[T8ResumeAndRetry]:
    service = T8ResumeAndRetry(get_config("development"))
    yield service
    service.stop_service(0)
