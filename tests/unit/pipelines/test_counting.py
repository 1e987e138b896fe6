"""Exactly one pipeline counts the items that enter, or none."""

from __future__ import annotations

from typing import Any

import pytest
from scrapy.settings import Settings

from scrapy_t8 import T8DedupPipeline, T8ItemCounterPipeline

COUNTER, DEDUP = "scrapy_t8.T8ItemCounterPipeline", "scrapy_t8.T8DedupPipeline"


class Project:
    """A pipeline of the project."""


class Subclass(T8DedupPipeline):
    """A dedup pipeline of the project."""


@pytest.mark.parametrize(
    ("pipelines", "counting"),
    [
        ({COUNTER: -100, DEDUP: 50}, T8DedupPipeline),
        ({COUNTER: -100, DEDUP: 50, Project: 51}, T8DedupPipeline),
        ({COUNTER: -100, Project: 49, DEDUP: 50}, T8ItemCounterPipeline),
        ({COUNTER: -100, Project: 49, DEDUP: None}, T8ItemCounterPipeline),
        ({COUNTER: None, DEDUP: 50, Project: 51}, T8DedupPipeline),
        ({COUNTER: None, Project: 49, DEDUP: 50}, None),
        ({COUNTER: -100, Subclass: 50}, Subclass),
        ({Project: 1}, None),
        ({}, None),
    ],
)
def test_the_last_one_ahead_of_the_project_counts(pipelines: dict[Any, Any], counting: Any) -> None:
    settings = Settings({"ITEM_PIPELINES": pipelines})
    for pipeline in (T8ItemCounterPipeline, T8DedupPipeline, Subclass):
        assert pipeline.counts_items(settings) is (pipeline is counting)
