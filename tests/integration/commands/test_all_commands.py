"""What all commands have in common: help, exit statuses, which job, terminals and pipes."""

from __future__ import annotations

import os
import pty
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from scrapy_t8.commands.registry import Command, commands
from tests.support.command import T8, spawn
from tests.support.crawl import Crawl
from tests.support.process import HANG, run

from .conftest import PROJECT

READING = (
    "status",
    "failed list",
    "failed groups",
    "failed show 1",
    "points list",
    "report --json",
    "verify",
    "export",
)
READING_OF_LETTERS = ("failed export", "heal --dry-run", "failed discard --dry-run")
CHANGING = (
    *("failed revive 1", "failed discard 1 --yes", "points set LIST_COLLECTION --page 1"),
    *("points delete LIST_COLLECTION --yes", "heal"),
)


def _each(family: list[Command], words: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Command]]:
    for command in family:
        yield (*words, command.name), command
        yield from _each(list(command.family), (*words, command.name))


ALL = dict(_each(commands()))


# -- help --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_help_has_examples_and_exit_statuses(t8: T8, words: tuple[str, ...]) -> None:
    command = ALL[words]
    assert t8(*words, "--help") == 0
    for typed, what in command.examples:
        assert f"scrapy t8 {typed}" in t8.out
        assert what in t8.out
        assert typed.split()[: len(words)] == list(words) or command.family
    assert command.help in " ".join(t8.out.split())
    if command.family:
        assert all(below.help.split(":")[0] in " ".join(t8.out.split()) for below in command.family)
    else:
        assert "exit status:\n  0  all is well\n  1  " in t8.out
        for status, meaning in command.statuses.items():
            assert f"  {status}  {meaning}\n" in t8.out
    assert ("--json" in t8.out.partition("examples:")[0]) == command.has_json
    assert ("--jobdir" in t8.out.partition("examples:")[0]) == (command.finds_job and not command.family)


def test_without_a_command_it_lists_the_commands(t8: T8) -> None:
    for arguments in ((), ("--help",)):
        assert t8(*arguments) == 0
        for command in commands():
            assert f"\n    {command.name} " in t8.out
    assert t8("points") == 0
    assert "\n    delete " in t8.out


def test_scrapy_lists_it_and_imports_nothing_for_it(tmp_path: Path) -> None:
    done = run("-m", "scrapy", cwd=tmp_path, check=True)
    assert "\n  t8            Look into a job of scrapy_t8 and act on it\n" in done.stdout
    code = (
        "import sys, scrapy.cmdline as c\ntry: c.execute(['scrapy', 'version'])\n"
        "finally: print([m for m in sys.modules if m.startswith(('rich', 'scrapy_t8.commands.'))])"
    )
    done = run("-c", code, cwd=tmp_path, check=True)
    assert done.stdout.endswith("[]\n")


def test_usage_errors_exit_with_2(t8: T8, tmp_path: Path) -> None:
    assert t8.refused(2, "status", "--nosuch") == "scrapy t8: there is no such argument: --nosuch. See scrapy t8 --help"
    assert t8.refused(2, "status", "more").startswith("scrapy t8: there is no such argument: more")
    assert t8("nosuch") == 2
    assert "invalid choice: 'nosuch'" in t8.err
    assert t8.refused(2, "failed", "nosuch").startswith("scrapy t8 failed: argument COMMAND: invalid choice")
    assert t8.refused(2, "points", "set").startswith("scrapy t8 points set: the following arguments are required")
    assert "T8_NOSUCH" in t8.refused(2, "config", "-s", "T8_NOSUCH=1")


# -- which job ---------------------------------------------------------------------------------------------------


