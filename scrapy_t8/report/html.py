"""The report as a page for people: one file that needs neither network nor scripts.

Values of the crawl are not trusted: wherever they stand, they are cleaned of illegal characters, cut and escaped. Every
number of the document carries its place in it (``data-figure``) and its value (``data-value``), so that a program can
check that the page agrees with report.json.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy_t8.errors import ConfigError, FormatError
from scrapy_t8.model.json_document import Document
from scrapy_t8.utils.text import install

from . import charts
from .text import MOST, legible, number, percent, time_of

if TYPE_CHECKING:
    from jinja2 import Environment
    from markupsafe import Markup

PAGE = Path(__file__).parent / "page"
"""The templates: ``page.html`` is the frame, the others are its parts."""
COMPILED = PAGE / "__pycache__"
"""The compiled templates, kept as Python keeps modules: compiling takes longer than a short crawl."""

FIRST = 10
"""Rows of a table that are visible; the others unfold."""
ROWS = 200
"""Rows of a table that the page has at all. report.json has the others."""
EXAMPLES = 50
"""Examples that the page has of one cause."""

NOTHING: tuple[object, ...] = (None, "", [])

CAUSES = {
    "not_fetched": ("not fetched yet", "The request is still in the queue: run the same command again."),
    "waiting": ("waiting for a retry", "The request failed and is tried again when it is due."),
    "dead": ("given up", "The request is in the dead-letter box and can be revived from there."),
    "no_item": ("page without the item", "The page was fetched, but yielded no item with this key."),
    "dropped": ("dropped by a pipeline", "The item was scraped, and a pipeline dropped it."),
    "failed": ("pipeline failed", "The item was scraped, and a pipeline raised an exception."),
    "discarded": ("request discarded", "The request was filtered, ignored or discarded."),
    "never_linked": ("never linked", "The item was announced, but no request was ever made for it."),
    "unnamed": ("known by number only", "The announced total is higher than the number of announced keys."),
}
"""The causes in words: briefly, and what they mean."""


def render(document: Mapping[str, Any]) -> str:
    """Return the page for a report as in report.json.

    :raises ConfigError: if the extra ``report`` is not installed.
    :raises FormatError: for a document of another version, or one that lacks a field.
    """
    Document("report", document)
    try:
        from jinja2 import UndefinedError
    except ImportError as error:
        raise ConfigError(f"report.html needs {error.name}: {install('report')}") from None

    limits = {"first": FIRST, "rows": ROWS, "examples": EXAMPLES}
    try:
        page = _templates().get_template("page.html")
        return page.render(document, charts=charts, show=_Show(document), causes=CAUSES, **limits)
    except (UndefinedError, KeyError, IndexError) as error:
        raise FormatError(f"this report does not have the form that docs/report.md describes: {error}") from error


def _templates() -> Environment:
    from jinja2 import Environment, FileSystemBytecodeCache, FileSystemLoader, StrictUndefined
    from jinja2.bccache import Bucket

    class Compiled(FileSystemBytecodeCache):
        """Where the package is read-only, templates are compiled for each page."""

        def dump_bytecode(self, bucket: Bucket) -> None:
            with suppress(OSError):
                COMPILED.mkdir(exist_ok=True)
                super().dump_bytecode(bucket)

    return Environment(
        loader=FileSystemLoader(PAGE),
        bytecode_cache=Compiled(str(COMPILED)),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )


class _Show:
    """Writes the values of one document as markup. An unknown value is shown as unknown."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def figure(self, place: str, *more: str | int) -> Markup:
        """Return the number at *place* (names with dots between) and the names after it."""
        return self._marked(number, place, more)

    def part(self, place: str, *more: str | int) -> Markup:
        """Return a number from 0 to 1 as a percentage."""
        return self._marked(lambda part: percent(100 * part), place, more)

    def field(self, kind: str, place: str, row: int, name: str) -> Markup:
        """Return a field of a row of the table at *place*, by its kind: text, number, part, time or url."""
        value = self._at([*place.split("."), row]).get(name)
        if value in NOTHING:
            return _markup('<span class="unknown">-</span>')
        if kind == "part":
            return self.part(place, row, name)
        if kind == "number" or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            return self.figure(place, row, name)
        writers: dict[str, Callable[[Any], Markup]] = {"time": self.time, "url": self.url}
        return writers.get(kind, self.text)(value)

    def cause(self, row: Mapping[str, Any]) -> str:
        """Return the cause and the detail of a row of ``missing.causes``, on one line."""
        words, _ = CAUSES.get(row["cause"], (row["cause"], ""))
        return f"{words}: {row['detail']}" if row["detail"] else str(words)

    def has(self, rows: Sequence[Mapping[str, Any]], name: str) -> bool:
        """Whether a row has a value in this field."""
        return any(row.get(name) not in NOTHING for row in rows)

    def time(self, value: object) -> Markup:
        """Return a time to the second, in UTC."""
        moment = time_of(value)
        if moment is None:
            return _markup('<span class="unknown">unknown</span>') if value is None else self.text(value)
        return _markup('<time datetime="{}">{}</time>', f"{moment:%FT%TZ}", f"{moment:%F %T}")

    def duration(self, start: object, end: object) -> str:
        begun, ended = time_of(start), time_of(end)
        if begun is None or ended is None:
            return "-"
        seconds = max(0, round((ended - begun).total_seconds()))
        hours, minutes = seconds // 3600, seconds // 60 % 60
        return f"{hours:,} h {minutes:02} min" if hours else f"{minutes} min {seconds % 60:02} s"

    def url(self, value: str) -> Markup:
        """Return a URL as text; as a link only if it is http or https, and complete."""
        if len(value) <= MOST and legible(value) == value and value.startswith(("http://", "https://")):
            form = '<a class="cut" href="{0}" rel="noopener noreferrer"><bdi>{0}</bdi></a>'
            return _markup(form, value)
        return self.text(value)

    def text(self, value: object) -> Markup:
        """Return any other value. Its writing direction ends with it."""
        return _markup('<bdi class="cut">{}</bdi>', legible(_in_words(value)))

    def _at(self, place: Sequence[str | int]) -> Any:
        found: Any = self._document
        for name in place:
            found = found[int(name)] if isinstance(found, (list, tuple)) else found[name]
        return found

    def _marked(self, form: Callable[[Any], str], place: str, more: Sequence[str | int]) -> Markup:
        names = [*place.split("."), *more]
        value = self._at(names)
        if value is None:
            return _markup('<span class="unknown">unknown</span>')
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return self.text(value)
        path = ".".join(str(name).replace("%", "%25").replace(".", "%2E") for name in names)
        if legible(path) != path:
            # A place whose name cannot be written as it is would not be found.
            return _markup('<span class="figure">{}</span>', form(value))
        return _markup(
            '<span class="figure" data-figure="{}" data-value="{}">{}</span>', path, json.dumps(value), form(value)
        )


def _in_words(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False, default=repr)


def _clean(value: object) -> object:
    """Clean what a template inserts, before it is escaped. Our own markup stays."""
    return legible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _markup(form: str, *values: str) -> Markup:
    """Return *form* as markup, with *values* escaped in it."""
    from markupsafe import Markup

    return Markup(form).format(*values)
