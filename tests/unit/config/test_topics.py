"""Each setting has a topic and a line of help."""

from __future__ import annotations

from dataclasses import fields

from scrapy_t8.commands.selfcheck.commands import _by_topic
from scrapy_t8.config.settings import Config, effective
from scrapy_t8.config.topics import TOPICS


def test_each_setting_is_in_one_topic() -> None:
    named = [name for topic in TOPICS.values() for name in topic]
    assert sorted(named) == sorted(one.name for one in fields(Config))
    assert all(meaning for topic in TOPICS.values() for meaning in topic.values())


def test_settings_are_shown_by_topic_as_lines_of_settings_py() -> None:
    rows = {row["key"]: row for row in effective({"T8_COMMIT_PAGES": 7}).rows()}
    lines = list(_by_topic({key: rows[key] for key in ("commit_pages", "retry_cap")}))
    assert lines == [
        "The state of a job:",
        "  T8_COMMIT_PAGES = 7 (the Scrapy settings)  # maximum number of settled pages in one commit",
        "Retries, hosts that are down, dead letters:",
        "  T8_RETRY_CAP = 600.0  # maximum seconds before any retry",
    ]