def test_no_job(t8: T8, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    for command in (*READING, *CHANGING):
        assert t8.refused(1, *command.split()).startswith(
            "scrapy t8: there is no job here (no state in .scrapy/t8 and data/state): give --jobdir"
        )
        line = t8.refused(1, *command.split(), "--jobdir", "empty")
        assert line == "scrapy t8: there is no job in empty: give the JOBDIR of a crawl that ran with scrapy_t8"
        assert t8.refused(1, *command.split(), "--spider", "cars").startswith(
            "scrapy t8: there is no job in .scrapy/t8/cars"
        )
    assert [path.name for path in tmp_path.rglob("*")] == ["empty"]


@pytest.mark.slow
def test_the_job_is_found(t8: T8, stopped: Crawl, tmp_path: Path) -> None:
    assert t8("status", "-s", f"JOBDIR={stopped.job}") == 0
    assert t8("status", settings={"JOBDIR": str(stopped.job)}) == 0
    shutil.copytree(stopped.job, tmp_path / ".scrapy/t8/cars")
    assert t8("status") == 0
    shutil.copytree(stopped.job, tmp_path / ".scrapy/t8/other")
    line = t8.refused(2, "status")
    assert line == "scrapy t8: there are several jobs in .scrapy/t8: give --spider, one of cars, other; or --jobdir"
    assert t8("status", "--spider", "other") == 0
    assert ".scrapy/t8/other" in t8.out


@pytest.mark.slow
def test_inside_of_a_project(stopped: Crawl, tmp_path: Path) -> None:
    (tmp_path / "scrapy.cfg").write_text("[settings]\ndefault = mysettings\n")
    text = (PROJECT / "settings.py").read_text()
    (tmp_path / "mysettings.py").write_text(f"{text}\nJOBDIR = {str(stopped.job)!r}\n")
    (tmp_path / "deep").mkdir()
    done = spawn("status", cwd=tmp_path / "deep")
    assert done.returncode == 0, done.stderr
    assert "of spider cars" in done.stdout


# -- what is wrong with it ---------------------------------------------------------------------------------------


def another_version(state: Path) -> str:
    with sqlite3.connect(state) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()
    return "is of schema 99, this scrapy_t8 reads schema"


def not_a_database(state: Path) -> str:
    state.write_text("Dear diary,\n" * 1000)
    return "is damaged: it is not a database. Nothing was changed. To go on with what can be read, run the crawl with"


def cut_short(state: Path) -> str:
    os.truncate(state, state.stat().st_size // 2)
    return "is damaged: its end is missing"


@pytest.mark.slow
@pytest.mark.parametrize("spoil", [another_version, not_a_database, cut_short])
def test_a_state_that_cannot_be_read(t8: T8, mine: Crawl, spoil: Callable[[Path], str]) -> None:
    state = mine.job / "t8" / "state.db"
    message, before = spoil(state), state.read_bytes()
    for command in (*READING, *CHANGING):
        assert message in t8.refused(1, *command.split(), "--jobdir", mine.job)
    assert state.read_bytes() == before


@pytest.mark.slow
def test_a_state_with_overwritten_pages(t8: T8, mine: Crawl) -> None:
    state = mine.job / "t8" / "state.db"
    data = bytearray(state.read_bytes())
    for at in range(4096, len(data), 4096):
        data[at : at + 4096] = b"\xa5" * 4096
    state.write_bytes(data)
    for command in (*READING, *CHANGING):
        assert t8(*command.split(), "--jobdir", mine.job) in (1, 3)
        assert t8.err.count("\n") == (t8.err != "")


@contextmanager
def nobody() -> Iterator[None]:
    """For a while, this process may write nowhere."""
    is_root = os.geteuid() == 0
    if is_root:
        os.seteuid(65534)
    try:
        yield
    finally:
        if is_root:
            os.seteuid(0)


@pytest.mark.slow
def test_a_directory_that_cannot_be_written(t8: T8, stopped: Crawl, killed: Crawl, tmp_path: Path) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        for number, crawl in enumerate((stopped, killed)):
            job = Path(folder, str(number))
            shutil.copytree(crawl.job, job)
            subprocess.run(["chmod", "-R", "a+rX,a-w", folder], check=True)
            os.chdir(folder)
            printed = t8.json("status", "--jobdir", job)
            for _ in range(2):  # what is imported late is there, also what that imports when it is asked again
                assert t8("report", "--output", tmp_path / "there", "--jobdir", job) == 0
            with nobody():
                assert t8.json("status", "--jobdir", job)["requests"] == printed["requests"]
                assert t8("failed", "list", "--jobdir", job) == 0
                for command in ("report", *CHANGING, "failed export -o x"):
                    assert t8(*command.split(), "--jobdir", job) in (1, 2), command
                    assert (t8.out, t8.err.count("\n")) == ("", 1), command
            subprocess.run(["chmod", "-R", "u+w", folder], check=True)


# -- terminals and pipes -----------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_pipe_gets_plain_text(stopped: Crawl, tmp_path: Path) -> None:
    done = spawn("status", "--jobdir", stopped.job, cwd=tmp_path, COLUMNS="40")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isprintable() or "\x1b" not in done.stdout
    assert all(line == line.rstrip() for line in done.stdout.splitlines())
    assert "LIST_COLLECTION" in done.stdout


def on_a_terminal(*arguments: str | Path, cwd: Path, **variables: str) -> str:
    """What a terminal gets to see."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "scrapy", "t8", *map(str, arguments)]
    env = {**os.environ, "TERM": "xterm-256color", **variables}
    process = subprocess.Popen(command, cwd=cwd, env=env, stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    seen = b""
    try:
        while part := os.read(ours, 65536):
            seen += part
            if b"[y/N]" in seen and not seen.endswith(b"\n"):
                os.write(ours, b"n\n")
    except OSError:
        pass  # so a terminal ends
    assert process.wait() in (0, 1)
    os.close(ours)
    return seen.decode()


@pytest.mark.slow
def test_a_terminal_gets_tables_and_can_be_asked(stopped: Crawl, tmp_path: Path) -> None:
    seen = on_a_terminal("failed", "groups", "--jobdir", stopped.job, cwd=tmp_path)
    assert "\x1b[1m" in seen
    assert "─" in seen
    assert "\x1b[31m" not in seen
    seen = on_a_terminal("failed", "groups", "--jobdir", stopped.job, cwd=tmp_path, NO_COLOR="1")
    assert "\x1b[3" not in seen
    seen = on_a_terminal("failed", "discard", "--jobdir", stopped.job, cwd=tmp_path)
    assert "Discard 2 dead letters? [y/N]" in seen
    assert "Nothing was changed." in seen


@pytest.mark.slow
def test_a_reader_that_goes_away(stopped: Crawl, tmp_path: Path) -> None:
    script = f"set -o pipefail; '{sys.executable}' -m scrapy t8 failed export --jobdir '{stopped.job}' | true"
    done = subprocess.run(["bash", "-c", script], cwd=tmp_path, capture_output=True, text=True, timeout=HANG)
    assert done.returncode in (0, 141)
    assert done.stderr == ""


INTERRUPTED = """
import os, signal, sys
from scrapy.cmdline import execute

class Output:
    def write(self, text):
        sys.__stdout__.write(text)
        if "A collector goes through" in text:
            os.kill(os.getpid(), signal.SIGINT)
        return len(text)

    def __getattr__(self, name):
        return getattr(sys.__stdout__, name)

# Whoever was begun in the background may have to ignore it.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.stdout = Output()
execute(["scrapy", "t8", "demo"])
"""


@pytest.mark.slow
def test_ctrl_c_ends_it_quietly(tmp_path: Path) -> None:
    done = run("-c", INTERRUPTED, cwd=tmp_path, env={**os.environ, "TMPDIR": str(tmp_path), "T8_LOG_LEVEL": "CRITICAL"})
    assert done.returncode == 130, done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_any_encoding_will_do(stopped: Crawl, tmp_path: Path) -> None:
    for command in ("points list", "points list --json"):
        arguments = (*command.split(), "--jobdir", stopped.job)
        done = spawn(*arguments, cwd=tmp_path, PYTHONIOENCODING="ascii", PYTHONUTF8="0")
        assert done.returncode == 0, done.stderr
        assert "\\u6c7d" in done.stdout
