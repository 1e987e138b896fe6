"""Requests and items come back as they were, and a stored file cannot make anything run."""

from __future__ import annotations

import math
import pickle
from collections import OrderedDict
from datetime import date, datetime, time, timedelta, timezone
from decimal import Decimal
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any
from uuid import uuid4
from zoneinfo import ZoneInfo

import lxml.html
import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scrapy import FormRequest, Request, Selector
from scrapy.http import Headers, JsonRequest, XmlRpcRequest
from scrapy.http.request import NO_CALLBACK

from scrapy_t8.errors import CannotLoad, CannotStore
from scrapy_t8.model.codec import HEADER, ITEM, MSGPACK, Codec, crc32
from tests.support.item_classes import (
    AttrsItem,
    Colour,
    DataItem,
    ModelItem,
    PlainItem,
    Point,
    PostRequest,
    SampleSpider,
)

spider = SampleSpider()
codec = Codec(spider)

scalars = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text()
    | st.binary()
    | st.dates()
    | st.times()
    | st.timedeltas()
    | st.datetimes(timezones=st.none() | st.just(timezone.utc) | st.timezones())
    | st.decimals(allow_nan=False)
    | st.uuids()
)
hashable = st.text() | st.integers() | st.binary() | st.tuples(st.text(), st.integers())
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner)
        | st.lists(inner).map(tuple)
        | st.sets(hashable)
        | st.frozensets(hashable)
        | st.dictionaries(hashable, inner)
    ),
    max_leaves=20,
)


def there_and_back(request: Request) -> Request:
    return codec.decode_request(codec.encode_request(request))


@given(values)
def test_values_in_meta_come_back_with_their_types(value: Any) -> None:
    back = there_and_back(Request("http://a", meta={"v": value}, cb_kwargs={"k": value}))
    assert (back.meta["v"], type(back.meta["v"])) == (value, type(value))
    assert repr(back.cb_kwargs["k"]) == repr(value) or isinstance(value, (set, frozenset, datetime, tuple, list, dict))


