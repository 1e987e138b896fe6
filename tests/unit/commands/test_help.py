"""``scrapy t8 help``: topics, pages, and what a terminal shows of them."""

from __future__ import annotations

import io
import re
from pathlib import Path

import pytest
from rich.cells import cell_len

from scrapy_t8.commands.console import Terminal
from scrapy_t8.commands.selfcheck.pages import pages, text_of, title, with_lists
from scrapy_t8.errors import CommandError
from tests.support.command import T8

from .test_console import COLOUR, Screen

TABLE = """# Two tables

| name | default | meaning |
|---|---|---|
| `LONG_NAME_OF_A_SETTING` | `"a\\|b"` | what it does |

| a | b |
|---|---|
| 1 | `x|y` |
"""


@pytest.fixture
def t8(capsys: pytest.CaptureFixture[str]) -> T8:
    return T8(capsys)


def test_without_a_topic_all_are_listed_with_their_titles(t8: T8) -> None:
    assert t8("help") == 0
    rows = dict(line.split(maxsplit=1) for line in t8.out.splitlines()[2:])
    assert list(rows) == list(pages())
    assert next(iter(rows)) == "tutorial"
    assert rows["settings"] == title(pages()["settings"]) == "Every setting"
    assert {"zh", "index", "api"}.isdisjoint(rows)


def test_a_page_is_printed_as_markdown_where_there_is_no_terminal(t8: T8) -> None:
    assert t8("help", "settings") == 0
    row = "| `T8_COMMIT_PAGES` | `100` | Maximum number of settled pages in one commit. |"
    assert row in t8.out.splitlines()


def test_an_unknown_topic_is_answered_with_the_nearest_ones(t8: T8) -> None:
    assert t8.refused(2, "help", "setings").endswith("there is no topic setings: did you mean settings?")
    assert "see scrapy t8 verify --help" in t8.refused(2, "help", "verify")
    assert "the topics are tutorial, " in t8.refused(2, "help", "zzz")


def test_an_installed_package_without_pages_says_so(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match=f"there is no {tmp_path}.*: install scrapy_t8 again"):
        pages([tmp_path])


def test_topics_are_never_two_pages() -> None:
    for folder in {page.parent for page in pages().values()}:
        assert {page.stem for page in folder.glob("*.md")} - {"index", "api"} <= set(pages())
    assert len(set(pages().values())) == len(pages())
    assert all(text_of(page, pages()).startswith("# ") for page in pages().values())


def test_links_to_pages_are_commands(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "[report.md](report.md#causes), [alerts](../validation.md), [below](#below), [Scrapy](https://scrapy.org),\n"
        "<!-- numbers vary -->\n[elsewhere](../README.md)\n"
    )
    topics = dict.fromkeys(("report", "validation"), page)
    assert text_of(page, topics) == (
        "`scrapy t8 help report`, alerts (`scrapy t8 help validation`), below, [Scrapy](https://scrapy.org),\nelsewhere\n"
    )


def test_a_table_that_does_not_fit_becomes_a_list() -> None:
    assert with_lists(TABLE, 80) == TABLE.rstrip("\n")
    shown = with_lists(TABLE, 40)
    assert '- `LONG_NAME_OF_A_SETTING`\n    - default: `"a\\|b"`\n    - meaning: what it does\n' in shown
    assert "| 1 | `x|y` |" in shown


@pytest.mark.parametrize("width", [40, 80])
@pytest.mark.parametrize("topic", pages())
def test_every_page_fits_a_terminal(topic: str, width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("NO_COLOR", "1")
    screen = Screen()
    Terminal(screen).print_markdown(with_lists(text_of(pages()[topic], pages()), width))
    lines = re.sub(r"\x1b\[[0-9;]*m", "", screen.getvalue()).splitlines()
    assert max(map(cell_len, lines)) <= width
    assert "…" not in "".join(lines).replace("…", "", text_of(pages()[topic], pages()).count("…"))


def test_a_terminal_without_colours_gets_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    page = "# A heading\n\nSome `code`.\n\n```python\nimport this\n```\n"
    shown = {}
    for colourless in ("", "1"):
        monkeypatch.setenv("NO_COLOR", colourless)
        screen = Screen()
        Terminal(screen).print_markdown(page)
        shown[colourless] = screen.getvalue()
    colours = re.compile(r"\x1b\[[0-9;]*[349][0-7]")
    assert colours.search(shown[""])
    assert not colours.search(shown["1"])
    assert COLOUR.sub("", shown[""]) == COLOUR.sub("", shown["1"])


def test_a_file_has_no_width() -> None:
    assert Terminal(io.StringIO()).width is None
