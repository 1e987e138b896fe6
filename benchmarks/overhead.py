"""What does T8 cost? The same crawl in memory, with JOBDIR and with T8, in turns. See README.md."""

from __future__ import annotations

import argparse
import json
import platform
import random
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import Any

from benchmarks.bench_crawl import MODES, CrawlFailed
from benchmarks.bench_measures import BASES
from benchmarks.bench_rounds import Round, orders_of, run_rounds
from benchmarks.bench_table import print_scenario

PAGES = {"pages": 5000, "links": 2000, "ready": 50_000}
FEWEST_PAGES = 20
BAR_FAILED, CRAWL_FAILED = 1, 2


def main() -> int:
    """Run what the command line asks for; the exit code says whether the bars hold."""
    options = _parse_options()
    conditions = _conditions(options)
    print(", ".join(f"{name} {value}" for name, value in conditions.items()), flush=True)
    try:
        results = {scenario: _run_scenario(scenario, options) for scenario in options.scenarios}
    except CrawlFailed as failure:
        print(f"FAILED: {failure}\n--- the end of its log ---\n{failure.log_tail}", file=sys.stderr)
        return CRAWL_FAILED
    if options.json:
        _write_raw(options.json, conditions, results)
    verdicts = [print_scenario(scenario, rounds, options.together) for scenario, rounds in results.items()]
    return 0 if all(verdicts) or options.no_check else BAR_FAILED


def _run_scenario(scenario: str, options: argparse.Namespace) -> list[Round]:
    orders = orders_of(options.modes, options.rounds, options.seed)
    return run_rounds(scenario, options.pages or PAGES[scenario], orders, options.together, options.dir)


def _conditions(options: argparse.Namespace) -> dict[str, Any]:
    return {
        "rounds": options.rounds,
        "modes": "together" if options.together else "in turns",
        "seed": options.seed,
        "Scrapy": version("scrapy"),
        "Python": platform.python_version(),
        "system": platform.platform(terse=True),
    }


def _write_raw(file: Path, conditions: dict[str, Any], results: dict[str, list[Round]]) -> None:
    """Write every crawl; the modes of a round stand in the order of their start."""
    crawls = {
        scenario: [{mode: asdict(done) for mode, done in crawls.items()} for crawls in rounds]
        for scenario, rounds in results.items()
    }
    file.write_text(json.dumps({"conditions": conditions, "crawls": crawls}, indent=2) + "\n")


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.overhead", description=__doc__)
    parser.add_argument("--scenario", choices=[*PAGES, "both"], default="both")
    parser.add_argument("--modes", type=_modes, default="memory,jobdir,t8", help=f"of {', '.join(MODES)}")
    parser.add_argument("--rounds", type=_at_least(1), default=7)
    parser.add_argument("--pages", type=_at_least(FEWEST_PAGES), help=f"per crawl; default {PAGES}")
    parser.add_argument("--together", action="store_true", help="all modes of a round at once, on one core")
    parser.add_argument("--seed", type=int, default=random.randrange(10_000), help="of the modes' order")
    parser.add_argument("--dir", type=Path, help="parent of the crawls' directories; default the system's")
    parser.add_argument("--json", type=Path, help="write the raw results to this file")
    parser.add_argument("--no-check", action="store_true", help="exit with 0 even if a bar fails")
    options = parser.parse_args()
    options.scenarios = ["pages", "links"] if options.scenario == "both" else [options.scenario]
    return options


def _modes(text: str) -> list[str]:
    modes = text.split(",")
    if not set(BASES) & set(modes) or not set(modes) <= MODES.keys() or len(set(modes)) < len(modes):
        raise argparse.ArgumentTypeError(f"{' or '.join(BASES)}, and others of {', '.join(MODES)}, with commas")
    return modes


def _at_least(least: int) -> Any:
    def number(text: str) -> int:
        if int(text) < least:
            raise argparse.ArgumentTypeError(f"at least {least}")
        return int(text)

    return number


if __name__ == "__main__":
    sys.exit(main())