@pytest.mark.parametrize(
    "value",
    [
        10**30,
        -(10**30),
        float("inf"),
        Decimal("1.200"),
        complex(1, 2),
        "\ud800 lone surrogate",
        datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=ZoneInfo("Europe/Berlin")),
        datetime(2024, 1, 1, tzinfo=timezone(timedelta(hours=5, minutes=30, seconds=7))),
        time(1, 2, 3, 4),
        date.max,
        OrderedDict(b=1, a=2),
        uuid4(),
        Colour.RED,
        HTTPStatus.NOT_FOUND,
        Point(1, {2}),
        Path("/a/b"),
        {1: {(1, 2): {b"x"}}},
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_that_other_codecs_change(value: Any) -> None:
    back = there_and_back(Request("http://a", meta={"v": value})).meta["v"]
    assert (back, type(back)) == (value, type(value))
    if isinstance(value, datetime):
        assert (back.fold, back.utcoffset(), back.tzinfo) == (value.fold, value.utcoffset(), value.tzinfo)


def test_the_text_of_a_link() -> None:
    """LinkExtractor gives a text type of lxml, and CrawlSpider puts it into meta."""
    text = lxml.html.fromstring("<p>text</p>").xpath("//p/text()")[0]
    back = there_and_back(Request("http://a", meta={"link_text": text})).meta["link_text"]
    assert (back, type(back)) == ("text", str)


def test_nan() -> None:
    assert math.isnan(there_and_back(Request("http://a", meta={"v": float("nan")})).meta["v"])


@pytest.mark.parametrize(
    "request_",
    [
        Request("http://a/?q=ä#f", callback=spider.detail, errback=spider.failed, priority=-7, dont_filter=True),
        Request("http://a", method="PUT", body=b"\xff\x00", encoding="latin-1", flags=["cached"]),
        Request("http://a", headers={"A": ["1", "2"], b"B": b"\xff"}, cookies=[{"name": "n", "value": "v"}]),
        Request("http://a", cookies={"n": "v"}, cb_kwargs={"item": {"a": 1}}, meta={"headers": Headers({"X": "y"})}),
        FormRequest("http://a", formdata={"a": "1"}),
        JsonRequest("http://a", data={"a": [1]}),
        XmlRpcRequest("http://a", methodname="m", params=(1,)),
        PostRequest("http://a", tag="t"),
        PostRequest("http://a", method="GET", priority=0),
        Request("http://a", callback=NO_CALLBACK),
    ],
    ids=str,
)
def test_requests(request_: Request) -> None:
    back = there_and_back(request_)
    assert type(back) is type(request_)
    for name in request_.attributes:
        assert getattr(back, name) == getattr(request_, name), name


def test_the_same_as_scrapys_own_dict() -> None:
    request = Request("http://a", callback=spider.detail, headers={"A": "b"}, meta={"depth": 2}, priority=3)
    assert there_and_back(request).to_dict(spider=spider) == request.to_dict(spider=spider)


def test_private_and_aliased_methods() -> None:
    assert there_and_back(Request("http://a", callback=spider.private())).callback == spider.private()
    assert there_and_back(Request("http://a", callback=spider.alias)).callback == spider.detail


def test_a_request_within_a_request() -> None:
    inner = Request("http://inner", callback=spider.detail, meta={"t": (1,)})
    back = there_and_back(Request("http://a", meta={"next": inner})).meta["next"]
    assert (back.url, back.callback, back.meta) == (inner.url, inner.callback, inner.meta)


@pytest.mark.parametrize(
    "item",
    [
        {"name": "n", "parts": (1,)},
        PlainItem(name="n", parts=[DataItem("inner")]),
        PlainItem(name="n"),
        DataItem("n", [AttrsItem("inner")]),
        AttrsItem("n", {Decimal(1)}),
        ModelItem(name="n", parts=[b"x"]),
    ],
    ids=lambda item: type(item).__name__,
)
def test_items_of_every_kind(item: Any) -> None:
    back = codec.decode_item(codec.encode_item(item))
    assert back == item
    assert type(back) is type(item)
    inside = there_and_back(Request("http://a", meta={"item": item})).meta["item"]
    assert inside == item
    assert type(inside) is type(item)


def test_an_item_is_rebuilt_without_running_its_checks() -> None:
    item = DataItem("n")
    item.name = "refused"
    assert codec.decode_item(codec.encode_item(item)).name == "refused"


class Local:
    """A live object."""


@pytest.mark.parametrize(
    ("request_", "where"),
    [
        (Request("http://a", callback=lambda response: None), "callback"),
        (Request("http://a", callback=partial(spider.detail)), "callback"),
        (Request("http://a", callback=SampleSpider().detail), "callback"),
        (Request("http://a", errback=lambda failure: None), "errback"),
        (Request("http://a", meta={"loader": Local()}), "meta['loader']"),
        (Request("http://a", cb_kwargs={"a": {"b": [1, Local()]}}), "cb_kwargs['a']['b'][1]"),
        (Request("http://a", meta={"s": Selector(text="<p>")}), "meta['s']"),
    ],
    ids=str,
)
def test_what_cannot_be_stored_is_named(request_: Request, where: str) -> None:
    with pytest.raises(CannotStore) as caught:
        codec.encode_request(request_)
    assert caught.value.where == where


def test_something_that_contains_itself() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(CannotStore):
        codec.encode_request(Request("http://a", meta={"loop": loop}))


def test_the_codec_works_on_after_a_failure() -> None:
    with pytest.raises(CannotStore):
        codec.encode_request(Request("http://a", meta={"a": 1, "x": [Local()]}))
    assert there_and_back(Request("http://b")).url == "http://b"


def test_a_renamed_callback_is_reported() -> None:
    payload = codec.encode_request(Request("http://a", callback=spider.detail))
    other = Codec(type("Other", (SampleSpider,), {"detail": None})())
    with pytest.raises(CannotLoad, match="'detail' is no longer") as caught:
        other.decode_request(payload)
    assert caught.value.kind == "callback"


def forged(fields: Any) -> bytes:
    body = msgpack.packb(fields)
    return HEADER.pack(MSGPACK, crc32(body)) + body


@pytest.mark.parametrize("name", ["os:system", "antigravity:fly", "this:d", "builtins:eval", "subprocess:Popen"])
def test_a_file_cannot_name_code_to_run(name: str) -> None:
    import sys

    with pytest.raises(CannotLoad):
        codec.decode_request(forged({"url": "http://a", "_class": name}))
    with pytest.raises(CannotLoad):
        codec.decode_item(forged(msgpack.ExtType(ITEM, msgpack.packb([name, {}]))))
    assert "antigravity" not in sys.modules


def test_pickle_only_where_it_was_allowed() -> None:
    request = Request("http://a", meta={"x": range(3)})
    with pytest.raises(CannotStore):
        codec.encode_request(request)
    allowed = Codec(spider, allow_pickle=True)
    payload = allowed.encode_request(request)
    assert allowed.decode_request(payload).meta["x"] == range(3)
    with pytest.raises(CannotLoad, match="T8_ALLOW_PICKLE is off"):
        codec.decode_request(payload)
    assert allowed.encode_request(Request("http://a"))[0] == MSGPACK


def test_not_even_pickle() -> None:
    with pytest.raises(CannotStore) as caught:
        Codec(spider, allow_pickle=True).encode_request(Request("http://a", meta={"f": lambda: 0}))
    assert caught.value.where == "meta['f']"
    assert pickle


@given(st.binary(max_size=60))
def test_garbage_is_refused(data: bytes) -> None:
    with pytest.raises(CannotLoad):
        codec.decode_request(data)


@given(st.integers(min_value=0), st.integers(min_value=1, max_value=255))
def test_one_changed_byte_is_noticed(position: int, change: int) -> None:
    payload = bytearray(codec.encode_request(Request("http://a/page", meta={"depth": 3})))
    payload[position % len(payload)] ^= change
    with pytest.raises(CannotLoad):
        codec.decode_request(bytes(payload))


def test_the_callback_of_a_stored_request() -> None:
    stored = codec.encode_request(Request("http://a/", spider.parse, meta={"item": Colour.RED}))
    assert Codec().callback_name(stored) == "parse"
    assert Codec().envelope(stored)[0] == "http://a/"
    assert Codec().callback_name(codec.encode_request(Request("http://a/"))) == ""
    for unreadable in (b"", b"\x01", stored[:-3], b"\x02" + stored[1:], codec.encode_item({"a": 1})):
        assert Codec().callback_name(unreadable) is None


# -- callbacks -------------------------------------------------------------------------------------------------------


class Base(SampleSpider):
    """A base of a project's own, below Scrapy's Spider."""

    def of_the_base(self, response: Any) -> None: ...


class Hostile(Base):
    """With attributes of every kind that a stored name might lead to."""

    tool = staticmethod(print)
    of_class = classmethod(print)
    a_class = dict
    aliased = Base.of_the_base

    def parse_one(self, response: Any) -> None: ...

    @property
    def computed(self) -> Any:
        raise AssertionError("it was called")

    def __private(self, response: Any) -> None: ...

    def bind(self) -> None:
        self.bound = self.parse_one
        self.foreign = [].append


CALLBACKS = ("parse", "parse_one", "of_the_base", "aliased", "bound", "_Hostile__private", "_parse")


@pytest.mark.parametrize("name", CALLBACKS)
def test_methods_that_the_project_defines_are_callbacks(name: str) -> None:
    hostile = Hostile()
    hostile.bind()
    method = getattr(hostile, name)
    own = Codec(hostile)
    assert own.decode_request(own.encode_request(Request("data:,x", callback=method))).callback == method
    assert own.decode_request(forged({"url": "data:,x", "errback": name})).errback == method


@pytest.mark.parametrize(
    "name",
    [
        *("__class__", "__init__", "__repr__", "tool", "of_class", "a_class", "computed", "foreign", "logger", "name"),
        *("close", "from_crawler", "start", "log", "update_settings", "_set_crawler", "handles_request", "no_such", ""),
    ],
)
def test_nothing_else_is_a_callback(name: str) -> None:
    hostile = Hostile()
    hostile.bind()
    with pytest.raises(CannotLoad, match="is no longer a method of the spider"):
        Codec(hostile).decode_request(forged({"url": "data:,x", "callback": name}))


def test_what_could_not_be_loaded_again_is_not_stored() -> None:
    hostile = Hostile()
    for callback in (hostile.start, hostile.close, hostile.tool, hostile.of_class):
        with pytest.raises(CannotStore, match="is not a method of the spider"):
            Codec(hostile).encode_request(Request("data:,x", callback=callback))
