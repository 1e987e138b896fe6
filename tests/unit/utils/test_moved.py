"""Old module paths and names still work, and say what replaces them."""

from __future__ import annotations

from importlib import import_module

import pytest
from scrapy.utils.misc import load_object

import scrapy_t8
from scrapy_t8.utils.moved import MODULES, NAMES

PATHS = {
    "scrapy_t8.retry.T8RetryMiddleware": scrapy_t8.T8RetryMiddleware,
    "scrapy_t8.retry.T8CacheGuard": scrapy_t8.T8RetryCacheMiddleware,
    "scrapy_t8.mishaps.T8MishapMiddleware": scrapy_t8.T8FailureMiddleware,
    "scrapy_t8.kept.totals.T8Totals": scrapy_t8.T8JobStats,
    "scrapy_t8.kept.totals.T8CloseSpider": scrapy_t8.T8CloseSpider,
    "scrapy_t8.kept.cookies.T8CookiesMiddleware": scrapy_t8.T8CookiesMiddleware,
    "scrapy_t8.pipelines.entry.T8EntryPipeline": scrapy_t8.T8ItemCounterPipeline,
    "scrapy_t8.scheduler.T8FifoQueue": scrapy_t8.T8FifoQueue,
    "scrapy_t8.feeds.T8FeedExporter": scrapy_t8.T8FeedExporter,
    "scrapy_t8.report.extension.T8Report": scrapy_t8.T8Report,
    "scrapy_t8.integrity.validators.ResumeValidator": scrapy_t8.ResumeValidator,
    "scrapy_t8.track.Track": scrapy_t8.Watermark,
}


@pytest.mark.parametrize(("old", "new"), PATHS.items())
def test_an_old_class_path_is_found_and_says_the_new_one(old: str, new: object) -> None:
    with pytest.warns(DeprecationWarning, match=getattr(new, "__name__", "")):
        assert load_object(old) is new


@pytest.mark.parametrize("old", ["T8CacheGuard", "T8EntryPipeline", "T8MishapMiddleware", "Which"])
def test_an_old_public_name_is_found_and_says_the_new_one(old: str) -> None:
    with pytest.warns(DeprecationWarning, match=NAMES[old]):
        assert getattr(scrapy_t8, old) is getattr(scrapy_t8, NAMES[old])


def test_a_handle_is_found_where_it_was() -> None:
    spiders = import_module("scrapy_t8.spiders")
    with pytest.warns(DeprecationWarning, match="JobHandle"):
        assert spiders.Handle is spiders.JobHandle


@pytest.mark.parametrize("old", MODULES)
def test_every_old_module_leads_to_modules_that_exist(old: str) -> None:
    assert import_module(f"scrapy_t8.{old}").__name__ == f"scrapy_t8.{old}"
    for new in MODULES[old]:
        import_module(f"scrapy_t8.{new}")


def test_what_never_was_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"scrapy_t8\.nothing"):
        import_module("scrapy_t8.nothing")
    with pytest.raises(AttributeError, match="T8Nothing"):
        import_module("scrapy_t8.retry").T8Nothing  # noqa: B018
