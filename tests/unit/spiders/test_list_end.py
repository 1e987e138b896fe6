"""When a list ends, goes on, begins again or is not finished: a ListSpider over sites that are functions."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from scrapy import Request
from scrapy.http import TextResponse

from scrapy_t8.spiders import ListSpider
from scrapy_t8.spiders.list import MAX_WALKS

Answer = dict[str, Any]
Site = Callable[[int, str], Answer]
"""What the site answers to a page number and a cursor: entries, next, total, status."""


class Points:
    """Stands for ``self.t8``."""

    def __init__(self) -> None:
        self.metadata: dict[str, Any] = {}
        self.given_up: list[str] = []
        self.forgotten = 0
        self.begun_again = 0
        self.high = 0

    def knows(self, task_type: str, name: str) -> bool:
        return False

    was_given = knows

    def resume_point(self, task_type: str, name: str) -> None:
        return None

    def handed_over(self, task_type: str, name: str) -> tuple[int, dict[str, Any]]:
        return self.high, {}

    def begin_again(self, task_type: str, name: str) -> None:
        self.begun_again += 1

    def describe(self, task_type: str, name: str, metadata: dict[str, Any]) -> None:
        self.metadata.update(metadata)

    def at(self, request: Request, task_type: str, name: str, *, position: int, page: int) -> Request:
        request.meta.update(at=position, generation=self.begun_again)
        self.high = max(self.high, position)
        return request

    def tell(self, request: Request, **value: Any) -> None:
        pass

    def is_outdated(self, request: Request) -> bool:
        return int(request.meta.get("generation", self.begun_again)) < self.begun_again

    def forget(self, request: Request) -> None:
        self.forgotten += 1

    def expect_total(self, total: int, source: str) -> None:
        pass

    def give_up(self, reason: str, status: int | None = None) -> None:
        self.given_up.append(reason)


class Numbers(ListSpider):
    name = "numbers"
    list_url = "http://site/?page={page}"

    def __init__(self) -> None:
        super().__init__()
        self.points = Points()

    @property
    def t8(self) -> Any:
        return self.points

    def parse_list(self, response: Any) -> Any:
        yield from ({"id": entry} for entry in response.json()["entries"])

    def total(self, response: Any) -> int | None:
        total: int | None = response.json().get("total")
        return total


class Cursors(Numbers):
    name = "cursors"
    list_url = "http://site/?cursor={cursor}"

    def next_cursor(self, response: Any) -> Any:
        return response.json().get("next")


class Crawl:
    """A crawl of one list, which can be interrupted."""

    def __init__(self, kind: type[Numbers], site: Site) -> None:
        self.kind, self.site = kind, site
        self.spider = kind()
        self.items: Counter[Any] = Counter()
        self.asked: list[int] = []
        self.frontier = list(self.spider._beginning(""))

    def run(self, pages: int = 1000) -> Crawl:
        """Crawl so many pages, or to the end."""
        for _ in range(pages):
            if not self.frontier:
                return self
            self._fetch(self.frontier.pop(0))
        return self

    def begin_next_run(self) -> Crawl:
        """Go on in another process, with what is in the frontier."""
        before, self.spider = self.spider.points, self.kind()
        self.spider.points.high, self.spider.points.begun_again = before.high, before.begun_again
        self.frontier = [request.replace(callback=self.spider._parse_page) for request in self.frontier]
        return self

    def retried(self) -> Crawl:
        """Let the request in the frontier have failed before."""
        self.frontier[0].meta["retry_times"] = 2
        return self

    def _fetch(self, request: Request) -> None:
        state: dict[str, Any] = request.cb_kwargs
        self.asked.append(state["t8_page"])
        answer = self.site(state["t8_page"], state["t8_cursor"] or "")
        body = json.dumps({"entries": [], **answer})
        response = TextResponse(request.url, answer.get("status", 200), body=body.encode(), request=request)

        async def parse() -> None:
            async for output in self.spider._parse_page(response, **state):
                if isinstance(output, Request):
                    self.frontier.append(output)
                else:
                    self.items[output["id"]] += 1

        asyncio.run(parse())


def entries(*pages: int) -> Counter[str]:
    return Counter(f"{page}.{number}" for page in pages for number in range(3))


def of_page(page: int) -> list[str]:
    return [f"{page}.{number}" for number in range(3)]


def by_cursor(last: int, **special: Answer) -> Site:
    """Pages 1 to *last*, each with the next page as its cursor; *special* ones are otherwise, as in ``p3={...}``."""

    def site(page: int, cursor: str) -> Answer:
        number = int(cursor or 1)
        normal = {"entries": of_page(number), "next": str(number + 1) if number < last else None}
        return {**normal, **special.get(f"p{number}", {})}

    return site


@pytest.mark.parametrize("nothing", [[], ["1.0", "1.1", "1.2"]], ids=["empty", "the first page once more"])
def test_a_page_with_nothing_new_ends_no_list_that_has_a_cursor(nothing: list[str]) -> None:
    crawl = Crawl(Cursors, by_cursor(6, p2={"entries": nothing}, p4={"entries": nothing})).run()
    assert crawl.asked == [1, 2, 3, 4, 5, 6]
    assert crawl.items == entries(1, 3, 5, 6)
    assert crawl.spider.points.metadata["ended"] == "page 6 is the last"
    assert not crawl.spider.points.given_up


@pytest.mark.parametrize("kind", [Numbers, Cursors])
def test_an_empty_page_with_nothing_behind_it_ends_the_list(kind: type[Numbers]) -> None:
    site = by_cursor(9, p4={"entries": [], "next": None})
    crawl = Crawl(kind, site if kind is Cursors else lambda page, cursor: site(0, str(page))).run()
    assert crawl.items == entries(1, 2, 3)
    assert crawl.spider.points.metadata["ended"] == "page 4 is empty"


def test_a_total_says_that_a_list_by_numbers_goes_on() -> None:
    def site(page: int, cursor: str) -> Answer:
        return {"entries": [] if page in (3, 4) or page > 7 else of_page(page), "total": 21}

    crawl = Crawl(Numbers, site).run()
    assert crawl.items == entries(1, 2, 5, 6, 7)
    assert crawl.asked == list(range(1, 9))


@pytest.mark.parametrize(("leads_to", "why"), [("5", "page 5 leads to itself"), ("3", "page 5 leads to page 3")])
def test_a_cursor_that_leads_back_ends_the_list_by_name(leads_to: str, why: str) -> None:
    crawl = Crawl(Cursors, by_cursor(9, p5={"next": leads_to})).run()
    assert crawl.items == entries(1, 2, 3, 4, 5)
    assert crawl.asked == [1, 2, 3, 4, 5]
    assert crawl.spider.points.metadata["ended"].startswith(why)


def test_the_same_cursor_for_another_page_does_not_lead_back() -> None:
    """A session token, say, beside a page number."""

    class Tokens(Cursors):
        list_url = "http://site/?page={page}&token={cursor}"

    def site(page: int, cursor: str) -> Answer:
        return {"entries": of_page(page), "next": "token" if page < 6 else None}

    assert Crawl(Tokens, site).run().items == entries(*range(1, 7))


def test_endless_pages_with_nothing_new_come_to_an_end_that_is_no_end_of_the_list() -> None:
    crawl = Crawl(Cursors, lambda page, cursor: {"entries": of_page(min(page, 2)), "next": f"nonce-{page}"}).run()
    assert crawl.items == entries(1, 2)
    assert len(crawl.asked) == 2 + 1 + crawl.spider.max_empty_pages
    (reason,) = crawl.spider.points.given_up
    assert "the list goes on after 101 pages without anything new" in reason


@pytest.mark.parametrize("length", [2, 3, 7])
def test_a_list_that_repeats_itself_with_new_cursors_ends_after_a_round(length: int) -> None:
    def site(page: int, cursor: str) -> Answer:
        return {"entries": of_page((page - 1) % length + 1), "next": f"nonce-{page}"}

    crawl = Crawl(Cursors, site).run()
    assert crawl.items == entries(*range(1, length + 1))
    assert len(crawl.asked) == length + max(length, 4)
    assert crawl.spider.points.metadata["ended"].startswith(f"page {length + 1} has the content of page 1, and so on")
    assert not crawl.spider.points.given_up


@pytest.mark.parametrize("status", [400, 404, 410])
@pytest.mark.parametrize("way", ["begin_next_run", "retried"])
def test_a_cursor_that_has_expired_is_walked_to_again(status: int, way: str) -> None:
    """The cursors of a session, after page 4: the new session has others. No item is taken twice."""
    session = ["a"]

    def site(page: int, cursor: str) -> Answer:
        mine, _, number = cursor.partition("-")
        if cursor and mine != session[0]:
            return {"status": status}
        here = int(number or 1)
        return {"entries": of_page(here), "next": f"{session[0]}-{here + 1}" if here < 7 else None}

    crawl = Crawl(Cursors, site).run(pages=4)
    session[0] = "b"
    getattr(crawl, way)().run()
    assert crawl.items == entries(*range(1, 8))
    assert crawl.asked == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5, 6, 7]
    assert crawl.spider.points.forgotten == 1, "page 5 is not passed before it is fetched"
    assert not crawl.spider.points.given_up


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("is_killed_again", [True, False])
def test_a_page_that_is_replayed_is_walked_to_but_not_beyond(is_first: bool, is_killed_again: bool) -> None:
    """A kill came after page 5 was stored and before page 4 was settled. Both come back as page 1."""
    session = ["a"]

    def site(page: int, cursor: str) -> Answer:
        mine, _, number = cursor.partition("-")
        here = int(number) if mine == session[0] else 1
        return {"entries": of_page(here), "next": f"{session[0]}-{here + 1}" if here < 7 else None}

    crawl = Crawl(Cursors, site).run(pages=3)
    [page_4], committed = crawl.frontier, crawl.items.copy()
    crawl.run(pages=1)
    crawl.items = committed
    crawl.frontier.insert(0 if is_first else 1, page_4)
    session[0] = "b"
    crawl.begin_next_run().run(pages=1 if is_killed_again else 2)
    if is_killed_again:
        crawl.begin_next_run()
    crawl.run()
    assert crawl.items == entries(*range(1, 8))
    assert not crawl.spider.points.given_up


@pytest.mark.parametrize("is_first", [True, False])
@pytest.mark.parametrize("is_killed_again", [True, False])
def test_a_list_begins_again_once(is_first: bool, is_killed_again: bool) -> None:
    """A job resumed at page 4 is killed after page 5 was stored and before page 4 settled; then both are refused."""
    kind = "old"

    def site(page: int, cursor: str) -> Answer:
        mine, _, number = cursor.partition("-")
        if cursor and mine != kind:
            return {"status": 404}
        here = int(number or 1)
        return {"entries": of_page(here), "next": f"{kind}-{here + 1}" if here < 7 else None}

    crawl = Crawl(Cursors, site)
    crawl.frontier = [page_4 := crawl.spider._first_request("", 4, "old-4")]
    crawl.run(pages=1)
    crawl.items.clear()
    crawl.frontier.insert(0 if is_first else 1, page_4)
    kind = "new"
    crawl.begin_next_run().run(pages=1 if is_killed_again else 2)
    if is_killed_again:
        crawl.begin_next_run()
    crawl.run()
    assert crawl.items == entries(*range(1, 8))


def test_a_walk_can_be_interrupted_and_expire_again() -> None:
    session = ["a"]

    def site(page: int, cursor: str) -> Answer:
        mine, _, number = cursor.partition("-")
        here = int(number) if mine == session[0] else 1  # an expired session is answered with the first page
        return {"entries": of_page(here), "next": f"{session[0]}-{here + 1}" if here < 7 else None}

    crawl = Crawl(Cursors, site).run(pages=5)
    for name, pages in (("b", 3), ("c", 2), ("d", 1000)):
        session[0] = name
        crawl.begin_next_run().run(pages)
    assert crawl.items == entries(*range(1, 8))


def test_a_page_that_is_refused_again_and_again_is_given_up() -> None:
    site = by_cursor(9, p4={"status": 400})
    crawl = Crawl(Cursors, site).run(pages=3)
    for _ in range(10):
        crawl.begin_next_run()
        while crawl.frontier and crawl.frontier[0].cb_kwargs["t8_page"] != 4:
            crawl.run(pages=1)
        if crawl.frontier:
            crawl.retried().run(pages=1)
    assert not crawl.frontier
    assert crawl.items == entries(1, 2, 3)
    assert crawl.asked.count(4) == MAX_WALKS + 1


def test_a_fresh_cursor_that_is_refused_is_no_end_of_the_list() -> None:
    crawl = Crawl(Cursors, by_cursor(9, p4={"status": 404})).run()
    assert crawl.items == entries(1, 2, 3)
    (reason,) = crawl.spider.points.given_up
    assert reason == "The list is not finished: page 4 is refused with status 404"


@pytest.mark.parametrize("odd", [{"entries": []}, {"entries": of_page(1)}], ids=["empty", "page 1 again"])
def test_an_odd_page_right_after_a_resume_is_looked_at_again_from_the_beginning(odd: Answer) -> None:
    is_odd = [True]

    def site(page: int, cursor: str) -> Answer:
        if page == 4 and is_odd[0]:
            is_odd[0] = False
            return odd
        return {"entries": of_page(page) if page < 7 else []}

    crawl = Crawl(Numbers, site).run(pages=3).begin_next_run().run()
    assert crawl.items == entries(*range(1, 7))
    assert crawl.asked == [1, 2, 3, 4, *range(1, 8)]


def test_requests_of_pages_that_are_walked_again_are_left_to_the_duplicate_filter() -> None:
    class Details(Cursors):
        def parse_list(self, response: Any) -> Any:
            for entry in response.json()["entries"]:
                yield Request(f"http://site/{entry}", self.parse, dont_filter=entry.endswith("2"))

    spider = Details()
    walked = {"t8_list": "", "t8_page": 2, "t8_cursor": "2", "t8_state": {"until": 3, "known": [], "walks": 1}}
    body = json.dumps({"entries": of_page(2), "next": "3"}).encode()
    response = TextResponse("http://site/?cursor=2", body=body, request=Request("http://site/?cursor=2"))

    async def urls() -> list[str]:
        return [output.url async for output in spider._parse_page(response, **walked)]

    assert asyncio.run(urls()) == ["http://site/2.0", "http://site/2.1", "http://site/?cursor=3"]


@pytest.mark.parametrize("odd", [{"entries": of_page(1)}], ids=["page 1 again"])
def test_a_known_last_page_says_that_there_is_more(odd: Answer) -> None:
    class Known(Numbers):
        last_page = 5

    crawl = Crawl(Known, lambda page, cursor: odd if page == 4 else {"entries": of_page(page)}).run()
    assert crawl.items == entries(1, 2, 3, 5)
    (reason,) = crawl.spider.points.given_up
    assert "page 4 of 5 has the content of" in reason
