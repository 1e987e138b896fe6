"""Servers that cannot be used, or not now: one clear line each, and nothing is half done."""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from scrapy_t8.errors import ConfigError, NoAnswer, StoreError
from scrapy_t8.stores.frontier_contract import CommitStatus, WorkerBatch
from scrapy_t8.stores.redis.connection import check_server, connect, hidden
from scrapy_t8.stores.redis.engine import RedisFrontier
from tests.support.redis_server import RedisServer, binaries

from .worker import JOB

BINARY = next(iter(binaries().values()), "")
pytestmark = pytest.mark.skipif(not BINARY, reason="there is no server here")


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., RedisServer]]:
    servers: list[RedisServer] = []

    def started(*options: str) -> RedisServer:
        servers.append(RedisServer(BINARY, tmp_path / str(len(servers)), *options))
        servers[-1].start()
        return servers[-1]

    yield started
    for server in servers:
        server.stop()


def frontier(url: str, **parameters: Any) -> RedisFrontier:
    return RedisFrontier(connect(url, parameters), "spider", where="the server", sleep=lambda seconds: None)


def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(NoAnswer, match=r"Redis at the server does not answer: .*No such file"):
        frontier(f"unix://{tmp_path}/none").join("one", "/here", JOB)


@pytest.mark.parametrize("url", ["http://host", "redis://host:port/0"])
def test_an_address_that_is_none(url: str) -> None:
    with pytest.raises(ConfigError, match=r"T8_STORE = .* cannot be used"):
        connect(url)


def test_no_message_has_the_password() -> None:
    assert hidden("redis://user:se:cret@host:6379/0") == "redis://user:***@host:6379/0"
    assert hidden("rediss://:secret@host/0") == "rediss://:***@host/0"
    assert hidden("redis://host/0") == "redis://host/0"


def test_a_password_that_is_missing_or_wrong(start: Callable[..., RedisServer]) -> None:
    server = start("--requirepass", "secret")
    with pytest.raises(StoreError, match=r"Redis at the server cannot be used: .*password"):
        frontier(server.url).join("one", "/here", JOB)
    with pytest.raises(StoreError, match="The user or password in T8_STORE is wrong") as wrong:
        frontier(server.url, password="other").join("one", "/here", JOB)
    assert "other" not in str(wrong.value)
    assert frontier(server.url, password="secret").join("one", "/here", JOB).epoch == 1


def test_a_user_who_may_not_run_scripts(start: Callable[..., RedisServer]) -> None:
    server = start()
    server.client().execute_command("ACL", "SETUSER", "guest", "on", ">word", "~*", "+info", "+config|get")
    with pytest.raises(StoreError, match="The user of T8_STORE may not do this"):
        frontier(server.url, username="guest", password="word").join("one", "/here", JOB)


def test_a_replica_is_refused(start: Callable[..., RedisServer]) -> None:
    server = start()
    server.client().replicaof("127.0.0.1", "1")
    with pytest.raises(StoreError, match="is a replica: T8_STORE must name the primary"):
        frontier(server.url).join("one", "/here", JOB)


def test_a_server_that_becomes_a_replica_changes_nothing_more(start: Callable[..., RedisServer]) -> None:
    server = start()
    one = frontier(server.url)
    session = one.join("one", "/here", JOB)
    server.client().replicaof("127.0.0.1", "1")
    with pytest.raises(StoreError, match="T8_STORE must name the primary"):
        one.commit(session, 1, WorkerBatch(feeds={"a": 1}), want=1)


def test_a_server_that_evicts_keys_is_refused(start: Callable[..., RedisServer]) -> None:
    server = start("--maxmemory", "50mb", "--maxmemory-policy", "allkeys-lru")
    with pytest.raises(StoreError, match=r"deletes keys when its memory is full \(maxmemory-policy allkeys-lru\)"):
        frontier(server.url).join("one", "/here", JOB)


def test_a_server_without_persistence_is_told_of(start: Callable[..., RedisServer]) -> None:
    assert frontier(start().url).join("one", "/here", JOB).warnings == []
    memory = frontier(start("--appendonly", "no").url).join("one", "/here", JOB)
    assert [line.partition(":")[0] for line in memory.warnings] == ["Redis at the server keeps its data in memory only"]
    snapshots = frontier(start("--appendonly", "no", "--save", "900 1").url).join("one", "/here", JOB)
    assert "writes snapshots only" in snapshots.warnings[0]


