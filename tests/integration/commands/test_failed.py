"""``scrapy t8 failed ...`` on the job of a crawl."""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from scrapy_t8 import open_dead_letters, read_report
from scrapy_t8.commands.failed import listing
from tests.support.command import T8
from tests.support.crawl import Crawl

pytestmark = pytest.mark.slow
ESCAPED = r"\x1b[31mred\x1b[0m [bold]loud[/bold] token=***"


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ("", {"http", "parse"}),
        ("1 2", {"http", "parse"}),
        ("--kind parse", {"parse"}),
        ("--kind crash", set()),
        ("--status 404", {"http"}),
        ("--status 500", set()),
        ("--host 127.0.0.1", {"http", "parse"}),
        ("--host example.com", set()),
        ("--callback parse_car", {"http", "parse"}),
        ("--callback parse_list", set()),
        ("--text LOUD", {"parse"}),
        ("--text /gone", {"http"}),
        ("--text gone --kind parse", set()),
        ("--task-type DETAIL_COLLECTION", {"http", "parse"}),
        ("--task-type OTHER", set()),
        ("--since 1h", {"http", "parse"}),
        ("--since 2020-01-01", {"http", "parse"}),
        ("--since 2099-01-01T00:00:00Z", set()),
        ("--until 1h", set()),
        ("--until 2099-01-01", {"http", "parse"}),
        ("--job other", set()),
    ],
)
def test_filters(t8: T8, stopped: Crawl, filters: str, found: set[str]) -> None:
    printed = t8.json("failed", "list", *filters.split(), "--jobdir", stopped.job)
    assert (printed["version"], printed["kind"], printed["total"]) == (1, "crawl", len(found))
    assert {letter["kind"] for letter in printed["letters"]} == found
    dry = t8("failed", "discard", *filters.split(), "--dry-run", "--jobdir", stopped.job)
    assert dry == 0
    assert t8.out.startswith(f"{len(found)} dead letter" if found else "There is no such dead letter")
    if not any(word.isdigit() for word in filters.split()[:1]):
        groups = t8.json("failed", "groups", *filters.split(), "--jobdir", stopped.job)["groups"]
        assert {group["kind"] for group in groups} == found


def test_a_limit(t8: T8, stopped: Crawl) -> None:
    printed = t8.json("failed", "list", "--limit", "1", "--jobdir", stopped.job)
    assert (printed["total"], len(printed["letters"])) == (2, 1)
    assert t8("failed", "list", "--limit", "1", "--jobdir", stopped.job) == 0
    assert "1 of 2" in t8.out


def test_requests_that_wait_are_visible(t8: T8, stopped: Crawl) -> None:
    at = ("--jobdir", stopped.job)
    printed = t8.json("failed", "list", "--waiting", *at)
    assert printed["total"] == 1
    (task,) = printed["tasks"]
    assert (task["state"], task["host"], task["retry_count"]) == ("waiting", "127.0.0.1", 1)
    assert task["metadata"]["url"] == task["target"]
    assert t8("failed", "list", "--waiting", *at) == 0
    for part in ("Requests that wait", "next try", task["task_id"], task["metadata"]["url"]):
        assert part in t8.out
    shown = t8.json("failed", "show", task["task_id"], *at)
    assert shown["request"]["url"] == task["target"]
    assert [attempt["error"] for attempt in shown["attempts"]] == [task["error_message"]]
    assert t8("failed", "export", "--waiting", *at) == 0
    assert json.loads(t8.out) == shown
    groups = t8.json("failed", "groups", "--waiting", *at)["groups"]
    assert [(group["count"], group["state"]) for group in groups] == [(1, "waiting")]
    for filters, total in (("--host 127.0.0.1", 1), ("--host other", 0), ("--kind parse", 0)):
        assert t8.json("failed", "list", "--waiting", *filters.split(), *at)["total"] == total
    assert t8.json("failed", "list", "--state", "dead", *at)["total"] == 2
    assert "there is no task" in t8.refused(2, "failed", "show", "DETAIL_COLLECTION_00000000", *at)


