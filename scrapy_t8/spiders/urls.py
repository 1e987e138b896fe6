"""The URL of a slug, and that of a cursor."""

from __future__ import annotations

import re
from collections.abc import Callable
from string import Formatter
from typing import Any
from urllib.parse import quote

IN_A_PATH = "/:@!$&'()*+,;=~"
"""What a path may have besides letters, digits and ``-._``."""
ESCAPE = re.compile("(%[0-9A-Fa-f]{2})")
HOST = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)?[^/?#]*")


def url_of_slug(template: str, slug: str) -> str:
    """Return *template* with *slug* in the place of each ``{slug}``, quoted as that place demands.

    In a path, a slug may be several segments; in a query, it is one value. An escape such as ``%C3%A9`` stays as it is.
    Where the slug is the whole URL, or a part of the host, it is not quoted.
    """

    def place(value: str, name: str, before: str) -> str:
        if HOST.fullmatch(before):
            return value
        return _quoted(value, "" if _is_query(before) else IN_A_PATH)

    return _filled(template, {"slug": slug}, place)


def url_of_cursor(template: str, cursor: str, **values: Any) -> str:
    """Return *template*, filled. A *cursor* is quoted where it is a value in a query: a token may have a ``+``.

    :param values: what to fill in besides, as it is.
    """

    def place(value: str, name: str, before: str) -> str:
        return _quoted(value, "") if name == "cursor" and _is_query(before) else value

    return _filled(template, {"cursor": cursor, **values}, place)


def _filled(template: str, values: dict[str, Any], place: Callable[[str, str, str], str]) -> str:
    """Return *template*, filled with *values*.

    :param place: returns a value for its place: it is called with the value, its name, and the text before it.
    """
    url = ""
    for literal, field, spec, conversion in Formatter().parse(template):
        url += literal
        if field is not None:
            name = f"{{{field}{'!' + conversion if conversion else ''}:{spec}}}"
            url += place(name.format(**values), field, url)
    return url


def _is_query(before: str) -> bool:
    return "?" in before or "#" in before


def _quoted(text: str, safe: str) -> str:
    """Return *text*, quoted but for *safe* characters, and for escapes that are there already."""
    parts = ESCAPE.split(text)
    return "".join(part if at % 2 else quote(part, safe, errors="surrogatepass") for at, part in enumerate(parts))
