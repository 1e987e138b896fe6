"""While the crawl runs: who looks does not hold it up, who would change something is told."""

from __future__ import annotations

import json
import re
import time
from collections import Counter
from pathlib import Path

import pytest

from tests.crawls.site import Site

from .calling import T8, spawn
from .conftest import Stall
from .test_group import CHANGING, READING

pytestmark = pytest.mark.slow


def test_looking_holds_nothing_up(t8: T8, site: Site, tmp_path: Path) -> None:
    stall = Stall(tmp_path / "running", site)
    process = stall.begin(gate="go")
    try:
        stall.wait_for(4, process)
        at = ("--jobdir", stall.job)
        _wait_for_letters(t8, stall)
        told = t8.json("status", *at)
        assert (told["running"], told["state"], told["last_run"]["end"]) == (True, "running", "running")
        assert told["requests"]["leased"] > 0
        assert sum(row["leased"] for row in told["callbacks"]) == told["requests"]["leased"]
        assert told["requests"]["difference"] == 0
        assert t8("status", "--check", *at) == 0
        log = stall.job / "t8" / "state.db-wal"
        size = log.stat().st_size
        for command in READING:
            assert t8(*command.split(), *at) == 0, (command, t8.err)
            assert log.stat().st_size >= size, f"{command} has moved the log into the file"
            size = log.stat().st_size
        done = spawn("status", "--json", *at, cwd=tmp_path)
        assert json.loads(done.stdout)["running"]
        for command in CHANGING:
            assert "is in use by another process" in t8.refused(1, *command.split(), *at), command
        (stall.work / "go").touch()
        _, err = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, err
    assert "CRITICAL" not in err
    longest = re.search(r"'t8/longest_commit_seconds': ([\d.]+)", err)
    assert longest is not None
    assert float(longest[1]) < 0.5
    items = Counter((stall.work / "items.jsonl").read_text().splitlines())
    assert len(items) == 45
    assert set(items.values()) == {1}
    assert t8.json("verify", *at)["ok"]


def _wait_for_letters(t8: T8, stall: Stall) -> None:
    end = time.monotonic() + 10
    while t8.json("failed", "list", "--jobdir", stall.job)["total"] < 2:
        assert time.monotonic() < end
