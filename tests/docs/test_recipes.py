"""docs/howto/deploy.md and login.md: each recipe is run, or checked by the program that it is for."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import find_spec
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from scrapy_t8 import read_report
from tests.support.process import wait_until

from .sessions import DOCS, PORT, Session, blocks, compare, free_port, steps
from .test_pages import SETTINGS, cars, names

pytestmark = pytest.mark.slow

DEPLOY, LOGIN = DOCS / "howto/deploy.md", DOCS / "howto/login.md"
ADDONS = {"scrapy_t8.T8Addon": 500}
PATIENCE = r"(?:TimeoutStopSec=|--stop-timeout |terminationGracePeriodSeconds: )(\d+)"


@pytest.fixture
def session(tmp_path: Path) -> Iterator[Session]:
    with Session(tmp_path) as session:
        yield session


def block(title: str) -> str:
    """Return the text of a block of the page about deployment."""
    return next(found.text for found in blocks(DEPLOY) if found.title == title)


def command_of_systemd() -> str:
    [command] = re.findall("^ExecStart=(.+)$", block("/etc/systemd/system/cars.service"), re.MULTILINE)
    return command


def command_of_cron() -> str:
    *times, command = block("crontab -e").split(maxsplit=5)
    assert all(re.fullmatch(r"[\d*/,-]+", time) for time in times)
    assert "%" not in command
    return command.strip()


def command_of_docker() -> str:
    [command] = re.findall("^CMD (.+)$", block("Dockerfile"), re.MULTILINE)
    return shlex.join(json.loads(command))


@pytest.mark.parametrize("recipe", [command_of_systemd, command_of_cron, command_of_docker])
def test_a_command_resumes_finishes_and_then_keeps_the_job(recipe: Any, session: Session) -> None:
    session.open_shop(SETTINGS, DOWNLOAD_DELAY=0.2, ADDONS=ADDONS)
    session.run("rm ../hidden.txt; mkdir jobs")
    here = str(session.directory)
    command = recipe().replace("/srv/shop/.venv/bin/scrapy", "scrapy").replace(".venv/bin/scrapy", "scrapy")
    command = command.replace("/srv/shop", here).replace("/data", here)
    session.run(f"{command} 2> crawl.log &")
    session.run("sleep 6")
    # The command may be a shell that waits for the crawl.
    session.run("kill -9 $(cat jobs/cars/t8/holder); wait $!")
    session.run(f"{command} 2> second.log")
    feed = session.directory / "cars.jsonl"
    assert names(feed) == cars(20)
    report = read_report(session.directory / "jobs/cars")
    assert [run["end"] for run in report["runs"]] == ["killed", "finished"]
    before = feed.read_bytes()
    session.run(f"{command} 2> third.log")
    assert feed.read_bytes() == before
    assert read_report(session.directory / "jobs/cars")["job"]["id"] == report["job"]["id"]


def test_systemd_accepts_the_units(tmp_path: Path) -> None:
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    for title in ("/etc/systemd/system/cars.service", "/etc/systemd/system/cars.timer"):
        text = block(title).replace("/srv/shop/.venv/bin/scrapy", sys.executable)
        (tmp_path / Path(title).name).write_text(text)
    units = [str(path) for path in tmp_path.iterdir()]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if "cars." in line] == []


def test_the_grace_of_a_stop_is_shorter_than_the_patience_of_each_recipe() -> None:
    from scrapy_t8 import Config

    seconds = re.findall(PATIENCE, DEPLOY.read_text())
    assert len(seconds) == 3
    assert all(int(each) > Config().stop_grace + 2 for each in seconds)


@pytest.mark.skipif(find_spec("scrapyd") is None, reason="scrapyd is not installed")
def test_scrapyd(session: Session) -> None:
    [schedule], [cancel] = (steps(each.text) for each in blocks(DEPLOY) if "localhost:6800" in each.text)
    feeds = next(each.text for each in blocks(DEPLOY) if each.title == SETTINGS)
    session.open_shop(SETTINGS, DOWNLOAD_DELAY=0.2, ADDONS=ADDONS, CONCURRENT_REQUESTS=1)
    session.write(SETTINGS, feeds)
    port = free_port()
    (session.directory / "scrapyd.conf").write_text(f"[scrapyd]\nhttp_port = {port}\npoll_interval = 0.2\n")
    session.run("rm ../hidden.txt; python -m scrapyd > scrapyd.log 2>&1 &")

    def is_up() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0

    wait_until(is_up, "scrapyd")
    for ending in ("", " -d signal=KILL", None):
        printed = session.run(schedule.command.replace("6800", str(port)))
        compare(schedule, printed, varies=False)
        job = json.loads(printed[0])["jobid"]
        if ending is not None:
            feed = session.directory / "cars.jsonl"
            before = feed.read_text().count("\n") if feed.exists() else 0
            wait_until(lambda: feed.exists() and feed.read_text().count("\n") > before + 2, "the crawl")  # noqa: B023
            stop = cancel.command.replace("6800", str(port)) + ending
            compare(cancel, session.run(re.sub("job=[0-9a-f]{40}", f"job={job}", stop)), varies=False)
        wait_until(lambda: job in finished(session, port), "the end of the crawl")  # noqa: B023
    assert names(session.directory / "cars.jsonl") == cars(20)
    runs = [run["end"] for run in read_report(session.directory / "jobs/cars")["runs"]]
    assert runs == ["stopped", "killed", "finished"]


def finished(session: Session, port: int) -> list[str]:
    [answer] = session.run(f"curl -s http://localhost:{port}/listjobs.json?project=default")
    return [job["id"] for job in json.loads(answer)["finished"]]


class Orders(BaseHTTPRequestHandler):
    """A site whose pages need a login. A session ends after four pages."""

    allowed = 0
    logins: list[str] = []  # noqa: RUF012

    def do_POST(self) -> None:
        self.logins.append(self.rfile.read(int(self.headers["Content-Length"])).decode())
        type(self).allowed = 4
        self._answer("welcome", cookie=True)

    def do_GET(self) -> None:
        type(self).allowed -= 1
        if self.allowed < 0 or "session=1" not in self.headers.get("Cookie", ""):
            self._answer('<form class="login">')
        elif self.path == "/orders":
            self._answer("".join(f'<a class="order" href="/orders/{number}">' for number in range(5)))
        else:
            self._answer(f"<h1>{self.path}</h1>")

    def _answer(self, text: str, *, cookie: bool = False) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        if cookie:
            self.send_header("Set-Cookie", "session=1")
        self.end_headers()
        self.wfile.write(f"<html><body>{text}</body></html>".encode())

    def log_message(self, *args: Any) -> None:
        pass


def test_the_login(session: Session) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), Orders) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        [spider] = [each for each in blocks(LOGIN) if each.language == "python"]
        (session.home / "orders.py").write_text(spider.text.replace(f":{PORT}", f":{server.server_port}"))
        command = "scrapy runspider orders.py -O orders.jsonl -s CONCURRENT_REQUESTS=1"
        logs = ["\n".join(session.run(f"{command} 2>&1")) for _ in range(2)]
        server.shutdown()
    assert "Closing spider (logged_out)" in logs[0]
    assert Orders.logins == ["user=me&password=secret"] * 2
    orders = [json.loads(line)["order"] for line in (session.home / "orders.jsonl").read_text().splitlines()]
    assert sorted(orders) == [f"/orders/{number}" for number in range(5)]
    assert read_report(session.home / ".scrapy/t8/orders")["verdict"] == "complete"
