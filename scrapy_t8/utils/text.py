"""Text as it is shown and stored."""

from __future__ import annotations


def one_line(error: object, length: int = 300) -> str:
    """*error* as one line of at most *length* characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= length else text[: length - 3] + "..."


def printable(text: str) -> str:
    """Return *text* on one line, with escapes in place of characters that control a terminal."""
    return text if text.isprintable() else "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)
