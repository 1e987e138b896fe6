"""Notifications, sent to a real server."""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
from typing import Any

import pytest

from scrapy_t8.errors import ConfigError
from scrapy_t8.report.notify import Notifier
from tests.support.process import HANG, run
from tests.support.site import Site


def address(site: Site, page: str, user: str = "") -> str:
    """Return the address at which the site takes notifications: ``ok``, ``broken`` or ``held``."""
    return f"{site.url}/notify/{page}".replace("http://", f"json://{user}")


def send(*urls: str, timeout: float = HANG) -> list[str]:
    return asyncio.run(Notifier(urls, timeout).send("2 alerts", "1 < 2\n汽车"))


def test_notifications_arrive(site: Site) -> None:
    assert send(address(site, "ok"), address(site, "ok")) == []
    assert [(document["title"], document["message"]) for document in site.posted] == [("2 alerts", "1 < 2\n汽车")] * 2


def test_no_addresses() -> None:
    assert not Notifier([], 1)
    assert send() == []


def test_a_server_that_fails(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    [problem] = send(address(site, "broken"), address(site, "ok"))
    assert problem.startswith(f"T8_NOTIFY_URLS[0] ({site.base.replace('http', 'json')}/***): ")
    assert "500" in problem
    assert len(site.posted) == 2
    assert [record.getMessage() for record in caplog.records] == [f"A notification was not sent. {problem}"]


def test_a_server_that_is_not_there() -> None:
    [problem] = send("json://127.0.0.1:9/")
    assert "onnection" in problem


def test_a_hanging_server_holds_up_neither_the_loop_nor_the_others(site: Site) -> None:
    async def send_both() -> list[str]:
        notifier = Notifier([address(site, "held"), address(site, "ok")], HANG)
        task = asyncio.ensure_future(notifier.send("title", "body"))
        while len(site.posted) < 2:
            await asyncio.sleep(0.01)
        assert not task.done()
        site.release()
        return await task

    assert asyncio.run(asyncio.wait_for(send_both(), HANG)) == []


def test_a_hanging_server_is_given_up(site: Site) -> None:
    [problem] = send(address(site, "held"), timeout=0.2)
    assert problem.endswith(": no answer in 0.2 s")


def test_a_hanging_server_does_not_hold_up_the_exit(site: Site) -> None:
    code = "import asyncio, sys; from scrapy_t8.report.notify import Notifier; "
    code += "print(asyncio.run(Notifier([sys.argv[1] + '?rto=3600'], 0.5).send('title', 'body')))"
    done = run("-c", code, address(site, "held"))
    assert "no answer in 0.5 s" in done.stdout
    assert done.returncode == 0


@pytest.mark.parametrize("path", ["ok/t0ken-in-the-path", "broken/t0ken-in-the-path"])
def test_secrets_stay_out_of_the_log(site: Site, caplog: pytest.LogCaptureFixture, path: str) -> None:
    caplog.set_level(1)
    problems = send(
        address(site, path, "user:passw0rd@") + "?+X-Auth=verysecret", "json://127.0.0.1:9/t0ken-in-the-path"
    )
    log = "\n".join([*problems, caplog.text])
    assert "T8_NOTIFY_URLS[1]" in log
    for secret in ("t0ken", "passw0rd", "verysecret"):
        assert secret not in log


def test_log_lines_of_apprise_elsewhere_are_not_muted(caplog: pytest.LogCaptureFixture) -> None:
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
def test_an_invalid_url(caplog: pytest.LogCaptureFixture, url: Any, shown: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Notifier(["json://127.0.0.1:9/", url], 1)
    assert str(caught.value) == f"T8_NOTIFY_URLS[1] is {shown}, which is not a URL that Apprise supports"
    assert caplog.messages == []


def test_without_apprise(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "apprise", None)
    with pytest.raises(ConfigError, match=r'T8_NOTIFY_URLS needs apprise: pip install "scrapy-t8\[notify\]"'):
        Notifier(["json://127.0.0.1:9/"], 1)


def test_send_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_thread(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    notifier = Notifier(["json://127.0.0.1:9/"], 1)
    monkeypatch.setattr(threading.Thread, "start", no_thread)
    [problem] = asyncio.run(notifier.send("title", "body"))
    assert "RuntimeError" in problem
