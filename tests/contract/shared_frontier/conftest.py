"""The engines of the shared frontier. Each test gets a frontier of its own on a server of the test session."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from scrapy_t8.stores.redis.connection import connect
from scrapy_t8.stores.redis.engine import RedisFrontier
from tests.support.redis_server import RedisServer, binaries

from .worker import Engine


@pytest.fixture(scope="session", params=["redis", "valkey"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    if request.param not in binaries():
        pytest.skip(f"there is no {request.param}-server here")
    running = RedisServer(binaries()[request.param], tmp_path_factory.mktemp(request.param))
    running.start()
    yield running
    running.stop()


@pytest.fixture
def engine(server: RedisServer, tmp_path: Path) -> Engine:
    client = connect(server.url)
    client.flushall()
    spider = f"spider {uuid.uuid4().hex}"
    return Engine(lambda: RedisFrontier(connect(server.url), spider, sleep=lambda seconds: None), client, tmp_path)
