"""Sample reports as docs/report.md describes them: an empty, a rich, a large and a hostile one."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from itertools import count
from typing import Any, TypeAlias

Report: TypeAlias = dict[str, Any]

BEGUN = datetime(2026, 5, 12, 6, 30, tzinfo=timezone.utc)
SHOP = "https://shop.example/cars"

WHOLE: dict[str, Any] = {"missing": 0, "lost": 0, "batches": 0, "refused": {}, "altered": 0, "foreign": 0, "doubts": []}
"""Of a feed that lacks nothing."""


def at(minutes: float) -> str:
    return (BEGUN + timedelta(minutes=minutes)).isoformat()


def empty() -> Report:
    """Return the report of a job that has not done anything."""
    return {
        "version": 1,
        "generator": "scrapy_t8 0.1.0",
        "generated": at(0),
        "releases": {"Scrapy": "2.19.0", "scrapy_t8": "0.1.0", "Python": "3.12.1"},
        "verdict": "complete",
        "running": False,
        "exit_status": 0,
        "job": {
            "id": "",
            "spider": "cars",
            "arguments": {},
            "begun": at(0),
            "finished": True,
            "start_done": True,
            "follows": "",
            "doubt": "",
        },
        "runs": [],
        "ledger": {
            "requests": dict.fromkeys(
                ("admitted", "done", "ready", "waiting", "leased", "dead", "discarded", "difference"), 0
            ),
            "items": dict.fromkeys(("scraped", "exported", "duplicate", "dropped", "failed", "difference"), 0),
            "expected": dict.fromkeys(("expected", "collected", "missing", "difference"), 0),
        },
        "dropped": [],
        "failed": [],
        "duplicates": {"count": 0, "changed": 0, "examples": []},
        "feeds": [],
        "totals": [],
        "missing": {"count": 0, "unnamed": 0, "accepted": 0, "causes": []},
        "without_result": {"count": 0, "accepted": 0, "accept": [], "causes": [], "filtered": {}},
        "healing": {"asked": 0, "collected": 0, "left": 0, "impossible": 0},
        "waiting": {"count": 0, "next_due": None},
        "dead": [],
        "retries": {},
        "hosts": [],
        "callbacks": [],
        "coverage": [],
        "validation": {"valid": 0, "invalid": 0, "integrity_score": None, "problems": [], "custom": {}},
        "points": [],
        "timeline": [],
        "unproven": [],
        "alerts": [],
    }


def without_result() -> Report:
    example = {"url": f"{SHOP}/sold", "callback": "parse_car", "note": "404 Not Found"}
    not_found = {"error": "404 Not Found", "callback": "parse_car", "count": 30}
    timeout = {"error": "TimeoutError: 180 s", "callback": "parse", "count": 11}
    rows = (
        ("status:404", 34, 30, True, [not_found], [example]),
        ("failure:network", 11, 11, False, [timeout], []),
        ("ignored:shop.middlewares.Stock", 235, 0, False, [], [example, {**example, "url": f"{SHOP}/gone"}]),
    )
    names = ("cause", "count", "dead", "accepted", "errors", "examples")
    return {
        "count": 246,
        "accepted": 34,
        "accept": ["status:404"],
        "causes": [dict(zip(names, row, strict=True)) for row in rows],
        "filtered": {"duplicate": 4_021, "offsite": 12},
    }


def rich() -> Report:
    """Return the report of a job that was stopped once, killed twice, and has something of everything."""
    return {
        **empty(),
        "generated": at(402),
        "verdict": "incomplete",
        "exit_status": 3,
        "job": {
            "id": "4be1c6d20f7a4c1d",
            "spider": "cars",
            "arguments": {"country": "de", "pages": 400},
            "begun": at(0),
            "finished": False,
            "start_done": True,
            "follows": "a01f77e3b2c84d55",
            "doubt": "",
        },
        "runs": [
            {"id": 1, "started": at(0), "ended": at(95), "reason": "shutdown", "end": "stopped"},
            {"id": 2, "started": at(140), "ended": None, "reason": None, "end": "killed"},
            {"id": 3, "started": at(204), "ended": None, "reason": None, "end": "killed"},
            {"id": 4, "started": at(260), "ended": at(401.5), "reason": "finished", "end": "finished"},
        ],
        "ledger": {
            "requests": {
                "admitted": 13_412,
                "done": 12_991,
                "ready": 118,
                "waiting": 23,
                "leased": 0,
                "dead": 41,
                "discarded": 239,
                "difference": 0,
            },
            "items": {
                "scraped": 12_240,
                "exported": 11_873,
                "duplicate": 301,
                "dropped": 52,
                "failed": 14,
                "difference": 0,
            },
            "expected": {"expected": 12_127, "collected": 11_840, "missing": 287, "difference": 0},
        },
        "dropped": [
            dropped("PricePipeline", "no price", 44, "bmw-320d-2019", f"{SHOP}/bmw-320d-2019"),
            dropped("GeoPipeline", "outside of the country", 8, None, None),
        ],
        "failed": [dropped("CurrencyPipeline", "KeyError: 'CHF'", 14, "audi-a4-1999", f"{SHOP}/audi-a4-1999")],
        "duplicates": {
            "count": 301,
            "changed": 33,
            "examples": [{"key": "vw-golf-2021", "fields": ["price", "mileage"]}, {"key": "kia-ev6", "fields": []}],
        },
        "feeds": [
            {"uri": "file:///data/cars.jsonl", "format": "jsonlines", "items": 11_873, "bytes": 4_120_512, **WHOLE},
            {"uri": "s3://archive/cars.csv", "format": "csv", "items": 11_873, "bytes": None, **WHOLE},
        ],
        "totals": [
            {"source": "list of all cars", "announced": 12_000, "keys": 11_988, "collected": 11_802, "missing": 198},
            {"source": "brand: BMW", "announced": 1_204, "keys": 1_204, "collected": 1_204, "missing": 0},
            {"source": "sitemap.xml", "announced": None, "keys": 12_105, "collected": 11_840, "missing": 265},
        ],
        "missing": {"count": 287, "unnamed": 22, "accepted": 3, "causes": causes()},
        "without_result": without_result(),
        "healing": {"asked": 60, "collected": 48, "left": 9, "impossible": 3},
        "waiting": {"count": 23, "next_due": at(410)},
        "dead": [
            grave("http", "HTTP 404", 21, 17),
            grave("timeout", "took longer than 30 seconds", 12, 203),
            grave("callback", "ValueError: could not convert string to float: 'auf Anfrage'", 6, 318),
            grave("dns", "DNSLookupError", 2, 400, host="img.shop.example"),
        ],
        "retries": {"timeout": 214, "http_503": 611, "http_429": 92, "connection": 31},
        "hosts": hosts(),
        "callbacks": [
            {"callback": "parse_list", "done": 402, "dead": 1, "items": 0},
            {"callback": "parse_car", "done": 12_589, "dead": 40, "items": 12_240},
        ],
        "coverage": [
            {
                "item": "CarItem",
                "count": 11_873,
                "fields": {
                    "url": 1.0,
                    "slug": 1.0,
                    "title": 1.0,
                    "price": 0.9629,
                    "mileage": 0.918,
                    "fuel": 0.8811,
                    "images": 0.7404,
                    "engine.power": 0.655,
                    "vin": 0.1275,
                    "crash history": 0.0004,
                },
            },
            {"item": "DealerItem", "count": 412, "fields": {"name": 1.0, "phone": 0.83}},
        ],
        "validation": {
            "valid": 11_821,
            "invalid": 52,
            "integrity_score": 0.9763,
            "problems": [
                {
                    "rule": "range",
                    "item": "CarItem",
                    "field": "price",
                    "message": "price is below 100",
                    "count": 39,
                    "examples": ["opel-corsa-1994", "fiat-panda-1988"],
                },
                {
                    "rule": "required",
                    "item": "CarItem",
                    "field": "vin",
                    "message": "vin is missing",
                    "count": 13,
                    "examples": [],
                },
            ],
            "custom": {"cars per dealer": 28.8, "note": "checked against the registry", "brands": {"BMW": 1_204}},
        },
        "points": [
            {
                "task_type": "LIST_COLLECTION",
                "name": "cars",
                "current_page": 400,
                "last_cursor": "eyJwIjo0MDB9",
                "last_slug": None,
                "total_processed": 400,
                "last_update": at(401),
            },
            {
                "task_type": "DETAIL_COLLECTION",
                "name": "",
                "current_page": None,
                "last_cursor": None,
                "last_slug": "zastava-750",
                "total_processed": 12_240,
                "last_update": at(401.4),
            },
        ],
        "timeline": timeline(),
        "alerts": [
            {
                "name": "missing",
                "setting": "T8_ALERT_MISSING",
                "value": 0.0237,
                "threshold": 0.01,
                "message": "2.4 % of the expected items are missing",
            },
            {
                "name": "dead",
                "setting": "T8_ALERT_DEAD",
                "value": 41,
                "threshold": 20,
                "message": "41 requests were given up on, most of them with HTTP 404",
            },
        ],
    }


def large() -> Report:
    """Return the largest possible report; where there is no limit, it has more than the page shows."""
    report = rich()
    cause = report["missing"]["causes"][1]
    long = "x" * 3_000
    report["hosts"] = [{**report["hosts"][0], "host": f"{number}.{long}.example"} for number in range(200)]
    report["timeline"] = [{"time": at(number), "pages": 31, "items": 29, "retries": 2} for number in range(500)]
    report["missing"]["causes"] = [{**cause, "detail": f"{n}", "examples": cause["examples"] * 10} for n in range(100)]
    report["runs"] = [{**report["runs"][0], "id": number, "started": at(number)} for number in range(2_000)]
    report["coverage"] = [
        {"item": f"Item{kind}", "count": 1, "fields": {f"field{n}": n / 300 for n in range(300)}} for kind in range(30)
    ]
    for name in ("dead", "totals", "dropped", "failed", "feeds", "points", "callbacks", "alerts"):
        report[name] = report[name][:1] * 3_000
    return report


def hostile() -> Report:
    """Return the rich report with something nasty in every text of the crawl."""
    report = rich()
    ours = {"generator", "generated", "verdict", "runs", "timeline"}
    return {name: part if name in ours else spoiled(part) for name, part in report.items()}


NASTY = (
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "'><svg onload=alert(1)>]]>",
    "--><!-- </title></style></details> {{ 7 * 7 }} {% raw %} &lt;",
    "a\x00b\x07c\x1bd\x7f\ufffe\uffffe",
    "half \ud83d of a \udc00 character",
    "\u202egnidaer fo redro \u05e9\u05dc\u05d5\u05dd \u0645\u0631\u062d\u0628\u0627",
    "\U0001f697\U0001f3fd\u200d\U0001f468 " + "\u8eca" * 13,
    "long" * 5_000,
    "javascript:alert(1)",
    'https://shop.example/?"><script>alert(1)</script>',
)


def spoiled(part: Any, counter: Any = None) -> Any:
    counter = counter or count()
    if isinstance(part, dict):
        known = ("time", "first", "last", "until", "next_due", "begun", "last_update", "open_since", "cause", "accept")
        names = ("http_503", "timeout", "price", "note", "country")
        return {
            NASTY[next(counter) % len(NASTY)] + name if name in names else name: value
            if name in known
            else spoiled(value, counter)
            for name, value in part.items()
        }
    if isinstance(part, list):
        return [spoiled(value, counter) for value in part]
    return NASTY[next(counter) % len(NASTY)] if isinstance(part, str) else part


def dropped(pipeline: str, reason: str, count: int, key: str | None, url: str | None) -> Report:
    return {"pipeline": pipeline, "reason": reason, "count": count, "key": key, "url": url}


def grave(kind: str, error: str, count: int, letter: int, host: str = "shop.example") -> Report:
    return {
        "kind": kind,
        "error": error,
        "host": host,
        "callback": "parse_car",
        "count": count,
        "first": at(12),
        "last": at(390),
        "letter": letter,
    }


def causes() -> list[Report]:
    return [
        {
            "cause": "not_fetched",
            "detail": "",
            "accepted": False,
            "count": 104,
            "examples": [named(f"seat-{n}") for n in range(8)],
        },
        {
            "cause": "dead",
            "detail": "http: HTTP 404",
            "accepted": False,
            "count": 61,
            "examples": [
                {
                    **named(f"lada-{n}"),
                    "url": f"{SHOP}/lada-{n}?ref=list",
                    "letter": n,
                    "error": "HTTP 404",
                    "status": 404,
                }
                for n in range(1, 4)
            ],
        },
        {
            "cause": "dropped",
            "detail": "PricePipeline: no price",
            "accepted": False,
            "count": 44,
            "examples": [{**named("bmw-320d-2019"), "url": f"{SHOP}/bmw-320d-2019"}],
        },
        {
            "cause": "unnamed",
            "detail": "list of all cars",
            "accepted": False,
            "count": 22,
            "examples": [{"source": "list of all cars"}],
        },
        {"cause": "never_linked", "detail": "", "accepted": False, "count": 21, "examples": [named("tatra-603")]},
        {
            "cause": "waiting",
            "detail": "http_503",
            "accepted": False,
            "count": 20,
            "examples": [
                {**named("mini-one"), "url": f"{SHOP}/mini-one", "until": at(410), "error": "HTTP 503"},
            ],
        },
        {
            "cause": "failed",
            "detail": "CurrencyPipeline: KeyError: 'CHF'",
            "accepted": False,
            "count": 14,
            "examples": [{**named("audi-a4-1999"), "url": f"{SHOP}/audi-a4-1999"}],
        },
        {
            "cause": "no_item",
            "detail": "",
            "accepted": False,
            "count": 1,
            "examples": [{**named("saab-900"), "url": f"{SHOP}/saab-900"}],
        },
    ]


def named(key: str) -> Report:
    return {"key": key, "sources": ["list of all cars", "sitemap.xml"]}


def hosts() -> list[Report]:
    first = {"done": 11_004, "ready": 90, "waiting": 14, "dead": 30, "items": 10_900, "retries": 700}
    return [
        {"host": "shop.example", **first, "open_since": None},
        {
            "host": "img.shop.example",
            "done": 1_200,
            "ready": 28,
            "waiting": 9,
            "dead": 11,
            "items": 0,
            "retries": 201,
            "open_since": at(398),
        },
        *(
            {
                "host": f"dealer-{n:02}.example",
                "done": 600 // n,
                "ready": 0,
                "waiting": 0,
                "dead": 0,
                "items": 550 // n,
                "retries": n,
                "open_since": None,
            }
            for n in range(1, 15)
        ),
    ]


def timeline() -> list[Report]:
    working = [*range(0, 96, 3), *range(140, 186, 3), *range(204, 244, 3), *range(260, 402, 3)]
    return [
        {"time": at(m), "pages": 118 + m % 7 * 4, "items": 104 + m % 7 * 4 - m % 5 * 6, "retries": 9 if m < 240 else 3}
        for m in working
    ]
