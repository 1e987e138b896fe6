"""The HTML of the catalogue: list pages and detail pages."""

from collections.abc import Sequence
from html import escape

from .data import Car

_PAGE = """<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{title}</title></head>
<body>
{body}
</body>
</html>
"""


def list_page(cars: Sequence[Car], number: int, last: int) -> str:
    """List page `number` of `last`: links to its cars and to its neighbours."""
    links = "\n".join(_link(car) for car in cars)
    title = f"Cars, page {number} of {last}"
    return _page(title, f"<ul>\n{links}\n</ul>\n{_neighbours(number, last)}")


def detail_page(car: Car) -> str:
    """One car: its picture and its figures."""
    picture = f'<img src="/pictures/{car.slug}.png" alt="{escape(car.name)}">'
    figures = "\n".join(
        [
            _figure("Year", "year", car.year, ""),
            f'<dt>Origin</dt><dd itemprop="origin">{escape(car.origin)}</dd>',
            _figure("Economy", "miles_per_gallon", car.miles_per_gallon, "miles per gallon"),
            _figure("Cylinders", "cylinders", car.cylinders, ""),
            _figure("Displacement", "displacement", car.displacement, "cubic inches"),
            _figure("Power", "horsepower", car.horsepower, "hp"),
            _figure("Weight", "weight", car.weight, "lbs"),
            _figure("0 to 60 mph", "acceleration", car.acceleration, "seconds"),
        ]
    )
    return _page(car.name, f'{picture}\n<dl>\n{figures}\n</dl>\n<p><a href="/">All cars</a></p>')


def _link(car: Car) -> str:
    return f'<li class="car"><a href="/cars/{car.slug}">{escape(car.name)}</a></li>'


def _page(title: str, body: str) -> str:
    return _PAGE.format(title=escape(title), body=f"<h1>{escape(title)}</h1>\n{body}")


def _neighbours(number: int, last: int) -> str:
    previous = f'<a rel="prev" href="/?page={number - 1}">Previous</a>' if number > 1 else ""
    following = f'<a rel="next" href="/?page={number + 1}">Next</a>' if number < last else ""
    return f"<p>{previous} {following}</p>"


def _figure(label: str, name: str, value: float | None, unit: str) -> str:
    if value is None:
        return f"<dt>{label}</dt><dd>unknown</dd>"
    text = f"{value} {unit}".strip()
    return f'<dt>{label}</dt><dd><data itemprop="{name}" value="{value}">{text}</data></dd>'
