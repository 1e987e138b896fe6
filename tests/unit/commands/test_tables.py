"""Tables fit the width of a terminal."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scrapy_t8.commands.tables import GAP, SHORTEST, Column, Table

LONG = "ValueError: the page has no price, and no currency"
URL = "https://shop.example/cars/amc/ambassador-sst-1972-074"


def test_marks_of_a_column() -> None:
    assert Column.of("?#status") == Column("status", is_number=True, is_text=False, is_optional=True)
    assert Column.of("*last error") == Column("last error", is_number=False, is_text=True, is_optional=False)


def shown(width: int) -> tuple[list[str], list[list[str]]]:
    table = Table.of(
        ("#id", "?buried at", "kind", "*error", "*url", "?callback"),
        [["12", "2026-11-28 11:50:12", "parse", LONG, URL, "parse_car"], ["7", "-", "http", "404", "-", "parse"]],
    ).fitted(width)
    return [column.name for column in table.columns], table.rows


def test_a_wide_terminal_shows_everything() -> None:
    columns, rows = shown(200)
    assert columns == ["id", "buried at", "kind", "error", "url", "callback"]
    assert rows[0] == ["12", "2026-11-28 11:50:12", "parse", LONG, URL, "parse_car"]


def test_a_narrow_terminal_goes_without_columns_and_cuts_texts() -> None:
    columns, rows = shown(80)
    assert columns == ["id", "kind", "error", "url"]
    assert rows[0][2].startswith("ValueError: the page has")
    assert rows[0][3].endswith("ambassador-sst-1972-074")
    assert rows[1] == ["7", "http", "404", "-"]


def test_a_short_text_leaves_its_room_to_a_long_one() -> None:
    table = Table.of(("*error", "*url"), [["404", URL]]).fitted(80)
    assert table.rows == [["404", URL]]


@given(
    width=st.integers(10, 200),
    rows=st.lists(st.lists(st.text("ab \u4e2d", max_size=60), min_size=3, max_size=3), min_size=1, max_size=4),
)
def test_texts_fit_any_width(width: int, rows: list[list[str]]) -> None:
    """Only columns that may neither be cut nor left out can be too wide."""
    from rich.cells import cell_len

    table = Table.of(("*a", "?b", "*c"), rows).fitted(width)
    widths = [max(map(cell_len, column)) for column in zip(*table.rows, strict=True)]
    assert sum(widths) <= max(width - GAP * len(widths), len(widths))
    if "b" in [column.name for column in table.columns]:
        assert all(row[1] in [given_row[1] for given_row in rows] for row in table.rows)


@pytest.mark.parametrize("text", [LONG, URL])
def test_a_text_is_cut_only_if_it_must_be(text: str) -> None:
    assert Table.of(("*text",), [[text]]).fitted(len(text) + GAP).rows == [[text]]
    assert len(Table.of(("*text",), [[text]]).fitted(SHORTEST).rows[0][0]) == SHORTEST - GAP
