"""Everything happens in a directory of its own."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from scrapy_t8 import T8ResumeAndRetry, get_config

SOON = {"retry_base": 0.01, "retry_cap": 0.05}


def wait_until(holds: Callable[[], bool], seconds: float = 10) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come true"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def here(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.chdir(tmp_path)
    for name in [name for name in os.environ if name.startswith("T8_")]:
        monkeypatch.delenv(name)
    return tmp_path


@pytest.fixture
def t8(here: Path) -> Iterator[T8ResumeAndRetry]:
    service = T8ResumeAndRetry(get_config("development"))
    yield service
    service.stop_service(0)
