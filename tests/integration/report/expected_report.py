"""The expected report of the shop, written by hand from ``truth.py``."""

from __future__ import annotations

from typing import Any

from .truth import SCRIPT, UNLINKED

GENERATOR = "scrapy_t8 0.1.0"


def document(site: str) -> dict[str, Any]:
    """The report of a crawl that has gone through all of the shop, without what chance or time have a say in."""
    host = site.removeprefix("http://").partition(":")[0]
    cheap, choke = (f"{site}/car/{key}?list={number}" for key, number in (("cheap", 2), ("choke", 3)))
    return {
        "version": 1,
        "generator": GENERATOR,
        "running": False,
        "job": {
            "spider": "shop",
            "arguments": {"site": site},
            "finished": True,
            "start_done": True,
            "follows": "",
            "doubt": "",
            "kept_until": None,
        },
        "ledger": {
            # 4 lists, the pages of 42 cars, 8 of them twice.
            "requests": {
                "admitted": 54,
                "done": 50,
                "ready": 0,
                "waiting": 0,
                "leased": 0,
                "dead": 4,
                "discarded": 0,
                "difference": 0,
            },
            # All but those of four pages: gone, broken, buggy, empty.
            "items": {"scraped": 46, "exported": 36, "duplicate": 8, "dropped": 1, "failed": 1, "difference": 0},
            # 42 with links, one without, three that only the total shows.
            "expected": {"expected": 46, "collected": 36, "missing": 10, "difference": 0},
        },
        "dropped": [{"pipeline": "Choosy", "reason": f"too cheap: {SCRIPT}", "count": 1, "key": "cheap", "url": cheap}],
        "failed": [{"pipeline": "Choosy", "reason": "ValueError: it chokes", "count": 1, "key": "choke", "url": choke}],
        "duplicates": {
            "count": 8,
            "changed": 0,
            "again": 0,
            "examples": [{"key": f"car-{number:02}", "fields": []} for number in range(8)],
        },
        "feeds": [
            {
                "uri": "items.jsonl",
                "format": "jsonl",
                "items": 36,
                "missing": 0,
                "lost": 0,
                "batches": 0,
                "refused": {},
                "altered": 0,
                "foreign": 0,
                "doubts": [],
            }
        ],
        "totals": [
            {"source": "0", "announced": None, "keys": 14, "collected": 11, "missing": 3},
            {"source": "1", "announced": None, "keys": 13, "collected": 11, "missing": 2},
            {"source": "2", "announced": None, "keys": 12, "collected": 11, "missing": 1},
            {"source": "3", "announced": 15, "keys": 12, "collected": 11, "missing": 4},
        ],
        "missing": {
            "count": 10,
            "unnamed": 3,
            "accepted": 0,
            "causes": [
                {"cause": "unnamed", "detail": "3", "accepted": False, "count": 3, "examples": [{"source": "3"}]},
                _dead(site, "broken", 1, "host", "500 Internal Server Error", 500),
                _dead(site, "gone", 0, "http", "404 Not Found", 404),
                _dead(site, "buggy", 0, "parse", "KeyError: 'price'", 200),
                _dead(site, "choke", 3, "pipeline", "ValueError: it chokes", 200),
                _missing("dropped", f"Choosy: too cheap: {SCRIPT}", key="cheap", sources=["2"], url=cheap),
                _missing("never_linked", "", key=UNLINKED, sources=["0"]),
                _missing("no_item", "", key="empty", sources=["1"], url=f"{site}/car/empty?list=1"),
            ],
        },
        "without_result": {
            "count": 4,
            "accepted": 0,
            "accept": [],
            "causes": [
                _without_result(site, "failure:parse", "KeyError: 'price'", "buggy", 0),
                _without_result(site, "failure:pipeline", "ValueError: it chokes", "choke", 3),
                _without_result(site, "status:404", "404 Not Found", "gone", 0),
                _without_result(site, "status:500", "500 Internal Server Error", "broken", 1),
            ],
        },
        "unproven": [],
        "healing": {"asked": 0, "collected": 0, "left": 0, "impossible": 0},
        "waiting": {"count": 0, "next_due": None},
        "dead": [
            {"kind": kind, "error": error, "host": host, "callback": "parse_car", "count": 1}
            for kind, error in (
                ("host", "500 Internal Server Error"),
                ("http", "404 Not Found"),
                ("parse", "KeyError: 'price'"),
                ("pipeline", "ValueError: it chokes"),
            )
        ],
        "left": {"count": 0, "reason": ""},
        "retry_outcomes": {"succeeded": 0, "buried": 4, "not_retried": 3},
        "hosts": [{"host": host, "done": 50, "ready": 0, "waiting": 0, "dead": 4, "items": 44, "open_since": None}],
        "callbacks": [
            {"callback": "parse_car", "done": 46, "dead": 4, "items": 44},
            {"callback": "parse_list", "done": 4, "dead": 0, "items": 0},
        ],
        "coverage": [{"item": "dict", "count": 36, "fields": {"id": 1.0, "price": 1.0, "title": 1.0}}],
        "validation": {"valid": 36, "invalid": 0, "integrity_score": 36 / 46, "problems": [], "custom": {}},
        "points": [],
        "alerts": [
            {
                "name": "data_integrity_score",
                "setting": "T8_ALERT_THRESHOLDS['data_integrity_score']",
                "value": 36 / 46,
                "threshold": 0.95,
                "message": "78.26 % of the expected items are there, once and valid: under 95 %",
            },
        ],
        "verdict": "incomplete",
        "exit_status": 3,
    }


def _dead(site: str, key: str, number: int, kind: str, error: str, status: int) -> dict[str, Any]:
    facts = {"url": f"{site}/car/{key}?list={number}", "error": error, "status": status}
    return _missing("dead", f"{kind}: {error}", key=key, sources=[str(number)], **facts)


def _missing(cause: str, detail: str, **example: Any) -> dict[str, Any]:
    return {"cause": cause, "detail": detail, "accepted": False, "count": 1, "examples": [example]}


def _without_result(site: str, cause: str, error: str, key: str, number: int) -> dict[str, Any]:
    return {
        "cause": cause,
        "count": 1,
        "dead": 1,
        "accepted": False,
        "errors": [{"error": error, "callback": "parse_car", "count": 1}],
        "examples": [{"url": f"{site}/car/{key}?list={number}", "callback": "parse_car", "note": error}],
    }
