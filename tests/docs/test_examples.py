"""The Python of the pages: all of it compiles, and the spiders and the collector run as printed."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from types import ModuleType
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from PIL import Image

from scrapy_t8 import T8ResumeAndRetry, read_report
from tests.support.process import environment, run

from .sessions import DOCS, blocks

SITE = "https://example.com"
ADDON = '-s ADDONS={"scrapy_t8.T8Addon":500}'


class Site(BaseHTTPRequestHandler):
    """Two lists with two pages each, their cars, another list, and orders behind a token."""

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if url.path.startswith("/pictures/"):
            self.answer("image/png", picture(url.path))
            return
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        text = "<p>"
        if "tag" in query and int(query["page"]) <= 2:
            text += "".join(
                f'<a class="car" href="/cars/{query["tag"]}-{query["page"]}-{number}">' for number in range(3)
            )
        elif "page" in query and url.path == "/":
            text += f'<b class="page">{query["page"]}</b><a class="item" href="/cars/{query["page"]}">'
            text += '<a class="next" href="/?page=2">' if query["page"] == "1" else ""
        elif url.path.startswith("/cars/"):
            text += f'<h1>{url.path}</h1><img src="/pictures/{url.path[-1]}.png">'
        elif url.path == "/token":
            text = '{"token": "t"}'
        elif self.headers["Authorization"] == "t":
            text = '{"orders": ["/orders/1", "/orders/2"]}'
        self.answer("text/html" if text.startswith("<") else "application/json", text.encode())

    def answer(self, content_type: str, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


def picture(path: str) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (20, 20), "red" if "a" in path else "blue").save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def block(page: str, words: str) -> str:
    """Return the one block of Python of a page that has these words."""
    [found] = [each.text for each in blocks(DOCS / page) if each.language == "python" and words in each.text]
    return found


@pytest.mark.parametrize("page", sorted(str(page.relative_to(DOCS)) for page in DOCS.glob("**/*.md")))
def test_all_python_compiles(page: str) -> None:
    for each in blocks(DOCS / page):
        if each.language == "python":
            compile(each.text, page, "exec")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("words", "names"),
    [
        (
            "class Cars(",
            [f"/cars/{tag}-{page}-{number}" for tag in ("new", "used") for page in (1, 2) for number in range(3)],
        ),
        ("class CarDetails(", ["/cars/a", "/cars/b"]),
        ("class Mine(", ["/cars/1", "/cars/2"]),
    ],
)
def test_a_spider_of_the_page_finds_everything(words: str, names: list[str], site: str, tmp_path: Path) -> None:
    (tmp_path / "slugs.txt").write_text("a\nb\n")
    (tmp_path / "spider.py").write_text(block("spiders.md", words).replace(SITE, site))
    arguments = [*"-m scrapy runspider spider.py -O items.jsonl -s JOBDIR=job".split(), *ADDON.split(" ", 1)]
    done = run(*arguments, cwd=tmp_path, env=environment())
    items = [json.loads(line)["name"] for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    assert sorted(items) == names, done.stderr
    assert read_report(tmp_path / "job")["verdict"] == "complete"


@pytest.mark.slow
def test_a_spider_of_the_page_collects_pictures(site: str, tmp_path: Path) -> None:
    (tmp_path / "slugs.txt").write_text("a\nb\n")
    (tmp_path / "spider.py").write_text(block("spiders.md", "class CarPictures(").replace(SITE, site))
    arguments = [*"-m scrapy runspider spider.py -O items.jsonl -s JOBDIR=job".split(), *ADDON.split(" ", 1)]
    done = run(*arguments, cwd=tmp_path, env=environment())
    items = [json.loads(line) for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    urls = {item["slug"]: item["image_urls"] for item in items}
    assert urls == {slug: [f"{site}/pictures/{slug}.png"] for slug in "ab"}, done.stderr
    assert all((tmp_path / "pictures" / item["images"][0]["path"]).is_file() for item in items)
    assert read_report(tmp_path / "job")["verdict"] == "complete"


@pytest.mark.slow
def test_a_spider_of_the_page_gets_a_token(site: str, tmp_path: Path) -> None:
    spider = block("spiders.md", "class Orders(").replace(SITE, site)
    (tmp_path / "spider.py").write_text(spider)
    arguments = [*"-m scrapy runspider spider.py -O items.jsonl -s JOBDIR=job".split(), *ADDON.split(" ", 1)]
    done = run(*arguments, cwd=tmp_path, env=environment())
    items = [json.loads(line)["url"] for line in (tmp_path / "items.jsonl").read_text().splitlines()]
    assert sorted(items) == [f"{site}/orders/1", f"{site}/orders/2"], done.stderr


def test_the_collector_of_the_page_ends_when_nothing_waits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("T8_RETRY_BASE", "0")
    tries: list[str] = []

    def collect(slug: str) -> None:
        tries.append(slug)
        if slug == "7" and tries.count("7") == 1:
            raise ConnectionError("no answer")

    shop = ModuleType("shop")
    shop.collect, shop.list_of = collect, lambda page: [str(page)] if page < 10 else []  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "shop", shop)
    program = block("service.md", "from shop import")
    exec(compile(program, "service.md", "exec"), {})
    assert sorted(tries) == ["1", "2", "3", "4", "5", "6", "7", "7", "8", "9"]
    with T8ResumeAndRetry() as t8:
        point = t8.get_resume_point("LIST_COLLECTION")
        assert point is not None
        assert (point.current_page, t8.state_manager.task_counts()) == (99, (0, 0))