def test_a_server_whose_memory_is_full_changes_nothing_and_goes_on_later(start: Callable[..., RedisServer]) -> None:
    server = start()
    client: Any = server.client()
    one = frontier(server.url)
    session = one.join("one", "/here", JOB)
    one.commit(session, 1, WorkerBatch(), want=1)
    client.config_set("maxmemory", "1mb")
    batch = one.packed(WorkerBatch(done=[0], feeds={"a": 1}, cold=b"x"))
    for _ in range(2):
        with pytest.raises(NoAnswer, match="has no memory left: raise maxmemory"):
            one.commit(session, 2, batch, want=1)
    assert client.hget(f"{one.prefix}applied", "one") == b"1"
    client.config_set("maxmemory", "0")
    assert one.commit(session, 2, batch, want=1).status is CommitStatus.OK


def test_a_server_that_stalls_may_have_committed(start: Callable[..., RedisServer]) -> None:
    server = start()
    one = frontier(server.url, socket_timeout=0.05)
    session = one.join("one", "/here", JOB)
    batch = one.packed(WorkerBatch(cold=b"once"))
    server.signal(signal.SIGSTOP)
    with pytest.raises(NoAnswer):
        one.commit(session, 1, batch, want=1)
    server.signal(signal.SIGCONT)
    while True:
        with suppress(NoAnswer):
            answer = one.commit(session, 1, batch, want=1)
            break
    assert [lease.id for lease in answer.leases] == [0]
    assert frontier(server.url).log(0, 5) == [b"once"]


def test_a_connection_that_breaks_before_the_answer(start: Callable[..., RedisServer], tmp_path: Path) -> None:
    server = start()
    with Cutter(server.url, tmp_path) as cutter:
        one = frontier(cutter.url)
        session = one.join("one", "/here", JOB)
        one.commit(session, 1, WorkerBatch(), want=0)  # from here on the server has the script
        batch = one.packed(WorkerBatch(cold=b"once", ledger={"done": 1}))
        cutter.cuts = True
        with pytest.raises(NoAnswer):
            one.commit(session, 2, batch, want=1)
        cutter.cuts = False
        answer = one.commit(session, 2, batch, want=1)
    assert (answer.status, [lease.id for lease in answer.leases]) == (CommitStatus.AGAIN, [0])
    assert frontier(server.url).log(0, 5) == [b"once"]


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ({"redis_version": "6.2.14"}, "is 6.2.14: T8 needs 7.0 or newer, or Valkey"),
        ({"redis_version": "7.4", "dragonfly_version": "df-1.2"}, "is Dragonfly df-1.2"),
        ({"redis_version": "255.255", "executable": "/usr/bin/keydb-server"}, "is KeyDB"),
    ],
)
def test_servers_that_lack_something_are_named(info: dict[str, Any], message: str) -> None:
    class Client:
        def info(self, section: str) -> dict[str, Any]:
            return info

    with pytest.raises(StoreError, match=message):
        check_server(Client(), "the server")  # type: ignore[arg-type]


def test_a_new_server_process_writes_its_file_anew_before_anything_is_added(
    start: Callable[..., RedisServer],
) -> None:
    server = start()
    one = frontier(server.url)
    session = one.join("one", "/here", JOB)
    one.commit(session, 1, WorkerBatch(), want=1)
    server.kill()
    server.start()
    before = server.client().info("persistence")
    assert one.commit(session, 2, WorkerBatch(done=[0]), want=1).status is CommitStatus.OK
    files = sorted(file.name for file in (server.directory / "appendonlydir").iterdir())
    assert not before["aof_rewrite_in_progress"]
    assert "appendonly.aof.2.base.rdb" in files


class Cutter:
    """Passes everything on to a server; while it *cuts*, it ends each connection as soon as there is an answer."""

    def __init__(self, url: str, directory: Path) -> None:
        self._target = url.removeprefix("unix://")
        self.cuts = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._path = Path(self._target).with_name("cutter")
        self._listener.bind(str(self._path))
        self._listener.listen()
        self.url = f"unix://{self._path}"

    def __enter__(self) -> Cutter:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.socket(socket.AF_UNIX)
                server.connect(self._target)
                threading.Thread(target=self._pass_on, args=(client, server, False), daemon=True).start()
                threading.Thread(target=self._pass_on, args=(server, client, True), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, is_answer: bool) -> None:
        with suppress(OSError):
            while data := source.recv(1 << 16):
                if is_answer and self.cuts:
                    break
                target.sendall(data)
        for end in (source, target):
            with suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