def test_groups_equal_those_of_the_report(t8: T8, stopped: Crawl) -> None:
    groups = t8.json("failed", "groups", "--jobdir", stopped.job)["groups"]
    reported = read_report(stopped.job)["dead"]
    causes = ("kind", "error", "host", "callback", "count", "first", "last")
    assert sorted(tuple(row[name] for name in causes) for row in groups) == sorted(
        tuple(row[name] for name in causes) for row in reported
    )


def test_text_of_a_crawl_is_escaped_for_the_terminal(t8: T8, stopped: Crawl) -> None:
    for command in ("failed list", "failed groups", "failed show 1 2", "status", "report", "verify"):
        output = [] if command != "report" else ["--output", "elsewhere"]
        assert t8(*command.split(), *output, "--jobdir", stopped.job) == 0
        assert "\x1b" not in t8.out, command
        assert "hunter2" not in t8.out, command
        if command.startswith("failed"):
            assert ESCAPED in t8.out, command


def test_show(t8: T8, stopped: Crawl) -> None:
    letters = {row["kind"]: row["id"] for row in t8.json("failed", "list", "--jobdir", stopped.job)["letters"]}
    printed = t8.json("failed", "show", letters["parse"], "--jobdir", stopped.job)
    assert printed["request"]["headers"]["Authorization"] == "***"
    assert printed["attempts"][0]["kind"] == "parse"
    assert "raise ValueError" in printed["detail"]["traceback"]
    assert t8("failed", "show", letters["http"], "--secrets", "--jobdir", stopped.job) == 0
    assert "gone?token=hunter2" in t8.out
    assert "Basic hunter2" in t8.out


def test_internal_numbers_are_shown_on_demand(t8: T8, stopped: Crawl) -> None:
    internal = ("request number", "fingerprint", "hash of code")
    assert t8("failed", "show", "1", "2", "--jobdir", stopped.job) == 0
    assert not [name for name in (*internal, "entry", "code", "target") if f"\n{name} " in t8.out]
    assert t8("failed", "show", "1", "2", "--full", "--jobdir", stopped.job) == 0
    assert all(f"\n{name} " in t8.out for name in internal)


def test_a_long_list_names_the_command_that_groups(t8: T8, stopped: Crawl, monkeypatch: pytest.MonkeyPatch) -> None:
    assert t8("failed", "list", "--jobdir", stopped.job) == 0
    assert t8.out.splitlines()[0] == "Dead letters"
    monkeypatch.setattr(listing, "MANY", 1)
    assert t8("failed", "list", "--jobdir", stopped.job) == 0
    assert t8.out.splitlines()[0] == "Dead letters (failed groups: by cause)"
    assert t8("failed", "groups", "--limit", "1", "--jobdir", stopped.job) == 0
    assert t8.out.splitlines()[0] == "By cause (1 of 2; --limit shows more)"


def test_export(t8: T8, stopped: Crawl) -> None:
    assert t8("failed", "export", "--jobdir", stopped.job) == 0
    lines = [json.loads(line) for line in t8.out.splitlines()]
    assert t8("failed", "export", "-o", "dead.json", "--jobdir", stopped.job) == 0
    assert json.loads(Path("dead.json").read_text()) == lines
    assert t8.out == "2 written to dead.json\n"
    assert os.stat("dead.json").st_mode & 0o777 == 0o600
    assert "hunter2" not in Path("dead.json").read_text()
    assert {line["kind"] for line in lines} == {"http", "parse"}
    assert lines[0]["request"]["url"].startswith("http")
    assert t8("failed", "export", "--kind", "crash", "-o", "none.json", "--jobdir", stopped.job) == 0
    assert json.loads(Path("none.json").read_text()) == []
    assert t8("failed", "export", "--secrets", "--format", "json", "--jobdir", stopped.job) == 0
    assert "hunter2" in json.dumps(json.loads(t8.out))


