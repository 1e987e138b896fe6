"""A hostile project, drawn at random: its site, its spider, what is plugged in, and what befalls its runs."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

PASSING = {"ok": 10, "flaky": 2, "cut": 1, "dropped": 1, "moved": 1}
"""How a page behaves that is answered in the end, and how often that behaviour is drawn."""
LASTING = {"gone": 2, "down": 2, "circle": 1, "forbidden": 1}
"""How a page behaves that is never answered."""

WAYS = ("method", "named", "lambda", "coroutine", "generator", "errback", "subclass", "shared", "cb_kwargs", "priority")
"""How a request is made."""
RENEWED = "renewed"
"""One more way: with texts that are new at each attempt of the page, and without the duplicate filter."""
BASKET = "basket"
"""One more way: the pages fill one value with their items, and the last of them yields what is in it."""
HARMLESS = ("replace", "rewrite", "token", "slow", "own-dupefilter", "extension-raises", "close-spider", "two-feeds")
"""What a project plugs in that loses nothing."""
HARMFUL = (
    *("ignore-request", "ignore-response", "swallow", "raises", "raises-late", "cancelled", "pipeline-raises"),
    *("pipeline-cancelled", "no-serializer", "exporter-raises", "filter-raises", "start-item-raises", "no-storage"),
    "input-raises",
)
"""What a project plugs in that costs a page or an item."""
FAULTS = (
    "feed-gone",
    "feed-cut",
    "feed-emptied",
    "feed-grown",
    "spool-gone",
    "spool-flipped",
    "wal-gone",
    "state-gone",
)
"""What befalls the files of a job between two runs."""
FORMATS = ("jsonlines", "json", "csv", "xml")


@dataclass
class Page:
    """A page of the site.

    :param behaviour: a key of :data:`PASSING` or :data:`LASTING`.
    :param items: the numbers of its items, each of which is on no other page.
    :param links: the pages that it leads to, and how each of the requests is made.
    """

    name: str
    behaviour: str
    items: list[int]
    links: list[tuple[str, str]] = field(default_factory=list)


@dataclass
class Plan:
    """One project, and how its runs end.

    :param hazards: of :data:`HARMLESS` and :data:`HARMFUL`; each of them strikes at ``victim``.
    :param start_items: numbers of items that ``start()`` yields.
    :param kills: after how many callbacks and pipeline calls each run but the last ones is killed.
    :param faults: what befalls the job after each of the kills; "" for nothing.
    """

    seed: int
    pages: dict[str, Page]
    hazards: list[str]
    victim: str
    victim_item: int
    start: list[tuple[str, str]]
    start_items: list[int]
    dropped_items: list[int]
    feed_format: str
    concurrency: int
    kills: list[int]
    faults: list[str]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def draw(seed: int) -> Plan:
    """Draw a plan; half of them have nothing in them that costs a page or an item."""
    chance = Random(f"verdict {seed}")
    harmful = chance.random() < 0.5
    names = [f"{number:02}" for number in range(chance.randint(3, 14))]
    numbers = iter(range(1000))
    pages = {name: Page(name, _behaviour(chance, harmful), _items(chance, numbers)) for name in names}
    _link(chance, pages, names)
    _renew(Random(f"new texts {seed}"), pages, names[:2])
    _fill_baskets(Random(f"baskets {seed}"), pages, names[:2])
    start_items = [next(numbers) for _ in range(chance.choice((0, 0, 2)))]
    hazards = chance.sample(HARMLESS, chance.choice((0, 1, 1, 2)))
    if harmful:
        hazards += chance.sample(HARMFUL, chance.choice((0, 1, 1, 2)))
    victim = chance.choice(names)
    kills = [chance.randint(1, 30) for _ in range(chance.choice((0, 1, 1, 2, 3)))]
    every = [number for page in pages.values() for number in page.items]
    return Plan(
        seed=seed,
        pages=pages,
        hazards=hazards,
        victim=victim,
        victim_item=chance.choice([*pages[victim].items, *every]),
        start=[(name, chance.choice(WAYS)) for name in names[: chance.randint(1, 2)]],
        start_items=start_items,
        dropped_items=chance.sample(every, chance.choice((0, 0, 1))),
        feed_format=chance.choice(FORMATS),
        concurrency=chance.choice((1, 2, 8)),
        kills=kills,
        faults=[chance.choice(("", "", "", *FAULTS)) if harmful else "" for _ in kills],
    )


def _behaviour(chance: Random, harmful: bool) -> str:
    lasting = harmful and chance.random() < 0.06
    return _weighted(chance, LASTING if lasting else PASSING)


def _weighted(chance: Random, weights: dict[str, int]) -> str:
    return chance.choices(list(weights), list(weights.values()))[0]


def _items(chance: Random, numbers: Any) -> list[int]:
    return [next(numbers) for _ in range(chance.randint(1, 4))]


def _link(chance: Random, pages: dict[str, Page], names: list[str]) -> None:
    """Have each page but the first ones reached from an earlier one, and some from several."""
    for number, name in enumerate(names[1:], 1):
        for parent in {chance.choice(names[:number]) for _ in range(chance.choice((1, 1, 2)))}:
            pages[parent].links.append((name, chance.choice(WAYS)))


def _renew(chance: Random, pages: dict[str, Page], start: list[str]) -> None:
    """Have some pages that only one link leads to reached in one more way. It changes nothing else of a plan."""
    reached = _reached(pages, start)
    share = chance.choice((0, 0.5, 1))
    for page in pages.values():
        for number, (name, _) in enumerate(page.links):
            if chance.random() < share and reached[name] == 1:
                page.links[number] = (name, RENEWED)


def _fill_baskets(chance: Random, pages: dict[str, Page], start: list[str]) -> None:
    """Have the pages that only one page leads to fill a basket together, if they are several."""
    reached = _reached(pages, start)
    for page in pages.values():
        single = [number for number, (name, _) in enumerate(page.links) if reached[name] == 1]
        if len(single) > 1 and chance.random() < 0.4:
            for number in single:
                page.links[number] = (page.links[number][0], BASKET)


def _reached(pages: dict[str, Page], start: list[str]) -> Counter[str]:
    """Return how often each page is reached."""
    reached = Counter(start)
    reached.update(name for page in pages.values() for name, _ in page.links)
    return reached
