"""Makes crawls of the project here, and compares what they bring with what plain Scrapy brings."""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.crawl import PLAIN, Crawl
from tests.support.pages import VALUES, CommonPages
from tests.support.site import Server

PROJECT = Path(__file__).parent / "project"
OTHERWISE = re.compile(
    r"^t8/|time|memusage|_per_minute|log_count|scheduler/(en|de)queued/|scheduler/unserializable|feedexport|items/"
)
"""Statistics in which a crawl with T8 may differ from one without."""


class Lab:
    """Makes crawls, each in a directory and on a site of its own."""

    def __init__(self, directory: Path, server: Server) -> None:
        self._directory = directory
        self._server = server
        self._numbers = itertools.count(1)

    def crawl(self, spider: str, *, t8: bool = True, **values: Any) -> Crawl:
        """Return a crawl of one of the spiders.

        :param values: settings in capitals, and arguments of the spider in small letters.
        """
        site = self._server.site(CommonPages(), VALUES)
        crawl = Crawl(PROJECT, site, self.new_directory(), spider, **{**({} if t8 else PLAIN), **values})
        crawl.feeds = ("-O", "items.jsonl")
        return crawl

    def script(self, name: str, *arguments: str, **settings: Any) -> Crawl:
        """Return a crawl that is begun by one of the scripts."""
        crawl = self.crawl("", **settings)
        crawl.script = (f"scripts/{name}.py", *arguments)
        return crawl

    def copy(self, crawl: Crawl) -> Crawl:
        """Return a copy of a crawl, as far as it has come."""
        return crawl.copy(self.new_directory())

    def new_directory(self) -> Path:
        return self._directory / f"crawl-{next(self._numbers):03}"

    def compare(self, spider: str, *chains: Sequence[str], undisturbed: bool = True, **values: Any) -> Comparison:
        """Run *spider* plain, with T8, and with T8 through each of the *chains* of kills: all bring the same.

        A chain names the point where each of its runs but the last dies.
        """
        crawls = [self.crawl(spider, t8=number > 0, **values) for number in range(2 + len(chains))]
        plain, calm, *broken = crawls
        with ThreadPoolExecutor(3) as pool:
            ends: list[Future[Any]] = [pool.submit(plain.finished)]
            ends += [pool.submit(_through, crawl, chain) for crawl, chain in zip(broken, chains, strict=True)]
            ends += [pool.submit(calm.finished)] if undisturbed else []
            for end in ends:
                end.result()
        if undisturbed:
            _check_same(plain, calm)
        for crawl in broken:
            assert crawl.lines == plain.lines, _difference(crawl, plain)
            assert set(crawl.pages) == set(plain.pages)
        return Comparison(plain, calm, broken)


@dataclass(frozen=True)
class Comparison:
    """The crawls that were compared: with plain Scrapy, with T8, and with T8 and kills."""

    plain: Crawl
    calm: Crawl
    broken: Sequence[Crawl]


def _through(crawl: Crawl, chain: Sequence[str]) -> None:
    if all(crawl.dies(point) for point in chain):
        crawl.finished()


def _check_same(plain: Crawl, calm: Crawl) -> None:
    assert calm.lines == plain.lines, _difference(calm, plain)
    assert Counter(calm.pages) == Counter(plain.pages)
    expected, found = (_comparable(crawl.last.stats) for crawl in (plain, calm))
    assert found == expected, {
        name: (found.get(name), expected.get(name))
        for name in {*found, *expected}
        if found.get(name) != expected.get(name)
    }


def _comparable(stats: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in stats.items() if not OTHERWISE.search(name)}


def _difference(crawl: Crawl, plain: Crawl) -> str:
    return (
        f"lost {dict(plain.lines - crawl.lines)}, too much {dict(crawl.lines - plain.lines)}; notes: {crawl.notes}; "
        f"of the last run: {crawl.last.log[-3000:]}"
    )