def test_revived_requests_are_fetched_by_the_next_run(t8: T8, mine: Crawl) -> None:
    assert t8("failed", "revive", "--kind", "parse", "--yes", "--jobdir", mine.job) == 0
    assert t8.out.startswith("1 of 1 dead letter is tried again")
    printed = t8.json("status", "--jobdir", mine.job)["requests"]
    assert (printed["dead"], printed["waiting"], printed["difference"]) == (1, 2, 0)


def test_a_letter_named_by_id_is_revived_without_a_question(t8: T8, mine: Crawl) -> None:
    assert t8("failed", "revive", "1", "--jobdir", mine.job) == 0
    with open_dead_letters(mine.job) as letters:
        assert [letter.id for letter in letters.list()] == [2]


def test_discard(t8: T8, mine: Crawl) -> None:
    line = t8.refused(2, "failed", "discard", "--jobdir", mine.job)
    assert (
        line == "scrapy t8: Discard 2 dead letters? There is no terminal to answer on: give --yes. Nothing was changed"
    )
    t8.refused(2, "failed", "discard", "1", "--jobdir", mine.job)
    assert t8.json("failed", "list", "--jobdir", mine.job)["total"] == 2
    assert t8("failed", "discard", "--status", "404", "-y", "--jobdir", mine.job) == 0
    printed = t8.json("status", "--jobdir", mine.job)["requests"]
    assert (printed["dead"], printed["discarded"], printed["difference"]) == (1, 1, 0)


@pytest.mark.parametrize(("answer", "status", "left"), [("y", 0, 0), ("n", 1, 2), ("", 1, 2)])
def test_a_question_is_answered(
    t8: T8, mine: Crawl, monkeypatch: pytest.MonkeyPatch, answer: str, status: int, left: int
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("builtins.input", lambda question: asked.append(question) or answer)
    assert t8("failed", "discard", "--jobdir", mine.job) == status
    assert asked == ["Discard 2 dead letters? [y/N] "]
    assert t8.json("failed", "list", "--jobdir", mine.job)["total"] == left


def test_invalid_arguments_are_one_line_and_change_nothing(t8: T8, mine: Crawl) -> None:
    at = ("--jobdir", mine.job)
    assert "there is no kind of failure 'htp'" in t8.refused(2, "failed", "list", "--kind", "htp", *at)
    assert "invalid time 'yesterday'" in t8.refused(2, "failed", "list", "--since", "yesterday", *at)
    assert "not a positive integer: '0'" in t8.refused(2, "failed", "list", "--limit", "0", *at)
    assert "invalid int value: 'no'" in t8.refused(2, "failed", "list", "--status", "no", *at)
    assert "there is no dead letter 7, 9" in t8.refused(2, "failed", "revive", "7", "1", "9", "--yes", *at)
    assert "not the number of a dead letter: 'x'" in t8.refused(2, "failed", "show", "x", *at)
    assert "can only be looked at" in t8.refused(2, "failed", "discard", "--waiting", *at)
    assert "--callback is about dead letters alone" in t8.refused(
        2, "failed", "list", "--waiting", "--callback", "parse", *at
    )
    assert "cannot be written" in t8.refused(1, "failed", "export", "-o", "no/where.json", *at)
    assert "cannot be written" in t8.refused(1, "failed", "export", "-o", ".", *at)
    assert t8.json("failed", "list", *at)["total"] == 2
    assert Counter(path.name for path in Path().iterdir()) == {"mine": 1}


def test_a_letter_that_is_revived_no_longer_counts_as_given_up(t8: T8, mine: Crawl) -> None:
    """Neither of the two requests was retried."""
    assert read_report(mine.job)["retry_outcomes"] == {"succeeded": 0, "buried": 2, "not_retried": 2}
    assert t8("failed", "revive", "--kind", "parse", "--yes", "--jobdir", mine.job) == 0
    assert read_report(mine.job)["retry_outcomes"] == {"succeeded": 0, "buried": 1, "not_retried": 1}
