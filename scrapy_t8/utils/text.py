"""Text as it is shown and stored."""

from __future__ import annotations

import json
from typing import Any


def one_line(error: object, length: int = 300) -> str:
    """Return the text of *error* as one line of at most *length* characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= length else text[: length - 3] + "..."


def printable(text: str) -> str:
    """Return *text* on one line, with escapes in place of the characters that control a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def escape_surrogates(text: str) -> str:
    """Return *text* in a form that UTF-8 can encode: half of a character, as from a broken page, becomes an escape."""
    return text if text.isascii() else text.encode("utf-8", "backslashreplace").decode()


def to_json(document: Any, **options: Any) -> str:
    """Return *document* as readable JSON that UTF-8 can encode. *options* are those of :func:`json.dumps`."""
    return escape_surrogates(json.dumps(document, ensure_ascii=False, **options))
