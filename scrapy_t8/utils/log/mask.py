"""Hides secrets in what people read: credentials in URLs, and values whose names sound like secrets."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from functools import cached_property, lru_cache
from typing import Any

KEPT = "report:mask"  # The store keeps the names that the crawl hides under this name, for reports that are made later
HIDDEN = "***"
NAMES = (
    *("password", "passwd", "passphrase", "pwd", "http_pass", "secret", "token", "jwt", "credential"),
    *("api_key", "apikey", "access_key", "private_key", "authorization", "cookie", "session", "sessid", "signature"),
)
"""Parts of the names whose values are hidden unless a project names others."""
KNOWN, SHORT = 2000, 200  # How many masked texts are remembered, and the longest text that is
LONGEST = 100  # Characters of a name after its telling part. A limit keeps the time proportional to the text
HEADERS = re.compile("authorization|cookie", re.IGNORECASE)
# user:password@ of a URL. Greedy: a password may contain an @. A URL may be a parameter of another one.
CREDENTIALS = re.compile(r"(?<=://)[^/\s?#]+@")
# As an error names a host: "invalid hostname: user:password@example.com".
HOST_CREDENTIALS = re.compile(r"(?<![\w:/@%.~+-])(?!mailto:)[\w.~%+-]+:[^\s/@\"'<>]+@(?=[\w\[])", re.IGNORECASE)
INNER_CREDENTIALS = re.compile(r"(?<=%3A%2F%2F)(?:(?!%2F|%3F|%23)[^/\s?#&])+%40", re.IGNORECASE)
HEADER = re.compile(r"((?:proxy-)?authorization|(?:set-)?cookie)([\"']?\s*[:=]\s*)[^\r\n]+", re.IGNORECASE)
# A number of a page may have these names, too: only a long value is a secret.
PARAMETER = re.compile(r"([?&;#](?:key|sig|sid|auth)=)[\w.~%+/=-]{16,}", re.IGNORECASE)
BEARER = re.compile(r"\b(bearer[ +]|bearer%20)[\w.~%+/=-]{16,}", re.IGNORECASE)
JWT = re.compile(r"\beyJ[\w-]+\.[\w-]+(?:\.[\w-]*)*")


class Mask:
    """Hides, in any text, the values of query parameters, headers and arguments with one of *names* in their names."""

    def __init__(self, names: Iterable[str]) -> None:
        # In one order: then re compiles the patterns of one set of names once.
        self._parts = "|".join(re.escape(name).replace("_", "[-_]?") for name in sorted(set(names)) if name)
        self._name = re.compile(self._parts, re.IGNORECASE) if self._parts else None
        # Of a hundred thousand failures, most names and many values are the same.
        self._known = lru_cache(KNOWN)(self._masked)
        self._is_secret = lru_cache(KNOWN)(lambda name: self._name is not None and self._name.search(name) is not None)

    @cached_property
    def _pairs(self) -> re.Pattern[str]:
        """The end of a name, from its telling part on, and the value. Compiled when the first text has such a name."""
        # In a URL in a URL, = and & are written %3D and %26, and so on.
        value = r"(?:(?!%(?:25)*(?:26|22))[^&;,\s\"'<>)}])+"
        name = rf"((?:{self._parts})[\w.\[\]-]{{,{LONGEST}}})"
        return re.compile(rf"{name}([\"']?\s*(?:=|:|%(?:25)*3D)\s*)(\"[^\"]*\"|'[^']*'|{value})", re.IGNORECASE)

    @cached_property
    def _segments(self) -> re.Pattern[str]:
        """The end of a name and the value, as in ``/token/Ab12...``."""
        # What follows may be a title as well, as in /session/how-we-did-it: no title looks like this.
        segment = r"[\da-f-]{16,}|(?=[^/]*\d)(?=[^/]*[a-z])(?=[^/]*[A-Z])[\w.~%=-]{16,}"
        return re.compile(rf"((?i:{self._parts})[\w.-]{{,{LONGEST}}}/)(?:{segment})(?=[/?#\s\"'>),]|$)")

    def text(self, text: str) -> str:
        """Return *text* without secrets."""
        return self._known(text) if len(text) <= SHORT else self._masked(text)

    def _masked(self, text: str) -> str:
        # Most texts hide nothing, and to see that takes a tenth of the time of the substitutions.
        if "://" in text or "%2F%2F" in text.upper():
            text = INNER_CREDENTIALS.sub(f"{HIDDEN}%40", CREDENTIALS.sub(f"{HIDDEN}@", text))
        if "@" in text:
            text = HOST_CREDENTIALS.sub(f"{HIDDEN}@", text)
        if HEADERS.search(text):
            text = HEADER.sub(rf"\1\2{HIDDEN}", text)
        if self._name is not None and self._name.search(text):
            text = self._pairs.sub(rf"\1\2{HIDDEN}", text)
            text = self._segments.sub(rf"\1{HIDDEN}", text)
        if "=" in text:
            text = PARAMETER.sub(rf"\1{HIDDEN}", text)
        return JWT.sub(HIDDEN, BEARER.sub(rf"\1{HIDDEN}", text))

    def all(self, value: Any, *, given: bool = False) -> Any:
        """Return a document, or a part of one, without secrets. Its shape stays.

        :param given: whether a user has given it: then a number or a list with the name of a secret is hidden, too.
        """
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(str(name)): self._value(str(name), part, given=given) for name, part in value.items()}
        if isinstance(value, (list, tuple)):
            return [self.all(part, given=given) for part in value]
        return value

    def _value(self, name: str, value: Any, *, given: bool) -> Any:
        if self._is_secret(name) and (isinstance(value, str) or (given and value is not None)):
            return HIDDEN
        return self.all(value, given=given)
