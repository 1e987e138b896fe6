"""One spider of each kind."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scrapy import Request, Spider
from scrapy.pipelines.files import FilesPipeline

from scrapy_t8.pipelines.media import T8FilesPipeline
from scrapy_t8.spiders import DetailSpider, ListSpider, MediaSpider, T8SpiderMixin
from tests.support.probe import SITE

PAGES = 20
"""Of each list of the site."""


class Cars:
    """What the spiders do with a car."""

    site = SITE

    def car(self, response: Any) -> Iterator[Any]:
        yield {"slug": response.url.rpartition("/")[2]}


class Pages(Cars, ListSpider):
    """Numbered pages, until one is empty."""

    name = "pages"
    lists = {"red": {"tag": "red"}, "blue": {"tag": "blue"}}  # noqa: RUF012

    def __init__(self, last: str = "", tags: str = "red,blue", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.last_page = int(last) if last else None
        self.lists = {tag: {"tag": tag} for tag in tags.split(",") if tag}
        # The seventh page fails for a while.
        self.list_url = f"{self.site}/list/{{tag}}?page={{page}}"

    def list_request(self, page: int, cursor: str | None, **metadata: Any) -> Any:
        request = super().list_request(page, cursor, **metadata)
        return request.replace(url=request.url + "&bad=3") if page == 7 else request

    def parse_list(self, response: Any) -> Iterator[Any]:
        for href in response.css("a.car::attr(href)").getall():
            yield response.follow(href, self.car)


class Known(Pages):
    """Numbered pages. The first page says how many there are."""

    name = "known"

    def find_last_page(self, response: Any) -> int | None:
        return int(response.css("b.last::text").get())


class Cursors(Pages):
    """An API with cursors."""

    name = "cursors"

    def __init__(self, cursor: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.bad_cursor = cursor
        self.list_url = f"{self.site}/api/{{tag}}?after={{cursor}}"

    def list_request(self, page: int, cursor: str | None, **metadata: Any) -> Any:
        return ListSpider.list_request(self, page, cursor, **metadata)

    def parse_list(self, response: Any) -> Iterator[Any]:
        for slug in response.json()["cars"]:
            yield response.follow(f"{SITE}/car/{slug}", self.car)

    def next_cursor(self, response: Any) -> Any:
        return {"not": "a cursor"} if self.bad_cursor else response.json()["next"]


class Slugs(Cars, DetailSpider):
    """The slugs of a file."""

    name = "slugs"

    def __init__(self, file: str = "slugs.txt", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.slug_file = file
        self.detail_url = f"{self.site}/car/{{slug}}"

    def detail_request(self, slug: str) -> Any:
        request = super().detail_request(slug)
        return request.replace(url=request.url + "?bad=3") if slug.endswith("-bad") else request

    def parse_detail(self, response: Any, slug: str) -> Iterator[Any]:
        yield {"slug": slug}


class Listed(Slugs):
    """The slugs of a list."""

    name = "listed"

    def __init__(self, given: str = "", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.slug_file = None
        self.slugs = given.split(",") if given else []


class Queried(Listed):
    """The slugs of a query."""

    name = "queried"

    def iter_slugs(self, after: str | None) -> Iterator[str]:
        yield from sorted(slug for slug in self.slugs if after is None or slug > after)


class Pictures(Slugs, MediaSpider):
    """The slugs of a file, with pictures."""

    name = "pictures"
    media_pipeline = "scrapy.pipelines.images.ImagesPipeline"

    def parse_detail(self, response: Any, slug: str) -> Iterator[Any]:
        urls = [response.urljoin(src) for src in response.css("img::attr(src)").getall()]
        yield {"slug": slug, "image_urls": urls}


class Photos(Slugs, MediaSpider):
    """Each with two files: one that is down for a while, and one with a relative URL. One entry is no URL."""

    name = "photos"

    def parse_detail(self, response: Any, slug: str) -> Iterator[Any]:
        yield {"slug": slug, "file_urls": [f"/{SITE.rpartition('/')[2]}/down/{slug}.txt", "", f"../p/{slug}.txt"]}


class Naming(FilesPipeline):
    """Asks for one file with a header and a meta of its own, by which the file is named."""

    def get_media_requests(self, item: Any, info: Any) -> Any:
        return Request(f"{SITE}/down/{item['slug']}", headers={"Referer": "here"}, meta={"sku": f"sku-{item['slug']}"})

    def file_path(self, request: Any, response: Any = None, info: Any = None, *, item: Any = None) -> str:
        return f"{request.headers['Referer'].decode()}/{request.meta['sku']}/{item['slug']}.txt"

    def item_completed(self, results: Any, item: Any, info: Any) -> Any:
        return item


class NamingAgain(Naming, T8FilesPipeline):
    """The same, with retries."""


class Named(Slugs, MediaSpider):
    """Files that an own pipeline asks for."""

    name = "named"
    media_pipeline = Naming


class Plain(Slugs):
    """The same for a pipeline."""

    name = "plain"
    parse_detail = Pictures.parse_detail


class Mixed(T8SpiderMixin, Spider):
    """All pages at once, in a spider of its own making."""

    name = "mixed"

    async def start(self) -> Any:
        for page in range(1, PAGES + 1):
            yield Request(f"{SITE}/list/red?page={page}{'&bad=3' if page == 7 else ''}", meta={"number": page})

    def parse(self, response: Any) -> Iterator[Any]:
        hrefs = response.css("a.car::attr(href)").getall()
        self.t8.expect(*hrefs, source="list")
        yield from response.follow_all(hrefs, self.parse_car)
        self.t8.save_point("LIST_COLLECTION", "red", current_page=response.meta["number"], metadata={"tag": "red"})

    def parse_car(self, response: Any) -> Iterator[Any]:
        yield {"slug": response.url.rpartition("/")[2]}


class Moving(Pages):
    """A list that changes while it is crawled. Its cars are items of its pages."""

    name = "moving"

    def total(self, response: Any) -> int | None:
        return int(response.css("b.total::text").get())

    def parse_list(self, response: Any) -> Iterator[Any]:
        for slug in response.css("a.car::text").getall():
            yield {"slug": slug}


class Linked(Pages):
    """Each page has a link to the next one."""

    name = "linked"

    def next_cursor(self, response: Any) -> Any:
        page = int(response.url.rpartition("page=")[2].partition("&")[0])
        return response.urljoin(f"?page={page + 1}") if page < PAGES else None

    def list_request(self, page: int, cursor: str | None, **metadata: Any) -> Any:
        return ListSpider.list_request(self, page, cursor, **metadata)
