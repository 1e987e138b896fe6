"""Text and times as they are shown and stored."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone

import pytest

from scrapy_t8.utils.text import escape_surrogates, one_line, printable, to_json
from scrapy_t8.utils.times import isoformat, moment, parse_time


def test_one_line() -> None:
    assert one_line("a\n b\t c") == "a b c"
    assert one_line("x" * 400) == "x" * 297 + "..."


def test_characters_that_control_a_terminal_are_escaped() -> None:
    assert printable("汽车") == "汽车"
    assert printable("a\x1b[31m\n") == "a\\x1b[31m\\n"


def test_half_of_a_character_becomes_an_escape() -> None:
    assert escape_surrogates("汽车 \udc80") == "汽车 \\udc80"
    assert escape_surrogates("plain") == "plain"
    text = to_json({"tag": "汽车 \udc80"})
    assert text == '{"tag": "汽车 \\udc80"}'
    assert json.loads(text) == {"tag": "汽车 \udc80"}


@pytest.mark.parametrize(
    "text", ["2024-01-15T10:30:00", "2024-01-15T10:30:00Z", "2024-01-15T10:30:00z", "2024-01-15T12:30:00+02:00"]
)
def test_times_in_iso_8601(text: str) -> None:
    assert parse_time(text) == datetime(2024, 1, 15, 10, 30, tzinfo=timezone.utc)


def test_a_time_that_was_typed_is_local() -> None:
    assert parse_time("2024-01-15T10:30:00", local=True) == datetime(2024, 1, 15, 10, 30).astimezone()
    assert parse_time("2024-01-15T10:30:00Z", local=True) == datetime(2024, 1, 15, 10, 30, tzinfo=timezone.utc)


def test_what_is_no_time() -> None:
    with pytest.raises(ValueError, match="soon"):
        parse_time("soon")


def test_written_times_have_an_offset() -> None:
    assert isoformat(datetime(2024, 1, 15)) == isoformat(moment(1705276800)) == "2024-01-15T00:00:00+00:00"
    assert isoformat(datetime(2024, 1, 15, tzinfo=timezone(timedelta(hours=8)))) == "2024-01-15T00:00:00+08:00"
