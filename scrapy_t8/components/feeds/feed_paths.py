"""The files that a feed may have: only those that its URI names, whatever the job directory contains."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from scrapy.extensions.feedexport import FileFeedStorage

from scrapy_t8.core.scrapy_private import apply_uri_params
from scrapy_t8.errors import FeedError

PARAMETER = re.compile(r"%\(([^)]+)\)[-+ #0]*\d*(?:\.\d+)?[diouxXeEfFgGcrsa]")
KNOWN = {"time": r"[0-9T:.+-]+", "batch_time": r"[0-9T:.+-]+", "batch_id": r"\d+"}
"""What a parameter of Scrapy's is like, in every run."""


class FeedPaths:
    """The URIs and the files of one feed, in any run of the job and for any batch.

    :param template: the URI of the feed, with its parameters.
    :param params: the parameters of this run. In another run a parameter may have another value, but no other form: a
        name stays a name, and no value leads out of a directory.
    :param path_of: returns the path of the local file that a URI names; None if the feed is not in a local file.
    """

    def __init__(
        self, template: str, params: Mapping[str, Any], path_of: Callable[[str], str | None] = lambda uri: uri
    ) -> None:
        names = dict.fromkeys(match[1] for match in PARAMETER.finditer(template))
        # Letters that no URI changes, in the place of each value.
        stands_for = {name: f"9075{number}9075" for number, name in enumerate(names)}
        plain = apply_uri_params(PARAMETER.sub(lambda match: stands_for[match[1]], template), {})
        values = {stands_for[name]: KNOWN.get(name) or _form(params.get(name)) for name in names}
        self._uri = _pattern(plain, values)
        path = path_of(plain)
        self._files = [] if path is None else [_pattern(str(form), values) for form in _forms(Path(path), values)]

    def has_uri(self, uri: object) -> bool:
        """Whether *uri* is one that this feed may have."""
        return isinstance(uri, str) and self._uri.fullmatch(uri) is not None

    def has_file(self, path: object) -> bool:
        """Whether *path* is a file that this feed may have, with or without its links resolved."""
        return isinstance(path, str) and any(form.fullmatch(path) for form in self._files)


def refuse_same_file(feeds: Mapping[str, Mapping[str, Any]], params_of: Callable[[Any], dict[str, Any]]) -> None:
    """Refuse two feeds in one file: each would take the rows of the other for those of another program.

    :param feeds: the options of each feed, by its URI.
    :param params_of: returns the parameters of a URI for its option ``uri_params``.
    :raises FeedError: naming the file.
    """
    named: dict[Path, str] = {}
    for uri, options in feeds.items():
        if urlsplit(uri).scheme not in ("", "file"):
            continue
        path = Path(FileFeedStorage(apply_uri_params(uri, params_of(options["uri_params"]))).path).resolve()
        first = named.setdefault(path, uri)
        if first != uri and (path.is_file() or not path.exists()):  # pipes and devices may have several writers
            raise FeedError(
                f"FEEDS names the file {path} twice, as {first} and as {uri}: each feed needs a file of its own. "
                "Nothing was changed. Take one of them away, and run the same command again"
            )


def _form(value: Any) -> str:
    allowed = r"[^\0]" if "/" in str(value) else r"[^/\0]"
    return rf"(?:(?!\.\.){allowed})*"


def _pattern(plain: str, values: Mapping[str, str]) -> re.Pattern[str]:
    escaped = re.escape(plain)
    for placeholder, form in values.items():
        escaped = escaped.replace(placeholder, form)
    return re.compile(escaped, re.DOTALL)


def _forms(path: Path, values: Mapping[str, str]) -> list[Path]:
    """Return *path* made absolute, and the same with the links in that part resolved that is known."""
    path = path.absolute()
    parts = path.parts
    known = next((n for n, part in enumerate(parts) if any(name in part for name in values)), len(parts))
    resolved = Path(*parts[:known]).resolve()
    return [path, resolved.joinpath(*parts[known:])]
