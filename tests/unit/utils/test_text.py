"""Text and times as they are shown and stored."""

from __future__ import annotations

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest

from scrapy_t8.errors import ConfigError
from scrapy_t8.utils.text import encoding_of_file, escape_surrogates, lines_of, one_line, printable, shortened, to_json
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


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-be", "utf-32"])
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_lines_of_a_text_file(tmp_path: Path, encoding: str, line_end: str) -> None:
    lines = ["first", "", " zweite \u2028 Zeile\u010a", "\U0001f697 \u0a0d", "last"]
    mark = b"\xfe\xff" if encoding == "utf-16-be" else b""
    path = tmp_path / "lines.txt"
    path.write_bytes(mark + line_end.join(lines).encode(encoding))
    found = list(lines_of(path))
    assert [text for text, _ in found] == [line.strip() for line in lines]
    assert found[-1][1] == path.stat().st_size
    for number, (_, end) in enumerate(found, 1):
        assert list(lines_of(path, end)) == found[number:]


def test_lines_that_are_no_utf_8(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_bytes("a\ncafé\nb".encode("latin-1"))
    assert [(escape_surrogates(text), end) for text, end in lines_of(path)] == [("a", 2), ("caf\\udce9", 7), ("b", 8)]


def test_a_file_with_the_mark_of_another_encoding(tmp_path: Path) -> None:
    path = tmp_path / "lines.txt"
    path.write_bytes(b"\xff\xfea\0b")
    assert encoding_of_file(path)[0] == "utf-16-le"
    with pytest.raises(ConfigError, match="begins as utf-16-le, but is not"):
        list(lines_of(path))


def test_a_long_url_loses_its_middle() -> None:
    url = f"https://shop.example/{'a' * 300}?last=17"
    assert shortened(url[:160]) == url[:160]
    assert len(shortened(url)) == 161
    assert shortened(url).startswith(url[:110])
    assert shortened(url).endswith("?last=17")
