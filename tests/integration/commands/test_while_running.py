"""While a crawl runs: commands that read do not hold it up, commands that change something are refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.support.command import T8, spawn
from tests.support.site import Server

from .conftest import new_crawl
from .test_all_commands import CHANGING, READING

pytestmark = pytest.mark.slow


def test_reading_commands_do_not_hold_up_the_crawl(t8: T8, server: Server, tmp_path: Path) -> None:
    crawl = new_crawl(server, tmp_path / "running")
    running = crawl.start(gate="go").until(lambda: crawl.committed().exported >= 4, "4 items")
    at = ("--jobdir", crawl.job)
    running.until(lambda: t8.json("failed", "list", *at)["total"] == 2, "two dead letters")
    printed = t8.json("status", *at)
    assert (printed["running"], printed["state"], printed["last_run"]["end"]) == (True, "running", "running")
    assert printed["requests"]["leased"] > 0
    assert sum(row["leased"] for row in printed["callbacks"]) == printed["requests"]["leased"]
    assert printed["requests"]["difference"] == 0
    assert t8("status", "--check", *at) == 0
    log = crawl.job / "t8" / "state.db-wal"
    size = log.stat().st_size
    for command in READING:
        assert t8(*command.split(), *at) == 0, (command, t8.err)
        assert log.stat().st_size >= size, f"{command} has moved the log into the file"
        size = log.stat().st_size
    done = spawn("status", "--json", *at, cwd=tmp_path)
    assert json.loads(done.stdout)["running"]
    for command in CHANGING:
        assert "is in use by another process" in t8.refused(1, *command.split(), *at), command
    (crawl.work / "go").touch()
    run = running.wait()
    assert run.code == 0, run.log
    assert "CRITICAL" not in run.log
    assert len(crawl.lines) == 45
    assert set(crawl.lines.values()) == {1}
    assert t8.json("verify", *at)["ok"]
