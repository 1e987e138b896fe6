"""Crawls in processes of their own, and what they leave behind."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).with_name("project")
ADDON = {"ADDONS": {"scrapy_t8.T8Addon": 500}, "JOBDIR": "job"}
KILLED = -signal.SIGKILL
UMASK = 0o027
TIME_LIMIT = 120
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d+\+00-00")


@dataclass(frozen=True)
class Crawled:
    """How a crawl ended, and what it said and heard."""

    status: int
    output: str
    log: str
    told: dict[str, Any]

    @property
    def stats(self) -> dict[str, Any]:
        stats: dict[str, Any] = self.told["stats"]
        return stats

    @property
    def reason(self) -> str:
        return str(self.stats["finish_reason"])

    def lines(self, level: str) -> list[str]:
        """The log lines of a level."""
        return [line for line in self.log.splitlines() if f"] {level}: " in line]


def crawl(
    directory: Path,
    feeds: dict[str, Any] | None = None,
    *options: str,
    t8: bool = True,
    spider: str = "shop",
    die: str = "",
    env: dict[str, str] | None = None,
    **settings: Any,
) -> Crawled:
    """Run ``scrapy crawl`` in *directory*, with or without the add-on.

    :param die: where the spider kills itself; see ``Fate`` in ``project/shop.py``.
    """
    command = [sys.executable, "-m", "scrapy", "crawl", spider, *options]
    for name, value in {**(ADDON if t8 else {}), "FEEDS": feeds or {}, **settings}.items():
        command += ["-s", f"{name}={value if isinstance(value, str) else json.dumps(value)}"]
    told = directory / f"{spider}.run.json"
    told.unlink(missing_ok=True)
    run = subprocess.run(
        command,
        cwd=directory,
        env=environment(die, env),
        capture_output=True,
        text=True,
        timeout=TIME_LIMIT,
        umask=UMASK,
    )
    return Crawled(run.returncode, run.stdout, run.stderr, json.loads(told.read_text()) if told.exists() else {})


def environment(die: str, more: dict[str, str] | None = None) -> dict[str, str]:
    path = os.pathsep.join([str(PROJECT), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "SCRAPY_SETTINGS_MODULE": "shop_settings", "PYTHONPATH": path, "DIE": die, **(more or {})}


def files(directory: Path) -> dict[str, Path]:
    """All files that feeds have written, by name. A time in a name becomes its place among the times."""
    written = sorted(
        path for path in directory.rglob("*") if path.is_file() and "job" not in path.parts and path.suffix != ".log"
    )
    found: dict[str, Path] = {}
    for path in written:
        name = str(path.relative_to(directory))
        if name.endswith(".run.json"):
            continue
        place = 1
        while (numbered := TIME.sub(f"#{place}", name)) in found:
            place += 1
        found[numbered] = path
    return dict(sorted(found.items()))
