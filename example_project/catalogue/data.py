"""The cars of the catalogue, read from `cars.json` (source and licence: DATA.md)."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FILE = Path(__file__).with_name("cars.json")


@dataclass(frozen=True)
class Car:
    """One car; None where the source has no figure.

    `displacement` is in cubic inches, `horsepower` in hp, `weight` in pounds, `acceleration` in seconds from
    0 to 60 mph.
    """

    slug: str
    name: str
    year: int
    origin: str
    miles_per_gallon: float | None
    cylinders: int
    displacement: float
    horsepower: int | None
    weight: int
    acceleration: float


def load_cars() -> list[Car]:
    """All cars in the order of the source, under the same slugs every time."""
    rows = json.loads(_FILE.read_text(encoding="utf-8"))
    return [_car(number, row) for number, row in enumerate(rows, start=1)]


def _car(number: int, row: dict[str, Any]) -> Car:
    year = int(row["Year"][:4])
    return Car(
        slug=_slug(row["Name"], year, number),
        name=row["Name"],
        year=year,
        origin=row["Origin"],
        miles_per_gallon=row["Miles_per_Gallon"],
        cylinders=row["Cylinders"],
        displacement=row["Displacement"],
        horsepower=row["Horsepower"],
        weight=row["Weight_in_lbs"],
        acceleration=row["Acceleration"],
    )


def _slug(name: str, year: int, number: int) -> str:
    # The number is the row in the source: names repeat, within a year too.
    words = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    return f"{words}-{year}-{number:03}"
