"""The causes for which a request ends without a result, and which of them the user accepts (T8_ACCEPT).

A cause is a word, or a word and a name: ``redirects``, ``status:404``, ``ignored:shop.middlewares.Stock``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from fnmatch import fnmatchcase

from scrapy_t8.errors import ConfigError

STATUS, FAILURE, ERRBACK, IGNORED, SWALLOWED = "status", "failure", "errback", "ignored", "swallowed"
ITEM, MEDIA = "item", "media"
REDIRECTS, REPLACED, UNKNOWN = "redirects", "replaced", "unknown"
DUPLICATE, OFFSITE, ROBOTS, DEPTH, URL_LENGTH = "duplicate", "offsite", "robotstxt", "depth", "url_length"
DISCARDED, RESOLVED = "discarded", "resolved"
LEFT = "left"  # With the close reason: T8_DONE_REASONS names it
FEED = "feed"
AGAIN = f"{ITEM}:again"
"""Items without a key that may be in the feeds twice."""

WITH_NAME = {
    STATUS: "404",
    FAILURE: "parse",
    ERRBACK: "on_error",
    IGNORED: "shop.middlewares.Stock",
    SWALLOWED: "KeyError",
    ITEM: "PricePipeline",
    FEED: "batches",
}
"""Causes that have a name, with an example of it."""
ALONE = (REDIRECTS, REPLACED, MEDIA, UNKNOWN)
"""Causes without a name."""
HARMLESS = frozenset((DUPLICATE, OFFSITE, ROBOTS, DEPTH, URL_LENGTH, DISCARDED, RESOLVED))
"""Causes that are always accepted: Scrapy leaves these requests out on purpose, or a person has decided on them."""

SETTING = "T8_ACCEPT"


class Accepted:
    """The causes that are accepted.

    :param patterns: T8_ACCEPT. In a name, ``*`` stands for any text and ``?`` for any character.
    :raises ConfigError: for a pattern that cannot be a cause.
    """

    def __init__(self, patterns: Iterable[object] = ()) -> None:
        self.patterns = [_checked(pattern) for pattern in patterns]

    def __contains__(self, cause: str) -> bool:
        return cause in HARMLESS or cause.startswith(f"{LEFT}:") or self.names(cause)

    def names(self, cause: str) -> bool:
        """Whether the user has named *cause*."""
        return any(fnmatchcase(cause, pattern) for pattern in self.patterns)

    def line_with(self, causes: Iterable[str]) -> str:
        """Return the line for settings.py that accepts *causes* as well."""
        named = [*self.patterns, *(cause for cause in causes if not self.names(cause))]
        return f"{SETTING} = [{', '.join(_quoted(cause) for cause in dict.fromkeys(named))}]"


def _checked(pattern: object) -> str:
    text = str(pattern)
    kind, colon, name = text.partition(":")
    if kind in HARMLESS and not colon:
        return text
    if not isinstance(pattern, str) or kind not in (*WITH_NAME, *ALONE) or bool(name) != (kind in WITH_NAME):
        causes = ", ".join((*(f"{word}:{example}" for word, example in WITH_NAME.items()), *ALONE))
        raise ConfigError(f"{SETTING} has {pattern!r}, which is not a cause; causes look like {causes}")
    if kind == STATUS and not re.fullmatch(r"[0-9*?]+", name):
        raise ConfigError(f"{SETTING} has {pattern!r}, but a status is a number such as 404, or a pattern such as 4??")
    return text


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def cause_of_failure(kind: str, status: int | None) -> str:
    """Return the cause of a failure: the status, where the status is the failure, else the kind."""
    is_failure = status is not None and not 200 <= status < 300
    is_status = is_failure and kind in ("http", "host", "throttled", "network")
    return f"{STATUS}:{status}" if is_status else f"{FAILURE}:{kind}"
