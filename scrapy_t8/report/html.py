"""The report as a page for people: one file that needs neither network nor scripts.

Whatever comes from the crawl is not trusted. It is cleaned of what no page can show, cut, and escaped, wherever it
stands. Every number of the document carries its place in it (``data-figure``) and itself (``data-value``), so that a
program can tell whether the page says the same.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy_t8.errors import ConfigError, FormatError
from scrapy_t8.model.json_document import Document

from . import charts
from .charts import legible, parsed

if TYPE_CHECKING:
    from markupsafe import Markup

PAGE = Path(__file__).parent / "page"
"""The templates: ``page.html`` is the frame, the others are its parts."""

FIRST = 10
"""Rows of a table that are in sight; the others unfold."""
ROWS = 200
"""Rows of a table that are in the page at all: report.json has the others."""
EXAMPLES = 50
"""The same of examples."""

NOTHING: tuple[object, ...] = (None, "", [])

CAUSES = {
    "not_fetched": ("not fetched yet", "The request is still in the queue: run the same command again."),
    "waiting": ("waiting for a retry", "The request failed and is tried again when it is due."),
    "dead": ("given up on", "The request is in the dead-letter box, from where it can be revived."),
    "no_item": ("page without the item", "The page came, and no item of this key came of it."),
    "dropped": ("dropped by a pipeline", "The item was scraped, and a pipeline dropped it."),
    "failed": ("pipeline failed", "The item was scraped, and a pipeline raised an exception."),
    "discarded": ("request discarded", "The request was filtered, ignored or thrown away."),
    "never_linked": ("never linked", "The item was announced, but no request was ever made for it."),
    "unnamed": ("known by number only", "A total was announced that the keys do not come up to."),
}
"""The causes in words: briefly, and what they mean."""


def render(document: Mapping[str, Any]) -> str:
    """The page for *document*, which is a report as in report.json.

    :raises ConfigError: if the extra ``report`` is not installed.
    :raises FormatError: for a document of another version, or one that lacks something.
    """
    Document("report", document)
    try:
        import jinja2
        import pygal  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"report.html needs {error.name}: pip install scrapy-t8[report]") from None

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(PAGE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_clean,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template("page.html")
    try:
        return page.render(
            document,
            document=document,
            charts=_Charts(document),
            show=_Show(document),
            causes=CAUSES,
            first=FIRST,
            rows=ROWS,
            examples=EXAMPLES,
        )
    except (jinja2.UndefinedError, KeyError, IndexError) as error:
        raise FormatError(f"this report cannot be shown, it is not as docs/report.md says: {error}") from error


class _Charts:
    """The plots of one document, each an empty text if there is nothing to see."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def missing(self) -> Markup:
        causes = self._document["missing"]["causes"]
        return _drawn(charts.bars("Missing items by cause", [(cause_in_words(row), row["count"]) for row in causes]))

    def retries(self) -> Markup:
        counts = sorted(self._document["retries"].items(), key=lambda retry: -retry[1])
        return _drawn(charts.bars("Retries by kind of failure", counts))

    def progress(self) -> Markup:
        return _drawn(charts.progress("Pages, items and retries over time", self._document["timeline"]))

    def runs(self) -> Markup:
        document = self._document
        return _drawn(
            charts.runs("Runs of the job", document["runs"], document["timeline"], str(document["generated"]))
        )

    def hosts(self) -> Markup:
        return _drawn(charts.hosts("Requests of the busiest hosts", self._document["hosts"]))

    def coverage(self, number: int) -> Markup:
        kind = self._document["coverage"][number]
        return _drawn(charts.coverage(f"Fields of {legible(kind['item'], 60)}", kind["fields"]))


