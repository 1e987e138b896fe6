"""Crawls of the project here, and the files that they leave behind."""

from __future__ import annotations

import os
import re
from functools import partial
from pathlib import Path
from signal import SIGKILL
from typing import Any

from tests.support.crawl import OWN_FILES, PLAIN, Crawl, Run

PROJECT = Path(__file__).with_name("project")
KILLED = -SIGKILL
UMASK = 0o027
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d+\+00-00")


def crawl(
    directory: Path,
    feeds: dict[str, Any] | None = None,
    *options: str,
    t8: bool = True,
    spider: str = "shop",
    **more: Any,
) -> Run:
    """Run ``scrapy crawl`` in *directory*, with or without the add-on.

    :param more: as for :meth:`Crawl.start`. The run can end at ``page``, ``item``, and ``commit``: between the writing
        of the feeds and the commit that says so.
    """
    made = Crawl(PROJECT, None, directory, spider, FEEDS=feeds or {}, **({} if t8 else PLAIN))
    made.feeds = ()
    return made.run("", *options, before=partial(os.umask, UMASK), **more)


def files(directory: Path) -> dict[str, Path]:
    """Return all files that feeds have written, by name. A time in a name becomes its place among the times."""
    written = sorted(path for path in directory.rglob("*") if path.is_file() and "job" not in path.parts)
    found: dict[str, Path] = {}
    for path in written:
        relative = path.relative_to(directory)
        if relative.parts[0] in OWN_FILES:
            continue
        place = 1
        while (numbered := TIME.sub(f"#{place}", str(relative))) in found:
            place += 1
        found[numbered] = path
    return dict(sorted(found.items()))
