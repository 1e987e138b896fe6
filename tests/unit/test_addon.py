"""What the add-on sets, against what the docs say that it sets."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from scrapy.extensions.feedexport import FeedExporter
from scrapy.settings import Settings
from scrapy.utils.misc import load_object

import scrapy_t8
from scrapy_t8.addon import T8Addon
from scrapy_t8.core.scrapy_private import components_in_order

PAGE = Path(__file__).parents[2] / "docs/how-it-works.md"
CLASSES = ("SCHEDULER", "DUPEFILTER_CLASS")
LISTS = ("EXTENSIONS", "DOWNLOADER_MIDDLEWARES", "SPIDER_MIDDLEWARES", "ITEM_PIPELINES")


@pytest.fixture
def addon() -> Settings:
    settings = Settings()
    T8Addon().update_settings(settings)
    return settings


@pytest.fixture
def written() -> dict[str, Any]:
    """The settings of the docs."""
    (block,) = re.findall(r"## Without the add-on.*?```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)
    return {name: value for name, value in names.items() if name.isupper()}


def test_the_docs_list_what_the_addon_sets(addon: Settings, written: dict[str, Any]) -> None:
    assert set(written) == {*CLASSES, *LISTS}
    for name in CLASSES:
        assert load_object(written[name]) is load_object(addon[name])
    for name in LISTS:
        in_docs = {load_object(path): priority for path, priority in written[name].items()}
        assert in_docs == {load_object(path): priority for path, priority in addon.getdict(name).items()}, name


def test_every_component_has_a_short_path(written: dict[str, Any]) -> None:
    paths = [path for name in LISTS for path in written[name]]
    ours = {path.removeprefix("scrapy_t8.") for path in paths if path.startswith("scrapy_t8.")}
    assert ours <= set(scrapy_t8.__all__)
    assert len(ours) == 20
    assert sum(written[name][path] is None for name in LISTS for path in written[name]) == 7, "Scrapy's own"


def test_components_run_in_the_same_order_with_and_without_it(addon: Settings, written: dict[str, Any]) -> None:
    plain = Settings(written)
    for name in LISTS:
        # The order in the settings counts among components of the same priority.
        assert components_in_order(addon, name) == components_in_order(plain, name), name


@pytest.mark.parametrize(
    ("name", "component"),
    [("EXTENSIONS", scrapy_t8.T8Report), ("DOWNLOADER_MIDDLEWARES", scrapy_t8.T8CookiesMiddleware)],
)
def test_what_the_project_switches_off_stays_off(name: str, component: type) -> None:
    settings = Settings({name: {f"scrapy_t8.{component.__name__}": None}})
    T8Addon().update_settings(settings)
    assert component not in components_in_order(settings, name)


class OwnExporter(FeedExporter):
    """A feed exporter of a project."""


class DerivedExporter(scrapy_t8.T8FeedExporter):
    """A feed exporter of a project that builds upon T8's."""


@pytest.mark.parametrize(("own", "warnings"), [(OwnExporter, 1), (DerivedExporter, 0)])
def test_a_feed_exporter_of_the_project_is_the_only_one(
    own: type, warnings: int, caplog: pytest.LogCaptureFixture
) -> None:
    settings = Settings({"EXTENSIONS": {FeedExporter: None, own: 0}})
    T8Addon().update_settings(settings)
    listed = components_in_order(settings, "EXTENSIONS")
    assert [found for found in listed if issubclass(found, FeedExporter)] == [own]
    lines = [record.getMessage() for record in caplog.records]
    assert (
        sum("OwnExporter, which writes the feeds in the place of T8FeedExporter" in line for line in lines) == warnings
    )


@pytest.mark.parametrize("priority", [None, 0])
def test_a_feed_exporter_that_is_switched_off_replaces_none(priority: int | None) -> None:
    settings = Settings({"EXTENSIONS": {OwnExporter: None, scrapy_t8.T8FeedExporter: priority}})
    T8Addon().update_settings(settings)
    assert settings.getdict("EXTENSIONS")["scrapy_t8.T8FeedExporter"] == priority


def test_the_log_names_components_by_their_paths() -> None:
    settings = Settings()
    T8Addon().update_settings(settings)
    assert repr(T8Addon()) == "scrapy_t8.T8Addon"
    for name in ("EXTENSIONS", "SPIDER_MIDDLEWARES", "DOWNLOADER_MIDDLEWARES", "ITEM_PIPELINES"):
        ours = [key for key in settings.getdict(name) if load_object(key).__module__.startswith("scrapy_t8.")]
        assert ours
        assert all(isinstance(key, str) and load_object(key) is getattr(scrapy_t8, key[10:]) for key in ours)
    assert (settings["SCHEDULER"], settings["DUPEFILTER_CLASS"]) == ("scrapy_t8.T8Scheduler", "scrapy_t8.T8DupeFilter")
