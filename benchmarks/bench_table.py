"""Print the rounds of a scenario as tables, and say which bars hold."""

from __future__ import annotations

from dataclasses import astuple
from statistics import median

from benchmarks.bench_crawl import MODES
from benchmarks.bench_measures import BASES, MEASURES, Measure, Spread, bar_of
from benchmarks.bench_rounds import Round


def print_scenario(scenario: str, rounds: list[Round], together: bool) -> bool:
    """Print all of a scenario; True if every bar holds."""
    measures = [measure for measure in MEASURES if not (together and measure.of_wall_time)]
    print(f"\n{scenario}, medians of rounds 1 to {len(rounds)}")
    _print_absolutes(rounds)
    return _print_measures(scenario, measures, rounds)


def _base_of(rounds: list[Round]) -> str:
    """The mode that the others are compared with."""
    return next(mode for mode in BASES if mode in rounds[0])


def _print_absolutes(rounds: list[Round]) -> None:
    print(f"\n{'mode':<10}{'crawl CPU s':>12}{'process CPU s':>15}{'pages/s':>10}{'peak MB':>10}")
    for mode in _modes(rounds):
        crawls = [crawls[mode] for crawls in rounds]
        cpu = median(crawl.cpu for crawl in crawls)
        process_cpu = median(crawl.process_cpu for crawl in crawls)
        pace = median(crawl.pages / crawl.seconds for crawl in crawls)
        peak = median(crawl.peak_mb for crawl in crawls)
        print(f"{mode:<10}{cpu:>12.2f}{process_cpu:>15.2f}{pace:>10.0f}{peak:>10.1f}")


def _print_measures(scenario: str, measures: list[Measure], rounds: list[Round]) -> bool:
    base = _base_of(rounds)
    print(f"\n{f'against {base}, per round':<27}{'mode':<10}{'median':>8}{'quartiles':>18}{'mean':>16}  bar")
    verdicts = [
        _print_measure(scenario, measure, mode, rounds)
        for measure in measures
        for mode in _modes(rounds)
        if mode != base
    ]
    return all(verdicts)


def _print_measure(scenario: str, measure: Measure, mode: str, rounds: list[Round]) -> bool:
    base = _base_of(rounds)
    spread = Spread.of([measure.compare(crawls[mode], crawls[base]) for crawls in rounds])
    lower, middle, upper, mean, error = (f"{value:.{measure.digits}f}" for value in astuple(spread))
    bar = bar_of(scenario, mode, base, measure.name)
    verdict = bar.verdict(spread) if bar else ""
    spans = f"{f'{lower} .. {upper}':>18}{f'{mean} +- {error}':>16}"
    print(f"{measure.name:<27}{mode:<10}{middle:>8}{spans}  {verdict}".rstrip())
    return bar is None or bar.holds(spread.median)


def _modes(rounds: list[Round]) -> list[str]:
    return [mode for mode in MODES if mode in rounds[0]]
