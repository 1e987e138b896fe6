"""Text as it is shown and stored."""

from __future__ import annotations

import codecs
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scrapy_t8.errors import ConfigError

MARKS = {
    codecs.BOM_UTF8: "utf-8",
    codecs.BOM_UTF32_LE: "utf-32-le",  # before UTF-16, whose mark is a part of this one
    codecs.BOM_UTF32_BE: "utf-32-be",
    codecs.BOM_UTF16_LE: "utf-16-le",
    codecs.BOM_UTF16_BE: "utf-16-be",
}
"""Byte order marks, and the encoding that each stands for."""
LONGEST_MARK = 4
HEAD, TAIL = 110, 50  # Characters of a long URL that are shown


def one_line(error: object, length: int = 300) -> str:
    """Return the text of *error* as one line of at most *length* characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= length else text[: length - 3] + "..."


def shortened(url: str) -> str:
    """Return *url*, or its beginning and its end if it is long."""
    return f"{url[:HEAD]}…{url[-TAIL:]}" if len(url) > HEAD + TAIL else url


def counted(number: int, one: str, many: str) -> str:
    """Return *number* with the noun in the singular or the plural."""
    return f"{number:,} {one if number == 1 else many}"


def install(extra: str) -> str:
    """Return the command that installs an extra of scrapy_t8, in a form that every shell takes."""
    return f'pip install "scrapy-t8[{extra}]"'


def printable(text: str) -> str:
    """Return *text* on one line, with escapes in place of the characters that control a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def escape_surrogates(text: str) -> str:
    """Return *text* in a form that UTF-8 can encode: half of a character, as from a broken page, becomes an escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def to_json(document: Any, **options: Any) -> str:
    """Return *document* as readable JSON that UTF-8 can encode. *options* are those of :func:`json.dumps`."""
    return escape_surrogates(json.dumps(document, ensure_ascii=False, **options))


def encoding_of(beginning: bytes) -> tuple[str, bytes]:
    """Return the encoding of a text with this *beginning*, and its byte order mark. Without a mark it is UTF-8."""
    return next(((MARKS[mark], mark) for mark in MARKS if beginning.startswith(mark)), ("utf-8", b""))


def encoding_of_file(path: Path) -> tuple[str, bytes]:
    """Return the encoding of a text file, and its byte order mark."""
    with path.open("rb") as file:
        return encoding_of(file.read(LONGEST_MARK))


def lines_of(path: Path, begin: int = 0) -> Iterator[tuple[str, int]]:
    """Yield each line of a text file, and the offset in bytes at which the line ends. Any line end will do.

    What is no UTF-8 becomes half of a character, as :func:`escape_surrogates` shows.

    :param begin: the offset at which the first line begins.
    :raises ConfigError: for a file that has the mark of UTF-16 or UTF-32, and is something else.
    """
    encoding, mark = encoding_of_file(path)
    errors = "surrogateescape" if encoding == "utf-8" else "surrogatepass"
    end = max(begin, len(mark))
    with path.open("rb") as raw:
        raw.seek(end)
        try:
            for line in io.TextIOWrapper(raw, encoding, errors, newline=""):
                end += len(line.encode(encoding, errors))
                yield line.strip(), end
        except UnicodeDecodeError as error:
            raise ConfigError(f"{path} begins as {encoding}, but is not: {error.reason}. Save it in UTF-8") from None
