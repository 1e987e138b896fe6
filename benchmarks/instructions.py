"""How many instructions does T8 cost? A short and a longer crawl, plain and with T8, under valgrind. See README.md."""

from __future__ import annotations

import argparse
import os
import platform
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory

from benchmarks.bench_crawl import CrawlFailed, crawl, crawl_in
from benchmarks.bench_server import Site, serving

PLAIN, T8 = "frozen", "t8"
MODES = (PLAIN, T8)
PAGE_BAR = 1.05
ENDS_BAR = 350.0
"""Millions of instructions."""
MILLION = 1e6
BAR_FAILED, CRAWL_FAILED = 1, 2

COUNT_FILE = "instructions"
VALGRIND = ("valgrind", "--tool=cachegrind", "--cache-sim=no", "--cachegrind-out-file=/dev/null")
COUNT = re.compile(r"I\s+refs:\s+([\d,]+)")

Counts = dict[tuple[str, int], list[int]]
"""The instructions of each crawl by its mode and its pages, one for each round."""


@dataclass(frozen=True)
class Cost:
    """What the crawls of one mode cost, in millions of instructions."""

    short: float
    long: float
    page: float
    """Each page more."""
    ends: float
    """Start and end: what is left of a crawl without its pages."""

    @classmethod
    def of(cls, counts: dict[int, float]) -> Cost:
        """Draw a line through the instructions of a short and of a longer crawl, by their pages."""
        (few, short), (many, long) = sorted(counts.items())
        page = (long - short) / (many - few)
        return cls(*(count / MILLION for count in (short, long, page, short - few * page)))


def main() -> int:
    """Count what the command line asks for; the exit code says whether the bars hold."""
    options = _parse_options()
    valgrind = subprocess.run(["valgrind", "--version"], check=True, stdout=subprocess.PIPE, text=True).stdout.strip()
    versions = f"Scrapy {version('scrapy')}, Python {platform.python_version()}, {valgrind}"
    page = "without report.html" if options.without_page else "with report.html if the extra is installed"
    print(f"{options.scenario}, rounds {options.rounds}, {page}, {versions}", flush=True)
    try:
        with TemporaryDirectory(prefix="t8-bench-") as name:
            _fix_environment(Path(name), without_page=options.without_page)
            counts = count_all(options.scenario, options.pages, options.rounds)
    except CrawlFailed as failure:
        print(f"FAILED: {failure}\n--- the end of its log ---\n{failure.log_tail}", file=sys.stderr)
        return CRAWL_FAILED
    return 0 if print_costs(counts, options.pages) or options.no_check else BAR_FAILED


def count_all(scenario: str, sizes: tuple[int, int], rounds: int) -> Counts:
    """Count the instructions of a crawl of each size in each mode, once per round."""
    counts: Counts = {}
    for pages in sizes:
        with serving(scenario, pages) as site:
            for mode in MODES:
                # Not counted: it fills the caches of bytecode and of files.
                crawl(scenario, mode, site, pages, None)
                counts[mode, pages] = [_count(scenario, mode, site, pages) for _ in range(rounds)]
    return counts


def _count(scenario: str, mode: str, site: Site, pages: int) -> int:
    """Return the instructions of one crawl, with those of the interpreter's start and end."""
    with TemporaryDirectory(prefix="t8-bench-") as name:
        file = Path(name, COUNT_FILE)
        crawl_in(Path(name), scenario, mode, site, pages, under=(*VALGRIND, f"--log-file={file}"))
        found = COUNT.search(file.read_text())
    assert found is not None, "valgrind has counted nothing"
    count = int(found.group(1).replace(",", ""))
    print(f"  {mode:<8}{pages:>6} pages {count / MILLION:12,.1f} M", file=sys.stderr, flush=True)
    return count


def print_costs(counts: Counts, sizes: tuple[int, int]) -> bool:
    """Print what both modes cost and how they compare; True if both bars hold."""
    costs = {mode: Cost.of({pages: median(counts[mode, pages]) for pages in sizes}) for mode in MODES}
    print(f"\nmillions of instructions, medians of {len(counts[PLAIN, sizes[0]])}")
    print(f"\n{'mode':<18}{f'{sizes[0]} pages':>12}{f'{sizes[1]} pages':>12}{'a page':>10}{'start and end':>16}")
    for mode, cost in costs.items():
        print(f"{mode:<18}{cost.short:>12,.1f}{cost.long:>12,.1f}{cost.page:>10.3f}{cost.ends:>16,.1f}")
    print(f"\n{f'against {PLAIN}':<18}{'added':>12}{'ratio':>12}  bar")
    plain, t8 = costs[PLAIN], costs[T8]
    page_holds, ends_hold = t8.page / plain.page <= PAGE_BAR, t8.ends - plain.ends <= ENDS_BAR
    _print_row("a page", t8.page, plain.page, f"ratio <= {PAGE_BAR:g}", page_holds)
    _print_row("start and end", t8.ends, plain.ends, f"added <= {ENDS_BAR:g}", ends_hold)
    return page_holds and ends_hold


def _print_row(what: str, t8: float, plain: float, bar: str, holds: bool) -> None:
    print(f"{what:<18}{t8 - plain:>12.3f}{t8 / plain:>12.4f}  {bar} {'pass' if holds else 'FAIL'}")


def _fix_environment(directory: Path, *, without_page: bool) -> None:
    """Have every crawl hash alike, and find its bytecode where the first one has left it.

    :param without_page: hide what report.html is made with, by a module in *directory*.
    """
    os.environ["PYTHONHASHSEED"] = "0"
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    if without_page:
        Path(directory, "jinja2.py").write_text("raise ImportError('hidden', name='jinja2')\n")
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [str(directory), os.environ.get("PYTHONPATH")]))


def _parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.instructions", description=__doc__)
    parser.add_argument("--scenario", choices=("pages", "links"), default="pages")
    parser.add_argument("--pages", type=int, nargs=2, default=(40, 200), metavar=("SHORT", "LONG"), help="per crawl")
    parser.add_argument("--rounds", type=int, default=3, help="of which the median counts")
    parser.add_argument("--without-page", action="store_true", help="as where the extra 'report' is not installed")
    parser.add_argument("--no-check", action="store_true", help="exit with 0 even if a bar fails")
    options = parser.parse_args()
    options.pages = tuple(options.pages)
    if not 20 <= options.pages[0] < options.pages[1] or options.rounds < 1:
        parser.error("--pages takes two numbers of at least 20, the smaller one first; --rounds at least 1")
    if shutil.which("valgrind") is None:
        parser.error("valgrind is not installed")
    return options


if __name__ == "__main__":
    sys.exit(main())
