"""How to read a page of the catalogue."""

from scrapy.http import Response

from .items import CarItem


def car_of(response: Response) -> CarItem:
    """The car of a detail page."""
    return CarItem(
        slug=response.url.rpartition("/")[2],
        url=response.url,
        picture=response.urljoin(response.css("img::attr(src)").get("")),
        name=response.css("h1::text").get(""),
        year=int(_figure(response, "year")),
        origin=response.css("[itemprop=origin]::text").get(""),
        miles_per_gallon=_figure_or_none(response, "miles_per_gallon"),
        cylinders=int(_figure(response, "cylinders")),
        displacement=_figure(response, "displacement"),
        horsepower=_whole_or_none(_figure_or_none(response, "horsepower")),
        weight=int(_figure(response, "weight")),
        acceleration=_figure(response, "acceleration"),
    )


def _figure(response: Response, name: str) -> float:
    figure = _figure_or_none(response, name)
    if figure is None:
        raise ValueError(f"{response.url} does not say its {name}")
    return figure


def _figure_or_none(response: Response, name: str) -> float | None:
    text = response.css(f"data[itemprop={name}]::attr(value)").get()
    return None if text is None else float(text)


def _whole_or_none(figure: float | None) -> int | None:
    return None if figure is None else int(figure)
