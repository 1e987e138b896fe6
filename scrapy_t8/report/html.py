"""The report as a page for people: one file that needs no network.

Values of the crawl are not trusted: wherever they stand, they are cleaned of illegal characters, cut and escaped. The
only script copies a command; its hash is in the policy of the page, so that a browser runs no other. Every number of
the document carries its place in it (``data-figure``) and its value (``data-value``), so that a program can
check that the page agrees with report.json.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scrapy_t8.errors import ConfigError, FormatError
from scrapy_t8.model.json_document import Document
from scrapy_t8.utils.log.mask import HIDDEN
from scrapy_t8.utils.text import install, shortened

from . import charts
from .next_steps import next_steps, show_command, what_follows
from .text import legible, number, percent, size, span, time_of

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
LONG = 30
"""Characters of a word that may be broken in a table."""
COMMAND = 20_000
"""Characters of a command that are shown."""
LINK = 2000
"""Characters of the longest URL that is a link."""

NOTHING: tuple[object, ...] = (None, "", [])

CAUSES = {
    "not_fetched": ("not fetched yet", "The request is still in the queue: run the same command again."),
    "waiting": ("waiting for a retry", "The request failed and is tried again when it is due."),
    "dead": ("dead", "The request was given up, and is in the dead-letter box."),
    "no_item": ("page without the item", "The page was fetched, but yielded no item with this key."),
    "dropped": ("dropped by a pipeline", "The item was scraped, and a pipeline dropped it."),
    "failed": ("pipeline failed", "The item was scraped, and a pipeline raised an exception."),
    "discarded": ("request discarded", "The request was filtered, ignored or discarded."),
    "never_linked": ("never linked", "The item was announced, but no request was ever made for it."),
    "unnamed": ("known by number only", "The announced total is higher than the number of announced keys."),
}
"""The causes in words: briefly, and what they mean."""

ENDINGS = {
    "status": "The response had this status, and no callback handles it.",
    "failure": "There was no response, or the response could not be processed.",
    "failure:network": "No response came.",
    "failure:parse": "The callback or the errback raised an exception.",
    "failure:pipeline": "A pipeline raised an exception for an item of the page.",
    "ignored": "This middleware, handler or signal handler raised IgnoreRequest.",
    "redirects": "The request was redirected too often, or in a circle.",
    "swallowed": "The callback raised this exception, and a spider middleware handled it.",
    "replaced": "A middleware returned another request, which was then dropped.",
    "item": "This pipeline lost an item that belongs to no request.",
    "media": "A file came after its item had been exported without it.",
    "unknown": "A part of a damaged state file could not be read.",
}
"""What it means that requests ended for a cause, by the cause or its first word."""

NEWER: dict[str, Any] = {"left": {"count": 0, "reason": ""}, "releases": {}, "unproven": []}
"""Parts that a report of an earlier release does not have."""


def render(document: Mapping[str, Any], jobdir: Path) -> str:
    """Return the page for a report as in report.json. Its commands are for the job in *jobdir*.

    :raises ConfigError: if the extra ``report`` is not installed.
    :raises FormatError: for a document of another version, or one that lacks a field.
    """
    Document("report", document)
    document = {**NEWER, **document}
    try:
        from jinja2 import UndefinedError
    except ImportError as error:
        raise ConfigError(f"report.html needs {error.name}: {install('report')}") from None

    words: dict[str, Any] = {"causes": CAUSES, "endings": ENDINGS}
    limits = {"first": FIRST, "rows": ROWS, "examples": EXAMPLES}
    try:
        # For a template, ``ledger.items`` would be the method of the dict if there were no such part.
        words["things"] = document["ledger"]["items"]
        page = _templates().get_template("page.html")
        return page.render(document, charts=charts, show=_Show(document, jobdir), **_script(), **words, **limits)
    except (UndefinedError, KeyError, IndexError) as error:
        raise FormatError(
            f"this report does not have the form that `scrapy t8 help report` describes: {error}"
        ) from error


def _script() -> dict[str, str]:
    """Return the script of the page, and the hash by which the policy of the page allows it."""
    script = (PAGE / "copy.js").read_text(encoding="utf-8")
    return {"script": script, "script_hash": b64encode(sha256(script.encode()).digest()).decode()}


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

    def __init__(self, document: Mapping[str, Any], jobdir: Path) -> None:
        self._document = document
        self.steps = next_steps(document, jobdir)
        self.follows = what_follows(document)
        self._jobdir = jobdir

    def command(self, text: str) -> Markup:
        """Return a command, which must not be cut as other texts are."""
        return _markup("<code>{}</code>", legible(text, COMMAND))

    def letter(self, number: int) -> str:
        """Return the command that shows a dead letter."""
        return show_command(number, self._jobdir)

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
        if kind == "size":
            return self._marked(size, place, (row, name))
        if kind in ("number", "problem") or (isinstance(value, (int, float)) and not isinstance(value, bool)):
            return self.figure(place, row, name)
        writers: dict[str, Callable[[Any], Markup]] = {"time": self.time, "url": self.url}
        return writers.get(kind, self.text)(value)

    def counts(self, causes: Sequence[Mapping[str, Any]]) -> list[tuple[str, int]]:
        """Return each of *causes* with its detail, on one line, and its count."""
        words = [(str(CAUSES.get(row["cause"], (row["cause"],))[0]), row.get("detail")) for row in causes]
        names = [f"{name}: {detail}" if detail else name for name, detail in words]
        return [(name, row["count"]) for name, row in zip(names, causes, strict=True)]

    def has(self, rows: Sequence[Mapping[str, Any]], name: str, kind: str) -> bool:
        """Whether a row has a value in this field that says more than others: no problems, or a key that is the URL."""
        if kind == "key":
            return any(row.get(name) not in (*NOTHING, row.get("url")) for row in rows)
        nothing = (*NOTHING, 0) if kind == "problem" else NOTHING
        return any(row.get(name) not in nothing for row in rows)

    def time(self, value: object) -> Markup:
        """Return a time to the second, in UTC."""
        moment = time_of(value)
        if moment is None:
            return _markup('<span class="unknown">unknown</span>') if value is None else self.text(value)
        return _markup('<time datetime="{}">{}</time>', f"{moment:%FT%TZ}", f"{moment:%F %T}")

    def duration(self, start: object, end: object) -> str:
        """Return the time between two moments in words."""
        seconds = _seconds(start, end)
        return "-" if seconds is None else span(seconds)

    def work(self) -> str:
        """Return how long all runs together have worked, as far as that is known."""
        runs, now = self._document["runs"], self._document["generated"]
        ends = [now if run["end"] == "running" else run["ended"] for run in runs]
        known = [_seconds(run["started"], end) for run, end in zip(runs, ends, strict=True)]
        return span(sum(seconds for seconds in known if seconds is not None))

    def ends(self) -> str:
        """Return the number of runs, and how many ended in which way."""
        counts = Counter(str(run["end"]) for run in self._document["runs"])
        if counts.total() == 1:
            return f"1, {next(iter(counts))}"
        return f"{counts.total():,}: " + ", ".join(f"{count:,} {end}" for end, count in counts.items())

    def url(self, value: str) -> Markup:
        """Return a URL as text; as a link only if http or https, and complete. A long one is cut in the middle."""
        shown = shortened(value)
        is_whole = legible(value, LINK) == value and HIDDEN not in value
        if is_whole and value.startswith(("http://", "https://")):
            return _markup('<a href="{}" rel="noopener noreferrer"><bdi>{}</bdi></a>', value, shown)
        return self.text(shown)

    def text(self, value: object) -> Markup:
        """Return any other value. Its writing direction ends with it. Only a long word may be broken."""
        shown = legible(_in_words(value))
        is_long = max(map(len, shown.split()), default=0) > LONG
        return _markup('<bdi class="long">{}</bdi>' if is_long else "<bdi>{}</bdi>", shown)

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


def _seconds(start: object, end: object) -> float | None:
    begun, ended = time_of(start), time_of(end)
    return None if begun is None or ended is None else max(0.0, (ended - begun).total_seconds())


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
