"""`python -m scrapy_t8`."""

from __future__ import annotations

from pathlib import Path

import pytest

from scrapy_t8.__main__ import main
from scrapy_t8.commands.selfcheck import selftest
from tests.support.process import run

pytestmark = pytest.mark.usefixtures("here")


def test_config_tells_value_and_origin(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    Path(".env").write_text("T8_BATCH_UPDATE_SIZE=7\n")
    monkeypatch.setenv("T8_MAX_RESUME_POINTS", "5")
    monkeypatch.setenv("T8_NOTIFY_URLS", '["mailto://user:hunter2@example.com"]')
    monkeypatch.setenv("T8_EXPECT_SITEMAPS", '["https://user:hunter2@example.com/sitemap.xml?token=hunter2"]')
    assert main(["--mode", "config", "--env", "production", "--log-level", "error"]) == 0
    out = capsys.readouterr().out
    rows = {line.split()[0]: line.split(maxsplit=2)[1:] for line in out.splitlines()}
    assert rows["T8_BATCH_UPDATE_SIZE"] == ["7", f"the file {Path('.env').absolute()}"]
    assert rows["T8_MAX_RESUME_POINTS"] == ["5", "the environment"]
    assert rows["T8_MAX_WORKERS"] == ["10", "the profile production"]
    assert rows["T8_LOG_LEVEL"] == ['"ERROR"', "the command line"]
    assert rows["T8_CRASH_LIMIT"] == ["5", "the default"]
    assert "hunter2" not in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--env", "staging"], "T8_ENV is 'staging', but must be one of development, testing, production"),
        (["--log-level", "loud"], "T8_LOG_LEVEL is 'LOUD', but must be one of DEBUG"),
    ],
)
def test_invalid_options_are_one_line_and_status_2(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--mode", "config", *arguments]) == 2
    err = capsys.readouterr().err
    assert err.startswith(message)
    assert err.count("\n") == 1


def test_a_failing_check_is_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def _broken_disk(folder: Path) -> str:
        (folder / "log").write_text("the last words\n")
        raise OSError("no space")

    monkeypatch.setattr(selftest, "CHECKS", (_broken_disk,))
    assert main(["--mode", "test"]) == 1
    out = capsys.readouterr().out
    assert "broken disk" in out
    assert "FAILED  OSError: no space" in out
    assert "the last words" in out


def test_the_selftest(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """The same checks as those of ``scrapy t8 selftest``, which are run in test_selfcheck."""

    def _fast_disk(folder: Path) -> str:
        return f"{folder.is_dir()}"

    monkeypatch.setattr(selftest, "CHECKS", (_fast_disk,))
    assert main(["--mode", "test"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("fast disk ")
    assert "True" in out
    assert list(Path().iterdir()) == []


@pytest.mark.slow
def test_the_demo(tmp_path: Path) -> None:
    done = run("-m", "scrapy_t8", "--env", "testing", "--mode", "demo", "--log-level", "info")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "kill -9 after page" in done.stdout
    assert "car-model-013, try 3: here it is" in done.stdout
    assert "60 of 60 cars collected, 0 lost." in done.stdout
    assert "T8ResumeAndRetry - INFO - Retrying task" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_the_selftest_takes_the_flags(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(selftest, "CHECKS", (selftest._retry,))
    assert main(["--mode", "test", "--env", "production", "--log-level", "info"]) == 0
    out = capsys.readouterr().out
    assert "The profile production: 10 workers, durability process" in out
    assert "up to 10 handlers at once" in caplog.text
    caplog.clear()
    assert main(["--mode", "test"]) == 0
    assert "profile" not in capsys.readouterr().out
    assert not caplog.records
