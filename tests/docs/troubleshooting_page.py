"""Reads docs/troubleshooting.md: the messages that it quotes for each problem, of crawls and of services."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Callable
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs/troubleshooting.md"
SIDES = {"In the service": "service", "In a crawl": "crawl"}

DROP, DAC_OVERRIDE, DAC_READ_SEARCH = 24, 1, 2
"""Of Linux: prctl(PR_CAPBSET_DROP), and two capabilities."""

Situation = Callable[[Path], str]
"""Brings the trouble about in a directory, tries the way out, and returns all that was said."""


def quoted() -> dict[tuple[str, str], list[str]]:
    """The messages of each trouble and side: the lines of its blocks of text."""
    found: dict[tuple[str, str], list[str]] = {}
    trouble = side = ""
    in_block = False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("## "):
            trouble, side = line.removeprefix("## "), ""
        elif line.startswith("### "):
            side = SIDES[line.removeprefix("### ")]
            found[trouble, side] = []
        elif line.startswith("```"):
            in_block = line == "```text"
        elif in_block:
            found[trouble, side].append(line)
    return found


def is_said(message: str, said: str) -> bool:
    """Whether *message* is in *said*; ``...`` in it stands for what is different each time."""
    parts = [re.escape(part) for part in message.split("...")]
    return re.search(".*?".join(parts), said) is not None


def no_power() -> None:
    """Have root refused what others would be: to be called in a child, before it begins with an interpreter."""
    if os.getuid() == 0:
        prctl = ctypes.CDLL(None, use_errno=True).prctl
        for capability in (DAC_OVERRIDE, DAC_READ_SEARCH):
            if prctl(DROP, capability, 0, 0, 0):
                raise OSError(ctypes.get_errno(), "root cannot give up its power over files here")


def check(trouble: str, side: str, said: str) -> None:
    """All that the page quotes here was said."""
    messages = quoted()[trouble, side]
    assert messages
    for message in messages:
        assert is_said(message, said), f"{message!r} is not in:\n{said}"