class _Show:
    """How the values of one document are written. What is not known is said to be so."""

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._document = document

    def figure(self, place: str, *more: str | int) -> Markup:
        """The number at *place* (names with dots between), and further inside it."""
        return self._marked(_number, place, more)

    def part(self, place: str, *more: str | int) -> Markup:
        """The same of a number from 0 to 1, as a percentage."""
        return self._marked(lambda part: charts.percent(100 * part), place, more)

    def field(self, kind: str, place: str, number: int, name: str) -> Markup:
        """A field of row *number* of the table at *place*: text, number, part, time or url."""
        value = self._at([*place.split("."), number]).get(name)
        if value in NOTHING:
            return _markup('<span class="unknown">-</span>')
        if kind == "part":
            return self.part(place, number, name)
        if kind == "number" or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            return self.figure(place, number, name)
        writers: dict[str, Callable[[Any], Markup]] = {"time": self.time, "url": self.url}
        return writers.get(kind, self.text)(value)

    def has(self, rows: Sequence[Mapping[str, Any]], name: str) -> bool:
        """Whether any of *rows* tells this field."""
        return any(row.get(name) not in NOTHING for row in rows)

    def time(self, value: object) -> Markup:
        """A moment to the second, in UTC."""
        moment = parsed(value)
        if moment is None:
            return _markup('<span class="unknown">unknown</span>') if value is None else self.text(value)
        return _markup('<time datetime="{}">{}</time>', f"{moment:%FT%TZ}", f"{moment:%F %T}")

    def duration(self, start: object, end: object) -> str:
        begun, ended = parsed(start), parsed(end)
        if begun is None or ended is None:
            return "-"
        seconds = max(0, round((ended - begun).total_seconds()))
        hours, minutes = seconds // 3600, seconds // 60 % 60
        return f"{hours:,} h {minutes:02} min" if hours else f"{minutes} min {seconds % 60:02} s"

    def url(self, value: str) -> Markup:
        """An address as text, which leads there only if it is one of the web, and whole."""
        if len(value) <= charts.MOST and legible(value) == value and value.startswith(("http://", "https://")):
            form = '<a class="cut" href="{0}" rel="noopener noreferrer"><bdi>{0}</bdi></a>'
            return _markup(form, value)
        return self.text(value)

    def text(self, value: object) -> Markup:
        """Anything else. Its direction of writing ends with it."""
        return _markup('<bdi class="cut">{}</bdi>', legible(_in_words(value)))

    def _at(self, place: Sequence[str | int]) -> Any:
        found: Any = self._document
        for name in place:
            found = found[int(name)] if isinstance(found, (list, tuple)) else found[name]
        return found

    def _marked(self, told: Callable[[Any], str], place: str, more: Sequence[str | int]) -> Markup:
        names = [*place.split("."), *more]
        value = self._at(names)
        if value is None:
            return _markup('<span class="unknown">unknown</span>')
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            return self.text(value)
        path = ".".join(str(name).replace("%", "%25").replace(".", "%2E") for name in names)
        if legible(path) != path:
            # A name that cannot be written as it is would lead nowhere.
            return _markup('<span class="figure">{}</span>', told(value))
        form = '<span class="figure" data-figure="{}" data-value="{}">{}</span>'
        return _markup(form, path, json.dumps(value), told(value))


def cause_in_words(row: Mapping[str, Any]) -> str:
    """What a row of ``missing.causes`` is about, in one line."""
    words, _ = CAUSES.get(row["cause"], (row["cause"], ""))
    return f"{words}: {row['detail']}" if row["detail"] else str(words)


def _number(value: float) -> str:
    if isinstance(value, int):
        return f"{value:,}"
    if not math.isfinite(value) or abs(value) < 1:
        return f"{value:.4g}"
    return f"{value:,.2f}".rstrip("0").rstrip(".")


def _in_words(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ", ".join(value)
    return json.dumps(value, ensure_ascii=False, default=repr)


def _clean(value: object) -> object:
    """What the template puts into the page: what is no markup of ours is cleaned before it is escaped."""
    return legible(value) if isinstance(value, str) and not hasattr(value, "__html__") else value


def _markup(form: str, *values: str) -> Markup:
    from markupsafe import Markup

    return Markup(form).format(*values)


def _drawn(svg: str) -> Markup:
    from markupsafe import Markup

    return Markup(svg)
