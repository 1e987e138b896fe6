"""What the report puts into the statistics."""

from scrapy_t8.components.extensions.report import counts


def test_numbers_that_are_0_are_left_out() -> None:
    document = {
        "ledger": {"requests": {"admitted": 3, "done": 2, "dead": 1, "ready": 0}, "expected": {"expected": 0}},
        "without_result": {"count": 1, "causes": [{"cause": "status:404", "count": 1}]},
        "alerts": [],
    }
    assert counts(document) == {
        "requests/admitted": 3,
        "requests/done": 2,
        "requests/dead": 1,
        "without_result": 1,
        "without_result/status:404": 1,
    }


def test_a_crawl_without_anything_has_no_numbers() -> None:
    ledger = {"requests": {"admitted": 0}, "items": {"scraped": 0}}
    assert counts({"ledger": ledger, "without_result": {"count": 0, "causes": []}, "alerts": []}) == {}
