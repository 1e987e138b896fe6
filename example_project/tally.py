"""Count what a crawl brought: the feed against the data of the site, and what the site served."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from catalogue.data import Car


@dataclass(frozen=True)
class Result:
    """What a crawl came to."""

    cars: int
    items: int
    lost: int
    duplicated: int
    damaged: int
    fetched_twice: int
    kills: int

    def complete(self) -> bool:
        return self.lost == self.duplicated == self.damaged == 0

    def sentence(self) -> str:
        kills = f"{self.kills} kill{'' if self.kills == 1 else 's'}"
        if self.complete():
            return f"All {self.cars} cars are in the feed, each once, after {kills} with SIGKILL."
        return f"After {kills} with SIGKILL: {self.lost} cars lost, {self.duplicated} doubled, {self.damaged} damaged."

    def table(self) -> str:
        rows = {
            "cars on the site": self.cars,
            "items in the feed": self.items,
            "lost": self.lost,
            "duplicated": self.duplicated,
            "damaged lines": self.damaged,
            "pages fetched twice": self.fetched_twice,
            "kills": self.kills,
        }
        return "\n".join(f"{label:<20}{number:>6}" for label, number in rows.items())


def count(cars: Sequence[Car], feed: Path, hits: Path, *, kills: int) -> Result:
    """Hold the feed against the data of the site; nothing that the crawl says of itself is used."""
    lines = feed.read_bytes().splitlines() if feed.exists() else []
    truth = {car.slug: asdict(car) for car in cars}
    collected = Counter(slug for slug in (_car_of(line, truth) for line in lines) if slug)
    return Result(
        cars=len(cars),
        items=len(lines),
        lost=len(truth.keys() - collected.keys()),
        duplicated=collected.total() - len(collected),
        damaged=len(lines) - collected.total(),
        fetched_twice=sum(times > 1 for times in read_hits(hits).values()),
        kills=kills,
    )


def read_hits(file: Path) -> Counter[str]:
    """How often each page was served, from the log of the site."""
    text = file.read_text() if file.exists() else ""
    lines = text.rpartition("\n")[0].splitlines()  # without a line that is still being written
    return Counter(path for _time, _method, path, status in map(str.split, lines) if status == "200")


def _car_of(line: bytes, truth: dict[str, dict[str, object]]) -> str | None:
    """The slug of the car in this line, or None if the line is torn or says other than the site."""
    try:
        item = json.loads(line)
        car = truth[item["slug"]]
    except (ValueError, LookupError, TypeError):
        return None
    return item["slug"] if all(item.get(name) == value for name, value in car.items()) else None
