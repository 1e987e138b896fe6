"""Objects of classes that a setting names are stored by their attributes; no other class is, and no code runs."""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest
from scrapy import Request

from scrapy_t8.errors import CannotLoad, CannotStore
from scrapy_t8.model.codec import Codec
from tests.support.item_classes import SampleSpider

HERE = f"{__name__}.Step"


class Step:
    made = 0

    def __init__(self, name: str, wait: Any = None) -> None:
        type(self).made += 1
        self.name = name
        self.wait = wait

    def __setattr__(self, name: str, value: Any) -> None:
        assert name != "forged"
        object.__setattr__(self, name, value)


class Slotted:
    __slots__ = ("name",)


class PageMethod:
    """The attributes of scrapy-playwright's class."""

    def __init__(self, method: Any, *args: Any, **kwargs: Any) -> None:
        self.method, self.args, self.kwargs, self._result = method, args, kwargs, None


def request(*values: Any) -> Request:
    return Request("http://a", meta={"steps": list(values)})


def test_no_code_of_the_class_runs() -> None:
    codec = Codec(SampleSpider(), classes=[HERE])
    payload = codec.encode_request(request(Step("a", (1, 2)), Step("b", Step("c"))))
    made = Step.made
    first, second = codec.decode_request(payload).meta["steps"]
    assert (vars(first), second.wait.name) == ({"name": "a", "wait": (1, 2)}, "c")
    assert Step.made == made


def test_page_methods(monkeypatch: pytest.MonkeyPatch) -> None:
    module: Any = ModuleType("scrapy_playwright.page")
    module.PageMethod = PageMethod
    monkeypatch.setitem(sys.modules, "scrapy_playwright.page", module)
    monkeypatch.setattr(PageMethod, "__module__", "scrapy_playwright.page")
    codec = Codec(SampleSpider())
    payload = codec.encode_request(request(PageMethod("wait_for_selector", "div.quote", timeout=500)))
    (found,) = codec.decode_request(payload).meta["steps"]
    assert type(found) is PageMethod
    wanted = {"method": "wait_for_selector", "args": ("div.quote",), "kwargs": {"timeout": 500}, "_result": None}
    assert vars(found) == wanted
    with pytest.raises(CannotStore):
        codec.encode_request(request(PageMethod(lambda page: None)))
    monkeypatch.delitem(sys.modules, "scrapy_playwright.page")
    with pytest.raises(CannotLoad, match="is not imported"):
        codec.decode_request(payload)


def test_classes_that_no_setting_names() -> None:
    with pytest.raises(CannotStore):
        Codec(SampleSpider()).encode_request(request(Step("a")))
    payload = Codec(SampleSpider(), classes=[HERE]).encode_request(request(Step("a")))
    with pytest.raises(CannotLoad, match="T8_STORED_CLASSES does not name"):
        Codec(SampleSpider()).decode_request(payload)


def test_objects_with_slots_are_not_stored() -> None:
    with pytest.raises(CannotStore):
        Codec(SampleSpider(), classes=[f"{__name__}.Slotted"]).encode_request(request(Slotted()))
