"""What a report must not give away: credentials in URLs, and the values of names that sound like secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

HIDDEN = "***"
KNOWN, SHORT = 2000, 200
"""So many texts that are no longer than so many characters are known as they are without secrets."""
HEADERS = re.compile("authorization|cookie", re.IGNORECASE)


class Mask:
    """Hides what stands behind certain names, in any text.

    :param names: parts of names, in any case: of query parameters, headers, arguments.
    """

    def __init__(self, names: Iterable[str]) -> None:
        parts = "|".join(re.escape(name).replace("_", "[-_]?") for name in names if name)
        self._name = re.compile(parts, re.IGNORECASE) if parts else None
        # user:password@ of a URL. Greedy: a password may have an @ of its own.
        self._credentials = re.compile(r"(?<=://)[^/\s?#]+@")
        header = r"((?:proxy-)?authorization|(?:set-)?cookie)([\"']?\s*[:=]\s*)[^\r\n]+"
        self._headers = re.compile(header, re.IGNORECASE)
        # Also as a part of a URL that is itself a parameter, where = and & are written %3D and %26.
        value = r"(?:(?!%26|%22)[^&;,\s\"'<>)}])+"
        pair = rf"([\w.%\[\]-]*(?:{parts})[\w.\[\]-]*)([\"']?\s*(?:=|:|%3D)\s*)(\"[^\"]*\"|'[^']*'|{value})"
        self._pairs = re.compile(pair, re.IGNORECASE) if parts else None
        # Of a hundred thousand failures, most names and many values are the same.
        self._known = lru_cache(KNOWN)(self._without)
        self._is_secret = lru_cache(KNOWN)(self._has_the_name_of_one)

    def text(self, text: str) -> str:
        """*text* without secrets."""
        return self._known(text) if len(text) <= SHORT else self._without(text)

    def _without(self, text: str) -> str:
        # Most texts have nothing to hide. To see that takes a tenth of the time that it takes to look for what to hide.
        if "://" in text:
            text = self._credentials.sub(f"{HIDDEN}@", text)
        if HEADERS.search(text):
            text = self._headers.sub(rf"\1\2{HIDDEN}", text)
        if self._pairs is not None and self._name is not None and self._name.search(text):
            text = self._pairs.sub(rf"\1\2{HIDDEN}", text)
        return text

    def all(self, value: Any, *, given: bool = False) -> Any:
        """A document, or a part of one, without secrets. Its shape stays; but of what a user has *given*, all that has
        the name of a secret is hidden, be it a number or a list.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(name)): self._of(str(name), part, given=given) for name, part in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.all(part, given=given) for part in value]
        return value

    def _of(self, name: str, value: Any, *, given: bool) -> Any:
        if self._is_secret(name) and (isinstance(value, str) or (given and value is not None)):
            return HIDDEN
        return self.all(value, given=given)

    def _has_the_name_of_one(self, name: str) -> bool:
        return self._name is not None and self._name.search(name) is not None
