"""The routes of the catalogue: list, detail, picture, and a JSON API with a cursor."""

from collections.abc import Sequence
from dataclasses import asdict

from aiohttp import web
from aiohttp.typedefs import Middleware

from .data import Car
from .pages import detail_page, list_page
from .picture import draw

CARS_A_PAGE = 20
MOST_CARS_AN_ANSWER = 100


def build_app(cars: Sequence[Car], middlewares: Sequence[Middleware] = ()) -> web.Application:
    """The site for these cars; the first middleware is the outermost."""
    app = web.Application(middlewares=middlewares)
    app.add_routes(_Catalogue(cars).routes())
    return app


class _Catalogue:
    def __init__(self, cars: Sequence[Car]) -> None:
        self._cars = cars
        self._index = {car.slug: index for index, car in enumerate(cars)}

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/", self._list),
            web.get("/cars/{slug}", self._detail),
            web.get("/pictures/{slug}.png", self._picture),
            web.get("/api/cars", self._api),
        ]

    async def _list(self, request: web.Request) -> web.Response:
        number = _whole(request, "page", default=1)
        last = -(-len(self._cars) // CARS_A_PAGE)
        if not 1 <= number <= last:
            raise web.HTTPNotFound(text=f"there is no page {number}, the last is {last}")
        cars = self._cars[(number - 1) * CARS_A_PAGE : number * CARS_A_PAGE]
        return web.Response(text=list_page(cars, number, last), content_type="text/html")

    async def _detail(self, request: web.Request) -> web.Response:
        return web.Response(text=detail_page(self._car(request)), content_type="text/html")

    async def _picture(self, request: web.Request) -> web.Response:
        return web.Response(body=draw(self._car(request)), content_type="image/png")

    async def _api(self, request: web.Request) -> web.Response:
        limit = _whole(request, "limit", default=CARS_A_PAGE)
        if not 1 <= limit <= MOST_CARS_AN_ANSWER:
            raise web.HTTPBadRequest(text=f"limit must be from 1 to {MOST_CARS_AN_ANSWER}, not {limit}")
        start = self._after(request.query.get("cursor", ""))
        cars = self._cars[start : start + limit]
        more = start + limit < len(self._cars)
        return web.json_response(
            {"cars": [asdict(car) for car in cars], "next_cursor": cars[-1].slug if more else None}
        )

    def _car(self, request: web.Request) -> Car:
        try:
            return self._cars[self._index[request.match_info["slug"]]]
        except KeyError:
            raise web.HTTPNotFound(text="there is no such car") from None

    def _after(self, cursor: str) -> int:
        # A cursor is the slug of the last car given: it stays right if cars are added before it.
        if not cursor:
            return 0
        try:
            return self._index[cursor] + 1
        except KeyError:
            raise web.HTTPBadRequest(text=f"no answer ever gave the cursor {cursor!r}") from None


def _whole(request: web.Request, name: str, *, default: int) -> int:
    text = request.query.get(name, str(default))
    try:
        return int(text)
    except ValueError:
        raise web.HTTPBadRequest(text=f"{name} must be a whole number, not {text!r}") from None
