"""``scrapy t8 demo``, ``selftest`` and ``config``"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import T8, spawn

from .conftest import PROJECT


def test_config_tells_value_and_origin(t8: T8, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("T8_MAX_RESUME_POINTS", "5")
    given = {"T8_COMMIT_PAGES": 7, "T8_NOTIFY_URLS": ["mailto://user:hunter2@example.com"]}
    arguments = ("config", "--env", "production", "--log-level", "error", "-s", "T8_RETRY_CAP=9")
    assert t8(*arguments, settings=given) == 0
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in t8.out.splitlines()}
    assert rows["T8_MAX_RESUME_POINTS"] == ["5", "the environment"]
    assert rows["T8_MAX_WORKERS"] == ["10", "the profile production"]
    assert rows["T8_LOG_LEVEL"] == ['"ERROR"', "the command line"]
    assert rows["T8_ENV"] == ['"production"', "the command line"]
    assert rows["T8_COMMIT_PAGES"] == ["7", "the Scrapy settings"]
    assert rows["T8_RETRY_CAP"] == ["9.0", "the Scrapy settings"]
    assert rows["T8_CRASH_LIMIT"] == ["5", "the default"]
    assert "hunter2" not in t8.out
    printed = t8.json("config", "--env", "testing")
    assert {"key": "max_workers", "setting": "T8_MAX_WORKERS", "value": 2, "origin": "the profile testing"} in printed[
        "settings"
    ]


def test_config_shows_what_was_changed(t8: T8) -> None:
    assert t8("config", "--changed") == 0
    before = set(t8.out.splitlines())
    assert t8("config", "--changed", settings={"T8_COMMIT_PAGES": 7}) == 0
    assert {line.split()[0] for line in set(t8.out.splitlines()) - before if line.startswith("T8_")} == {
        "T8_COMMIT_PAGES"
    }
    assert not any("the default" in line.split("  ") for line in t8.out.splitlines())


def test_invalid_options(t8: T8) -> None:
    for command in ("config", "demo", "selftest"):
        line = t8.refused(2, command, "--env", "staging")
        assert (
            "T8_ENV is 'staging', but must be one of development, testing, production (from the command line)" in line
        )
        assert "T8_LOG_LEVEL is 'LOUD'" in t8.refused(2, command, "--log-level", "loud")


@pytest.mark.slow
def test_demo_and_selftest_in_a_project(tmp_path: Path) -> None:
    (tmp_path / "scrapy.cfg").write_text("[settings]\ndefault = mysettings\n")
    (tmp_path / "mysettings.py").write_text((PROJECT / "settings.py").read_text() + "\nJOBDIR = 'job'\n")
    before = sorted(path.name for path in tmp_path.iterdir())
    done = spawn("demo", "--env", "testing", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "60 of 60 cars collected, 0 lost." in done.stdout
    assert done.stderr == ""
    done = spawn("selftest", "--log-level", "error", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count(" ok ") == 5
    assert [line.split("  ")[0] for line in done.stdout.splitlines()] == [
        *("store", "lock", "kill and recover", "retry", "crawl and report"),
    ]
    assert sorted(path.name for path in tmp_path.iterdir() if path.name != "__pycache__") == before
