"""The shop that the benchmarks crawl: a few KB of plausible HTML per page, the same on every build."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

PER_LIST = 50
LINKS = 10

WORDS = (
    "the a with for and of in to from light heavy steel cotton oak compact durable everyday kitchen garden "
    "travel winter summer handle cover frame surface weight battery display cable warranty delivery quality "
    "design finish colour washable foldable adjustable recommended tested original replacement accessories"
).split()
BRANDS = ("Alder", "Borealis", "Cobalt", "Dune", "Ember", "Fjord")
SPECS = ("Weight", "Width", "Height", "Depth", "Material", "Colour", "Warranty", "Origin")
NAVIGATION = "".join(
    f'<li class="menu-item"><a class="menu-link" href="#{brand.lower()}">{brand}</a></li>' for brand in BRANDS
)


def build_site(scenario: str, pages: int) -> dict[str, str]:
    """Every path of the site with its HTML. The crawl starts at ``/`` and can reach all of them."""
    return SCENARIOS[scenario](pages)


def _catalogue(pages: int) -> dict[str, str]:
    lists = range(0, pages, PER_LIST)
    site = {_list_path(first): _list_page(first, pages) for first in lists}
    return site | {_product_path(number): _product_page(number, ()) for number in range(pages)}


def _web(pages: int) -> dict[str, str]:
    site = {_product_path(number): _product_page(number, _links(number, pages)) for number in range(pages)}
    site["/"] = site.pop(_product_path(0))
    return site


def _numbered(pages: int) -> dict[str, str]:
    return {"/": str(pages)} | {_product_path(number): _product_page(number, ()) for number in range(pages)}


def _links(number: int, pages: int) -> list[int]:
    """Two links grow a tree, so that all is reachable; the others go anywhere, soon to pages already seen.

    None goes to the front page: Scrapy does not filter the start request, so it would be fetched twice.
    """
    children = [child for child in (2 * number + 1, 2 * number + 2) if child < pages]
    return children + Random(number).sample(range(1, pages), LINKS - len(children))


def _list_path(first: int) -> str:
    return f"/list/{first // PER_LIST}" if first else "/"


def _product_path(number: int) -> str:
    return f"/product/{number}"


def _list_page(first: int, pages: int) -> str:
    after = first + PER_LIST
    pager = f'<a class="next" href="{_list_path(after)}">Next page</a>' if after < pages else ""
    cards = _cards(range(first, min(after, pages)))
    return _html("All products", f'<ul class="products">{cards}</ul><div class="pager">{pager}</div>')


def _product_page(number: int, related: Iterable[int]) -> str:
    random = Random(number)
    brand = random.choice(BRANDS)
    name = f"{brand} {_text(random, 3)}".title()
    body = f"""
<nav class="crumbs"><a href="#home">Home</a><a href="#shop">Shop</a><a href="#brand">{brand}</a></nav>
<article itemscope itemtype="https://schema.org/Product">
<h1 itemprop="name">{name}</h1>
<p class="sku">{number}</p>
<div class="offer"><span itemprop="price" content="{random.randint(100, 99999) / 100}">now</span></div>
<div class="description">{"".join(f"<p>{_text(random, 45)}</p>" for _ in range(5))}</div>
<table class="specs">{"".join(_row(spec, _text(random, 2)) for spec in SPECS)}</table>
</article>
<aside><h2>Also seen</h2><ul class="related">{_cards(related)}</ul></aside>"""
    return _html(name, body)


def _cards(numbers: Iterable[int]) -> str:
    return "\n".join(
        f'<li class="card"><a class="product" href="{_product_path(number)}">Product {number}</a></li>'
        for number in numbers
    )


def _row(head: str, data: str) -> str:
    return f"<tr><th>{head}</th><td>{data}</td></tr>"


def _text(random: Random, words: int) -> str:
    return " ".join(random.choices(WORDS, k=words))


def _html(title: str, body: str) -> str:
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title} | The shop</title>
<meta name="viewport" content="width=device-width, initial-scale=1"><link rel="stylesheet" href="/shop.css">
</head><body><header><ul class="menu">{NAVIGATION}</ul></header>
<main>{body}</main>
<footer><p>{_text(Random(title), 40)}</p></footer></body></html>
"""


SCENARIOS: dict[str, Callable[[int], dict[str, str]]] = {"pages": _catalogue, "links": _web, "ready": _numbered}
