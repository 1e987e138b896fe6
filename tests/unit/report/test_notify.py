"""Notifications, to real servers in threads."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from scrapy_t8.errors import ConfigError
from scrapy_t8.report.notify import Notifier


class Server(ThreadingHTTPServer):
    """Answers by its path: /ok, /broken, /hang. Keeps what it was told."""

    daemon_threads = True
    block_on_close = False

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.told: list[dict[str, Any]] = []
        self.over = threading.Event()

    def url(self, path: str, user: str = "") -> str:
        return f"json://{user}127.0.0.1:{self.server_address[1]}/{path}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.server.told.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        if "hang" in self.path:
            self.server.over.wait(30)
        self.send_response(500 if "broken" in self.path else 200)
        self.end_headers()

    def log_message(self, *args: Any) -> None: ...


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    yield server
    server.over.set()
    server.shutdown()
    server.server_close()


def send(*urls: str, timeout: float = 10) -> list[str]:
    return asyncio.run(Notifier(urls, timeout).send("2 alerts", "1 < 2\n汽车"))


def test_it_arrives(server: Server) -> None:
    assert send(server.url("ok"), server.url("ok")) == []
    assert [(told["title"], told["message"]) for told in server.told] == [("2 alerts", "1 < 2\n汽车")] * 2


def test_nobody_to_tell() -> None:
    assert not Notifier([], 1)
    assert send() == []


def test_a_server_that_fails(server: Server, caplog: pytest.LogCaptureFixture) -> None:
    [problem] = send(server.url("broken"), server.url("ok"))
    assert problem.startswith(f"T8_NOTIFY_URLS[0] (json://127.0.0.1:{server.server_address[1]}/***): ")
    assert "500" in problem
    assert len(server.told) == 2
    assert [record.getMessage() for record in caplog.records] == [f"A notification was not sent. {problem}"]


def test_a_server_that_is_not_there() -> None:
    [problem] = send("json://127.0.0.1:9/")
    assert "onnection" in problem


def test_one_that_hangs_holds_up_neither_the_loop_nor_the_others(server: Server) -> None:
    async def beside() -> tuple[list[str], int]:
        notifier = Notifier([server.url("hang"), server.url("ok")], 0.5)
        task = asyncio.ensure_future(notifier.send("title", "body"))
        beats = 0
        while not task.done():
            await asyncio.sleep(0.01)
            beats += 1
        return task.result(), beats

    problems, beats = asyncio.run(beside())
    assert [problem.rpartition(": ")[2] for problem in problems] == ["no answer in 0.5 s"]
    assert beats > 5
    assert len(server.told) == 2


def test_one_that_hangs_does_not_hold_up_the_exit(server: Server) -> None:
    code = "import asyncio, sys; from scrapy_t8.report.notify import Notifier; "
    code += "print(asyncio.run(Notifier([sys.argv[1] + '?rto=30'], 0.5).send('title', 'body')))"
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", code, server.url("hang")], capture_output=True, text=True, timeout=25)
    assert "no answer in 0.5 s" in done.stdout
    assert done.returncode == 0
    assert time.monotonic() - began < 20


@pytest.mark.parametrize("path", ["ok/t0ken-in-the-path", "broken/t0ken-in-the-path"])
def test_secrets_stay_out_of_the_log(server: Server, caplog: pytest.LogCaptureFixture, path: str) -> None:
    caplog.set_level(1)
    problems = send(server.url(path, "user:passw0rd@") + "?+X-Auth=verysecret", "json://127.0.0.1:9/t0ken-in-the-path")
    log = "\n".join([*problems, caplog.text])
    assert "T8_NOTIFY_URLS[1]" in log
    for secret in ("t0ken", "passw0rd", "verysecret"):
        assert secret not in log


def test_what_apprise_says_elsewhere_is_heard(caplog: pytest.LogCaptureFixture) -> None:
    Notifier(["json://127.0.0.1:9/"], 1)
    logging.getLogger("apprise").warning("somebody else's")
    assert caplog.messages == ["somebody else's"]


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("nosuch://user:passw0rd@example.com/t0ken", "nosuch://***"),
        ("json://", "json://***"),
        ("passw0rd", "***"),
        ("", "***"),
        (7, "***"),
        (None, "***"),
    ],
)
def test_a_url_that_nobody_understands(caplog: pytest.LogCaptureFixture, url: Any, shown: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Notifier(["json://127.0.0.1:9/", url], 1)
    assert str(caught.value) == f"T8_NOTIFY_URLS[1] is {shown}, which is no URL that Apprise understands"
    assert caplog.messages == []


def test_without_apprise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match=r"T8_NOTIFY_URLS needs apprise: pip install scrapy-t8\[notify\]"):
        Notifier(["json://127.0.0.1:9/"], 1)


def test_nothing_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    notifier = Notifier(["json://127.0.0.1:9/"], 1)
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    [problem] = asyncio.run(notifier.send("title", "body"))
    assert "RuntimeError" in problem
