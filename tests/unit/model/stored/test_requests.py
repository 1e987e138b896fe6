"""A stored request is the request that was admitted: all of its attributes, its rule, and no value too deep to load."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import Any

import pytest
from scrapy import Request
from scrapy.http import FormRequest, JsonRequest
from scrapy.linkextractors import LinkExtractor
from scrapy.spiders import CrawlSpider, Rule

from scrapy_t8.errors import CannotLoad, CannotStore
from scrapy_t8.model.codec import DEEPEST, Codec
from tests.support.item_classes import SampleSpider

SMALL = 256 * 1024
"""Bytes of a small stack."""

codec = Codec(SampleSpider())


def there_and_back(request: Request) -> Any:
    back = codec.decode_request(codec.encode_request(request))
    assert type(back) is type(request)
    return back


# -- subclasses --------------------------------------------------------------------------------------------------------


class Rendered(Request):
    """Keeps attributes that the class does not list."""

    def __init__(self, *args: Any, wait: object = None, **kwargs: Any) -> None:
        self.wait = wait
        super().__init__(*args, **kwargs)


class OfArticle(Request):
    """Has a constructor of its own, which a method needs that Request calls."""

    __slots__ = ("__shop", "article")

    def __init__(self, article: int, shop: str) -> None:
        self.article = article
        self.__shop = shop
        super().__init__("http://a", meta={"article": article})

    def _set_url(self, url: str) -> None:
        super()._set_url(f"http://a/?article={self.article}")

    @property
    def shop(self) -> str:
        return self.__shop


class Counted(Request):
    """Does not come back: its URL is another one each time that an object is made."""

    count = 0

    def _set_url(self, url: str) -> None:
        Counted.count += 1
        super()._set_url(f"{url}?{Counted.count}")


class OfItsOwn(Request):
    """Has a method of its own for what is stored, which leaves something out."""

    note: str | None = None

    def to_dict(self, *, spider: Any = None) -> dict[str, Any]:
        return super().to_dict(spider=spider)


def test_attributes_of_a_subclass_come_back() -> None:
    for wait in (None, 7, ("a", {1}), {"until": b"x"}):
        assert there_and_back(Rendered("http://a", wait=wait)).wait == wait
    assert vars(there_and_back(Rendered("http://a")))["wait"] is None


def test_the_constructor_of_a_subclass_does_not_matter() -> None:
    back = there_and_back(OfArticle(5, "x"))
    assert (back.article, back.shop, back.url, back.meta) == (5, "x", "http://a/?article=5", {"article": 5})


def test_subclasses_of_scrapy() -> None:
    for request in (
        JsonRequest("http://a", data={"a": 1}, dumps_kwargs={"indent": 1}),
        FormRequest("http://a", formdata={"a": "b"}),
    ):
        back = there_and_back(request)
        assert (back.body, back.method, back.headers) == (request.body, request.method, request.headers)
    assert back.replace(url="http://b").url == "http://b"


def test_a_live_attribute_is_named() -> None:
    with pytest.raises(CannotStore) as caught:
        codec.encode_request(Rendered("http://a", wait=threading.Lock()))
    assert caught.value.where == "attributes['wait']"
    assert there_and_back(Rendered("http://a", wait=1)).wait == 1


@pytest.mark.parametrize("number", range(2))
def test_a_class_that_does_not_come_back_is_not_stored(number: int) -> None:
    with pytest.raises(CannotStore, match="Counted does not come back"):
        codec.encode_request(Counted("http://a"))


def test_a_class_with_a_stored_form_of_its_own() -> None:
    """It is looked at each time: what it leaves out may be there in one object and not in another."""
    there_and_back(OfItsOwn("http://a"))
    request = OfItsOwn("http://a")
    request.note = "kept nowhere"
    with pytest.raises(CannotStore, match="OfItsOwn does not come back"):
        codec.encode_request(request)
    there_and_back(OfItsOwn("http://a"))


# -- what middlewares put in later -------------------------------------------------------------------------------------


def test_what_has_no_stored_form_gives_way_to_what_was_admitted() -> None:
    request = Rendered("http://a", wait=1, meta={"item": {"a": 1}, "kept": 2, "taken": 3}, cb_kwargs={"k": [1]})
    admitted = codec.encode_request(request)
    request.meta.update(driver=threading.Lock(), retry_times=4)
    request.meta["item"]["lock"] = request.wait = threading.Lock()
    del request.meta["taken"]
    request.callback, request.priority, request.dont_filter = lambda response: None, -3, True
    back: Any = codec.decode_request(codec.encode_attempt(request, admitted))
    assert back.meta == {"item": {"a": 1}, "kept": 2, "retry_times": 4}
    assert (back.priority, back.dont_filter, back.callback, back.wait) == (-3, True, None, 1)
    assert back.cb_kwargs == {"k": [1]}


def test_without_the_admitted_form_nothing_is_stored() -> None:
    for admitted in (None, b"", b"garbage"):
        with pytest.raises(CannotStore):
            codec.encode_attempt(Request("http://a"), admitted)


# -- rules -------------------------------------------------------------------------------------------------------------

CAR = Rule(LinkExtractor(allow="/car/"), callback="car")
SHOP = Rule(LinkExtractor(allow="/shop/"), callback="shop", cb_kwargs={"kind": 1})
SHOP_AGAIN = Rule(LinkExtractor(allow="/store/"), callback="shop", cb_kwargs={"kind": 2})
NEXT = Rule(LinkExtractor(allow="/next/"))


def rule_codec(*rules_: Rule) -> Codec:
    class Spider(CrawlSpider):
        name = "rules"
        rules = rules_

    return Codec(Spider())


def link(codec: Codec, place: int) -> bytes:
    spider: Any = codec._spider
    return codec.encode_request(Request("http://a", spider._callback, meta={"rule": place, "link_text": "x"}))


@pytest.mark.parametrize(
    ("before", "place", "after", "found"),
    [
        ((CAR, SHOP), 1, (CAR, SHOP), 1),
        ((CAR, SHOP), 0, (NEXT, CAR, SHOP), 1),
        ((CAR, SHOP), 1, (SHOP,), 0),
        ((CAR, SHOP), 1, (SHOP_AGAIN, SHOP, CAR), 1),
        ((CAR, SHOP), 1, (CAR, SHOP_AGAIN), 1),
        ((CAR, CAR), 1, (CAR, CAR), 1),
        ((NEXT, CAR), 0, (CAR, NEXT), 1),
    ],
)
def test_a_stored_link_follows_its_rule(before: Any, place: int, after: Any, found: int) -> None:
    assert rule_codec(*after).decode_request(link(rule_codec(*before), place)).meta["rule"] == found


@pytest.mark.parametrize(("before", "after"), [((CAR, SHOP), (SHOP,)), ((NEXT,), (CAR,)), ((CAR,), ())])
def test_a_link_of_a_rule_that_is_gone_goes_nowhere(before: Any, after: Any) -> None:
    with pytest.raises(CannotLoad, match="has no rule") as caught:
        rule_codec(*after).decode_request(link(rule_codec(*before), 0))
    assert caught.value.kind == "callback"


# -- depth -------------------------------------------------------------------------------------------------------------


@dataclass
class Step:
    before: Any


NESTING: dict[str, Callable[[Any], Any]] = {
    "tuple": lambda value: ("http://a/page", value),
    "frozenset": lambda value: frozenset([value]),
    "item": Step,
    "request": lambda value: Request("http://a", meta={"before": value}),
    "dict of tuples": lambda value: {"before": ("http://a/page", value)},
}


def nested(wrap: Callable[[Any], Any], depth: int) -> Any:
    return reduce(lambda value, _: wrap(value), range(depth), "")


def on_a_small_stack(call: Callable[[], Any]) -> Any:
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(call())
        except CannotStore as error:
            found.append(error)

    size = threading.stack_size(SMALL)
    try:
        thread = threading.Thread(target=run)
        thread.start()
    finally:
        threading.stack_size(size)
    thread.join()
    return found[0]


@pytest.mark.parametrize("kind", NESTING)
def test_the_deepest_value_that_is_stored_can_be_loaded(kind: str) -> None:
    """Both ways have the same limit, and a small stack is enough. A stack that is too small ends the process."""
    value = nested(NESTING[kind], DEEPEST)
    payload = on_a_small_stack(lambda: codec.encode_request(Request("http://a", meta={"v": value})))
    back = on_a_small_stack(lambda: codec.decode_request(payload)).meta["v"]
    assert type(back) is type(value)
    deeper = Request("http://a", meta={"v": NESTING[kind](value)})
    refused = on_a_small_stack(lambda: codec.encode_request(deeper))
    assert isinstance(refused, CannotStore)
    assert "nested more than" in str(refused)
    assert on_a_small_stack(lambda: codec.encode_request(Request("http://a", meta={"v": value}))) == payload


def test_plain_lists_are_as_deep_as_msgpack_takes_them() -> None:
    value = nested(lambda inner: [inner], 400)
    payload = on_a_small_stack(lambda: codec.encode_item({"v": value}))
    assert on_a_small_stack(lambda: codec.decode_item(payload))["v"][0][0]
    with pytest.raises(CannotStore):
        codec.encode_item(nested(lambda inner: [inner], 2000))
