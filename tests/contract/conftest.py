"""Everything happens in a directory of its own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from scrapy_t8 import T8ResumeAndRetry, get_config


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
