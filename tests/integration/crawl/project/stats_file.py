"""An extension that leaves the statistics of a run in a file."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from scrapy import signals


class Meter:
    """Writes all statistics as JSON to the file that ``SCENE_STATS`` names, when the engine has stopped."""

    @classmethod
    def from_crawler(cls, crawler: Any) -> Meter:
        meter = cls(crawler)
        crawler.signals.connect(meter.engine_stopped, signals.engine_stopped)
        return meter

    def __init__(self, crawler: Any) -> None:
        self._crawler = crawler

    def engine_stopped(self) -> None:
        stats = self._crawler.stats.get_stats()
        Path(os.environ["SCENE_STATS"]).write_text(json.dumps(stats, default=str))
