"""The URL of a slug."""

from __future__ import annotations

import re
from string import Formatter
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
    url = ""
    for literal, field, spec, conversion in Formatter().parse(template):
        url += literal
        if field is not None:
            value = f"{{{field}{'!' + conversion if conversion else ''}:{spec}}}".format(slug=slug)
            url += value if HOST.fullmatch(url) else _quoted(value, "" if "?" in url or "#" in url else IN_A_PATH)
    return url


def _quoted(text: str, safe: str) -> str:
    """Return *text*, quoted but for *safe* characters, and for escapes that are there already."""
    parts = ESCAPE.split(text)
    return "".join(part if at % 2 else quote(part, safe, errors="surrogatepass") for at, part in enumerate(parts))
