"""The pages of the documentation, and what a terminal needs of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import groupby, zip_longest
from pathlib import Path

import scrapy_t8
from scrapy_t8.errors import CommandError

FIRST = ("tutorial", "deploy", "jobdir", "login", "database", "collector")
"""The topics at the top of the list, in this order."""
PACKAGE = Path(scrapy_t8.__file__).parent
PLACES = (PACKAGE / "docs", PACKAGE.parent / "docs")
"""The pages of an installed package, and those of a checkout."""
LEFT_OUT = ("index", "api")
"""A menu of the site, and a page that the site makes of docstrings."""
COMMENT = re.compile(r"<!--.*?-->\n", re.DOTALL)
LINK = re.compile(r"\[([^\]]+)\]\(([^)\s]+)\)")
CELLS = re.compile(r"(?:`[^`]*`|\\\||[^|])+")
GAP = 2
"""Characters beside a column."""


def pages(places: Sequence[Path] = PLACES) -> dict[str, Path]:
    """Return the file of each topic, in the order of the list. The first place that has pages counts."""
    folder = next((place for place in places if (place / "settings.md").exists()), None)
    if folder is None:
        raise CommandError(f"there is no {places[0]} with the pages of the documentation: install scrapy_t8 again")
    files = [*folder.glob("*.md"), *folder.glob("howto/*.md"), *folder.glob("reference/*.md")]
    topics = {file.stem: file for file in files if file.stem not in LEFT_OUT}
    order = {name: number for number, name in enumerate(FIRST)}
    return {name: topics[name] for name in sorted(topics, key=lambda name: (order.get(name, len(order)), name))}


def title(page: Path) -> str:
    """Return the first heading of a page."""
    with page.open(encoding="utf-8") as lines:
        return next(lines).removeprefix("#").strip().replace("`", "")


def text_of(page: Path, topics: dict[str, Path]) -> str:
    """Return the Markdown of a page. Links to other pages are commands that show them."""

    def link(found: re.Match[str]) -> str:
        words, target = found.groups()
        topic = Path(target.partition("#")[0]).stem
        if "://" in target:
            return found[0]
        if topic not in topics:
            return words
        shown = f"`scrapy t8 help {topic}`"
        return shown if words.endswith(".md") else f"{words} ({shown})"

    return LINK.sub(link, COMMENT.sub("", page.read_text(encoding="utf-8")))


def with_lists(text: str, width: int) -> str:
    """Return Markdown in which lists replace the tables whose words do not fit into *width* columns of characters."""
    parts: list[str] = []
    for is_table, group in groupby(text.splitlines(), key=lambda line: line.startswith("|")):
        lines = list(group)
        rows = [_cells(line) for line in lines if is_table]
        parts += lines if _fits(rows, width) else _list_of(rows)
    return "\n".join(parts)


def _cells(row: str) -> list[str]:
    return [cell.strip() for cell in CELLS.findall(row.strip()[1:-1])]


def _fits(rows: list[list[str]], width: int) -> bool:
    """Whether no word of a table is cut. Rich narrows the wide columns until they have the same width."""
    columns = [[cell.replace("`", "") for cell in column] for column in zip_longest(*rows, fillvalue="")]
    words = (word for column in columns for cell in column for word in cell.split())
    longest = max(map(len, words), default=0)
    return sum(min(max(map(len, column)), longest) + GAP for column in columns) <= width


def _list_of(rows: list[list[str]]) -> Iterator[str]:
    (_, *names), _, *body = rows
    for first, *others in body:
        yield f"- {first}"
        for name, cell in zip(names, others, strict=False):
            yield f"    - {name}: {cell}" if name else f"    - {cell}"
