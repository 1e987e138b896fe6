"""Causes for which requests end without a result, and the setting that accepts them."""

from __future__ import annotations

import pytest

from scrapy_t8.config.causes import Accepted, cause_of_failure
from scrapy_t8.config.settings import from_dict
from scrapy_t8.errors import ConfigError


@pytest.mark.parametrize(
    ("patterns", "cause", "is_accepted"),
    [
        ((), "status:410", False),
        (("status:410",), "status:410", True),
        (("status:41",), "status:410", False),
        (("status:4??",), "status:410", True),
        (("status:4*",), "status:503", False),
        (("ignored:shop.*",), "ignored:shop.middlewares.Stock", True),
        (("ignored:shop.middlewares.Stock",), "ignored:shop.middlewares.Stocks", False),
        (("redirects",), "redirects", True),
        ((), "duplicate", True),
        ((), "robotstxt", True),
        ((), "discarded", True),
        ((), "unknown", False),
        (("failure:parse",), "failure:pipeline", False),
    ],
)
def test_a_cause_is_accepted_by_its_name_or_a_pattern(patterns: tuple[str, ...], cause: str, is_accepted: bool) -> None:
    assert (cause in Accepted(patterns)) is is_accepted


def test_what_scrapy_leaves_out_is_accepted_but_not_named_by_the_user() -> None:
    assert "offsite" in Accepted()
    assert not Accepted().names("offsite")


@pytest.mark.parametrize(
    "wrong", ["404", "*", "status", "status:", "status:404 Not Found", "statuses:404", "redirects:5", 404, ":x", ""]
)
def test_what_can_be_no_cause_is_refused(wrong: object) -> None:
    with pytest.raises(ConfigError, match=r"T8_ACCEPT has .*(not a cause|a status)"):
        from_dict({"accept": [wrong]})


def test_the_line_for_the_settings_has_what_is_accepted_already() -> None:
    accepted = Accepted(["status:4??", "media"])
    line = accepted.line_with(["status:404", "ignored:shop.Stock", "status:503", "ignored:shop.Stock"])
    assert line == 'T8_ACCEPT = ["status:4??", "media", "ignored:shop.Stock", "status:503"]'
    Accepted(eval(line.partition(" = ")[2]))


@pytest.mark.parametrize(
    ("kind", "status", "cause"),
    [
        ("http", 404, "status:404"),
        ("host", 503, "status:503"),
        ("throttled", 429, "status:429"),
        ("network", None, "failure:network"),
        ("network", 200, "failure:network"),
        ("parse", 200, "failure:parse"),
        ("ban", 403, "failure:ban"),
    ],
)
def test_a_status_is_the_cause_where_it_is_the_failure(kind: str, status: int | None, cause: str) -> None:
    assert cause_of_failure(kind, status) == cause
    Accepted([cause])
