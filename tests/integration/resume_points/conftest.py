"""One site for all tests of the room, one crawl for each."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from .harness import HERE, Crawl


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    with subprocess.Popen(
        [sys.executable, str(HERE / "site.py")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as site:
        assert site.stdout is not None
        yield json.loads(site.stdout.readline())["port"]
        site.communicate()


@pytest.fixture
def crawl(port: int, tmp_path: Path) -> Crawl:
    return Crawl(tmp_path, port)
