"""The rules of a CrawlSpider: a stored link goes to the callback that its rule names, wherever the rule is by then."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scrapy import Request, Spider
from scrapy.spiders import CrawlSpider, Rule

from scrapy_t8.errors import CannotLoad
from scrapy_t8.utils.hashes import hash63

FIELD = "_rule"
"""Field of a stored request: what its rule is called here."""


class Rules:
    """The rules of one spider. Scrapy keeps the place of a rule in the meta of each link; a deploy changes the places.

    A rule is called by its callback, its errback, whether it follows, and its keyword arguments.
    """

    def __init__(self, spider: Spider | None) -> None:
        self._names = [_name(rule) for rule in spider.rules] if isinstance(spider, CrawlSpider) else []

    def note(self, request: Request, fields: dict[str, Any]) -> None:
        """Add the rule of *request* to the fields of its stored form."""
        if self._names and "rule" in request.meta and fields["callback"] in vars(CrawlSpider):
            fields[FIELD] = self._names[request.meta["rule"]]

    def find(self, fields: dict[str, Any]) -> None:
        """Let the meta of a stored request name the place where its rule is now.

        :raises CannotLoad: if no rule leads to the callback of that rule any more.
        """
        rule = fields.get(FIELD)
        if rule is None:
            return
        places = [place for place, other in enumerate(self._names) if other == rule]
        places = places or [place for place, other in enumerate(self._names) if other[:2] == rule[:2]]
        if not places:
            shown = f"for the callback {rule[0]!r}" if rule[0] else "without a callback"
            raise CannotLoad(f"the spider has no rule {shown} any more", kind="callback")
        meta = fields["meta"]
        if meta["rule"] not in places:
            meta["rule"] = places[0]


def _name(rule: Rule) -> list[Any]:
    return [_function(rule.callback), _function(rule.errback), bool(rule.follow), repr(rule.cb_kwargs)]


def _function(function: str | Callable[..., Any] | None) -> str:
    if function is None or isinstance(function, str):
        return function or ""
    name: str = getattr(function, "__qualname__", type(function).__qualname__)
    code = getattr(function, "__code__", None)
    if "<lambda>" not in name or code is None:
        return name.rpartition(".")[2]
    return f"<lambda> {hash63(repr((code.co_code, code.co_names, code.co_varnames)).encode())}"
