"""Text as it is shown and stored."""

from __future__ import annotations


def one_line(error: object, length: int = 300) -> str:
    """*error* as one line of at most *length* characters."""
    text = " ".join(str(error).split())
    return text if len(text) <= length else text[: length - 3] + "..."
