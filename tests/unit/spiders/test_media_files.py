"""The files of an item: URLs as pages have them, and the fields of Scrapy's pipelines."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from scrapy import Request, Spider
from scrapy.crawler import Crawler
from scrapy.exceptions import NotConfigured
from scrapy.http import HtmlResponse
from scrapy.pipelines.files import FilesPipeline
from scrapy.pipelines.images import ImagesPipeline
from scrapy.utils.test import get_crawler

from scrapy_t8.errors import ConfigError
from scrapy_t8.spiders.media import MediaSpider
from scrapy_t8.spiders.media_files import ItemFiles, file_urls

PAGE = HtmlResponse("https://shop.example/cars/1", body=b"")


@pytest.mark.parametrize(
    ("entry", "url"),
    [
        ("https://cdn.example/a.png", "https://cdn.example/a.png"),
        ("/a.png", "https://shop.example/a.png"),
        ("a.png", "https://shop.example/cars/a.png"),
        ("../a.png", "https://shop.example/a.png"),
        ("?size=big", "https://shop.example/cars/1?size=big"),
        ("//cdn.example/a.png", "https://cdn.example/a.png"),
        ("  /a.png\n", "https://shop.example/a.png"),
        ("ftp://files.example/a.png", "ftp://files.example/a.png"),
        ("", None),
        ("  ", None),
        ("#", None),
        (None, None),
        (7, None),
        ("data:image/gif;base64,R0lGOD", None),
        ("blob:https://shop.example/1", None),
        ("javascript:void(0)", None),
        ("about:blank", None),
        ("file:///etc/passwd", None),
        ("http://[broken/a.png", None),
    ],
)
def test_entries(entry: Any, url: str | None) -> None:
    assert file_urls([entry], PAGE) == (([url], []) if url else ([], [entry]))


def test_the_base_of_the_page_counts_and_each_url_is_asked_for_once() -> None:
    page = HtmlResponse("https://shop.example/cars/1", body=b'<base href="https://cdn.example/x/">', encoding="utf-8")
    assert file_urls(["a.png", "/x/a.png", "b.png"], page)[0] == [
        "https://cdn.example/x/a.png",
        "https://cdn.example/x/b.png",
    ]


class OwnFiles(FilesPipeline):
    """Asks in the ways that Scrapy allows."""

    def get_media_requests(self, item: Any, info: Any) -> Any:
        if item.get("one"):
            return Request(item["one"], headers={"Referer": "https://shop.example/"}, meta={"sku": 1}, errback=print)
        return None


@dataclass
class Car:
    file_urls: Any = None
    files: list[Any] = field(default_factory=list)


def files_of(
    tmp_path: Path, pipeline: Any = FilesPipeline, urls: str = "", results: str = "", **settings: Any
) -> ItemFiles:
    stores = {"FILES_STORE": str(tmp_path), "IMAGES_STORE": str(tmp_path)}
    crawler: Crawler = get_crawler(Spider, {**stores, **settings})
    crawler.spider = Spider(name="any")
    return ItemFiles(crawler, pipeline, urls_field=urls, results_field=results)


@pytest.mark.parametrize(
    ("options", "item", "field_of_urls", "field_of_results"),
    [
        ({}, {"file_urls": ["/a"]}, "file_urls", "files"),
        ({}, {"image_urls": ["/a"]}, "image_urls", "images"),
        ({}, {"file_urls": "/a"}, "file_urls", "files"),
        ({"pipeline": ImagesPipeline}, {"image_urls": ("/a",)}, "image_urls", "images"),
        ({"pipeline": ImagesPipeline}, {"file_urls": ["/a"]}, "file_urls", "files"),
        ({"FILES_URLS_FIELD": "pdfs", "FILES_RESULT_FIELD": "docs"}, {"pdfs": ["/a"]}, "pdfs", "docs"),
        ({"urls": "photos", "results": "stored"}, {"photos": ["/a"], "file_urls": ["/b"]}, "photos", "stored"),
        ({"urls": "photos"}, {"photos": ["/a"]}, "photos", "files"),
    ],
)
def test_fields(tmp_path: Path, options: Any, item: Any, field_of_urls: str, field_of_results: str) -> None:
    files = files_of(tmp_path, **options)
    assert [request.url for request in files.requests(item, PAGE)] == ["https://shop.example/a"]
    assert item[field_of_urls] == ["https://shop.example/a"]
    files.set_results(item, [1])
    assert item[field_of_results] == [1]


def test_what_is_no_url_is_left_out_and_counted(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    files = files_of(tmp_path)
    for _ in range(3):
        item = Car(file_urls=["data:image/gif;base64,R0lGOD", "", "/a"])
        assert [request.url for request in files.requests(item, PAGE)] == ["https://shop.example/a"]
        assert item.file_urls == ["https://shop.example/a"]
    assert files._stats is not None
    assert files._stats.get_value("t8/media/skipped") == 6
    assert caplog.text.count("that are no URLs of files, such as 'data:image/gif") == 1


@pytest.mark.parametrize("item", [{}, {"file_urls": []}, {"file_urls": None}, {"file_urls": ""}, Car()])
def test_items_without_files(tmp_path: Path, item: Any) -> None:
    assert files_of(tmp_path).requests(item, PAGE) == []


def test_requests_of_an_own_pipeline(tmp_path: Path) -> None:
    files = files_of(tmp_path, OwnFiles)
    (request,) = files.requests({"one": "https://shop.example/a"}, PAGE)
    assert (request.headers["Referer"], request.meta, request.errback) == (b"https://shop.example/", {"sku": 1}, None)
    assert files.requests({}, PAGE) == []


def test_a_missing_library_for_pictures_is_named_with_the_extra() -> None:
    class Pictures(MediaSpider):
        name = "pictures"

        @property
        def _files(self) -> Any:
            raise NotConfigured("ImagesPipeline requires installing Pillow 8.3.2 or later")

    with pytest.raises(ConfigError, match=r'requires installing Pillow.*: pip install "scrapy-t8\[images\]"'):
        asyncio.run(anext(Pictures().start()))
