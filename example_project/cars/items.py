"""What the project collects."""

from dataclasses import dataclass


@dataclass
class CarItem:
    """One car as its page shows it; None where the page says "unknown".

    `displacement` is in cubic inches, `horsepower` in hp, `weight` in pounds, `acceleration` in seconds from
    0 to 60 mph. `slug` tells cars of the same name apart.
    """

    slug: str
    url: str
    picture: str
    name: str
    year: int
    origin: str
    miles_per_gallon: float | None
    cylinders: int
    displacement: float
    horsepower: int | None
    weight: int
    acceleration: float
