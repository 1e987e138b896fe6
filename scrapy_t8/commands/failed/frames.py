"""The part of a traceback that is of the project: the frames of Scrapy and Twisted are left out."""

from __future__ import annotations

import re

FRAME = re.compile(r'^(?P<indent>\s*)File "(?P<file>[^"]+)", line \d+', re.MULTILINE)
LIBRARIES = re.compile(r"[/\\](?:site|dist)-packages[/\\](?:scrapy|twisted)[/\\]|[/\\]scrapy_t8[/\\]")


def project_frames(traceback: str) -> tuple[str, int]:
    """Return *traceback* without frames of libraries that call the project, and how many frames were left out.

    A traceback without any other frame stays as it is.
    """
    kept: list[str] = []
    left_out = shown = 0
    is_shown, indent = True, 0
    for line in traceback.splitlines():
        frame = FRAME.match(line)
        if frame is not None:
            indent, is_shown = len(frame["indent"]), LIBRARIES.search(frame["file"]) is None
            shown, left_out = shown + is_shown, left_out + (not is_shown)
        elif len(line) - len(line.lstrip()) <= indent:
            is_shown = True  # the error, or the beginning of another traceback
        if is_shown:
            kept.append(line)
    return ("\n".join(kept), left_out) if shown else (traceback, 0)
