"""Lines and tables on a terminal and elsewhere."""

from __future__ import annotations

import io
import re

import pytest
from rich.cells import cell_len

from scrapy_t8.commands.console import Terminal

LINE = "  requests: 126 admitted = 120 done + 0 ready + 0 waiting + 0 leased + 6 dead + 0 discarded"
COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class Screen(io.StringIO):
    """A terminal with 40 columns."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch) -> Screen:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.delenv("NO_COLOR", raising=False)
    return Screen()


def test_a_terminal_has_no_line_break_within_a_word(screen: Screen) -> None:
    Terminal(screen).print_line(LINE)
    lines = screen.getvalue().splitlines()
    assert len(lines) > 1
    assert all(len(line) <= 40 for line in lines)
    assert [word for line in lines for word in line.split()] == LINE.split()
    assert all(line.startswith("      ") for line in lines[1:])


def test_a_word_that_is_wider_than_the_terminal_stays_whole(screen: Screen) -> None:
    url = "https://shop.example/" + 40 * "x"
    Terminal(screen).print_line(f"see {url}")
    assert screen.getvalue().splitlines()[-1].strip() == url


def test_the_state_of_a_job_has_a_colour(screen: Screen, monkeypatch: pytest.MonkeyPatch) -> None:
    Terminal(screen).print_line("job: FINISHED, INCOMPLETE")
    assert COLOUR.search(screen.getvalue())
    monkeypatch.setenv("NO_COLOR", "1")
    plain = Screen()
    Terminal(plain).print_line("job: FINISHED, INCOMPLETE")
    assert plain.getvalue() == "job: FINISHED, INCOMPLETE\n"


def test_a_file_gets_each_line_as_one_line() -> None:
    out = io.StringIO()
    Terminal(out).print_line(LINE)
    assert out.getvalue() == LINE + "\n"


def test_a_table_on_a_terminal_is_cut_and_in_a_file_is_whole(screen: Screen) -> None:
    error = "ValueError: the page has no price, and no currency"
    for out in (screen, io.StringIO()):
        Terminal(out).print_table("Failed", ("#id", "*error", "?host"), [(1, error, "shop.example")])
        whole = COLOUR.sub("", out.getvalue())
        assert (error in whole) == (out is not screen)
        assert ("shop.example" in whole) == (out is not screen)
    assert all(len(line) <= 40 for line in COLOUR.sub("", screen.getvalue()).splitlines())


def test_a_line_of_wide_characters_fits_the_terminal(screen: Screen) -> None:
    line = "  " + "価格が見つかり ません " * 6
    Terminal(screen).print_line(line)
    lines = screen.getvalue().splitlines()
    assert all(cell_len(line) <= 40 for line in lines)
    assert [word for line in lines for word in line.split()] == line.split()


def test_marks_below_a_line_of_code_stay_below_it_or_are_left_out(screen: Screen) -> None:
    Terminal(screen).print_line(f"{'^^^':>30}")
    Terminal(screen).print_line(f"{'^^^':>60}")
    assert screen.getvalue() == f"{'^^^':>30}\n"


def test_characters_that_the_encoding_lacks_are_escaped_before_a_line_is_wrapped(
    monkeypatch: pytest.MonkeyPatch, screen: Screen
) -> None:
    monkeypatch.setattr(Screen, "encoding", "ascii")
    Terminal(screen).print_line("  " + "не да " * 6)
    Terminal(screen).print_table("Failed", ("id", "*error"), [["1", "не да " * 6]])
    assert screen.getvalue().isascii()
    assert all(len(COLOUR.sub("", line)) <= 40 for line in screen.getvalue().splitlines())


def test_a_table_whose_reader_has_ended_is_a_broken_pipe() -> None:
    class Ended(io.StringIO):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    with pytest.raises(BrokenPipeError):
        Terminal(Ended()).print_table("Failed", ("id",), [["1"]])
