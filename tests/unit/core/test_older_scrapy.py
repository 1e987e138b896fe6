"""What only newer releases of Scrapy have, on the release that the tests run with."""

from __future__ import annotations

import pytest
from scrapy import Request, Spider, version_info
from scrapy.extensions.feedexport import FeedExporter
from scrapy.settings import Settings
from scrapy.utils.test import get_crawler

from scrapy_t8.components.feeds.feed_paths import FeedPaths
from scrapy_t8.core.scrapy_private import apply_uri_params, components_in_order, retry_request


class OwnExporter(FeedExporter):
    """A component of a project."""


def test_a_request_that_is_given_up_is_logged_at_its_level(caplog: pytest.LogCaptureFixture) -> None:
    spider = Spider.from_crawler(get_crawler(Spider, {"TELNETCONSOLE_ENABLED": False}), "spider")
    request = Request("http://a/1", meta={"give_up_log_level": "WARNING"})
    caplog.clear()
    again = retry_request(request, spider=spider, reason="empty", max_retry_times=1, priority_adjust=None)
    assert again is not None
    assert retry_request(again, spider=spider, reason="empty", max_retry_times=1, priority_adjust=None) is None
    levels = [record.levelname for record in caplog.records if record.getMessage().startswith("Gave up retrying")]
    assert levels == ["WARNING" if version_info >= (2, 17) else "ERROR"]


@pytest.mark.parametrize("template", ["%(name)s.csv", "b/100%%-%(name)s.csv"])
def test_a_feed_may_have_the_uri_that_scrapy_makes_of_its_template(template: str) -> None:
    params = {"name": "cars"}
    assert FeedPaths(template, params).has_uri(apply_uri_params(template, params))


def test_a_component_counts_once_by_its_class_and_its_path() -> None:
    settings = Settings({"EXTENSIONS": {FeedExporter: None, f"{__name__}.OwnExporter": 0}})
    listed = components_in_order(settings, "EXTENSIONS")
    assert [found for found in listed if issubclass(found, FeedExporter)] == [OwnExporter]
