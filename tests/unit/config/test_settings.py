"""Settings: each name, its type and its check."""

from __future__ import annotations

import pytest
from scrapy.settings import Settings

from scrapy_t8.config.settings import Config
from scrapy_t8.errors import ConfigError


def test_defaults() -> None:
    assert Config.from_settings(Settings()) == Config()


@pytest.mark.parametrize(
    ("name", "text", "field", "value"),
    [
        ("T8_COMMIT_INTERVAL", "0.5", "commit_interval", 0.5),
        ("T8_COMMIT_PAGES", "7", "commit_pages", 7),
        ("T8_ALLOW_PICKLE", "yes", "allow_pickle", True),
        ("T8_ALLOW_PICKLE", "0", "allow_pickle", False),
        ("T8_DURABILITY", "power", "durability", "power"),
        ("T8_RESUME", "fresh", "resume", "fresh"),
    ],
)
def test_text_from_a_command_line(name: str, text: str, field: str, value: object) -> None:
    assert getattr(Config.from_settings(Settings({name: text})), field) == value


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("T8_DURABILITY", "disk", "one of process, power"),
        ("T8_COMMIT_INTERVAL", 0, "seconds, above 0"),
        ("T8_COMMIT_INTERVAL", "soon", "a number"),
        ("T8_COMMIT_PAGES", 0, "at least 1"),
        ("T8_COMMIT_PAGES", True, "a whole number"),
        ("T8_COMMIT_PAGES", None, "a whole number"),
        ("T8_CRASH_LIMIT", -1, "at least 1"),
        ("T8_ALLOW_PICKLE", "maybe", "true or false"),
        ("T8_UNSERIALIZABLE", "drop", "one of memory, error"),
    ],
)
def test_a_bad_value_names_its_setting(name: str, value: object, expected: str) -> None:
    with pytest.raises(ConfigError, match=f"{name} is .*{expected}"):
        Config.from_settings(Settings({name: value}))


def test_an_unknown_name_gets_a_suggestion() -> None:
    with pytest.raises(ConfigError, match="no setting T8_RETRY_TIMES: RETRY_TIMES is a setting of Scrapy"):
        Config.from_settings(Settings({"T8_RETRY_TIMES": 3}))
    with pytest.raises(ConfigError, match="no setting T8_MAX_ITEM: scrapy t8 help settings lists all"):
        Config.from_settings(Settings({"T8_MAX_ITEM": 3}))
    with pytest.raises(ConfigError, match="no setting T8_COMMIT_INTERVALL: did you mean T8_COMMIT_INTERVAL"):
        Config.from_settings(Settings({"T8_COMMIT_INTERVALL": 1}))
