"""What the service costs: `python -m benchmarks.service [--tasks N] [--points N]`."""

import argparse
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from scrapy_t8 import T8ResumeAndRetry

BATCH = "in batches of 100"


MOST = {"add": 100.0, "due": 10_000.0, "size": 20.0}
"""Bars: microseconds of a task that is added in a batch, of a look at what is due; MiB of a million resume points."""
failed: list[str] = []


def main() -> int:
    options = _options()
    with tempfile.TemporaryDirectory() as directory:
        say("the configuration, once for each start of a crawl", configuration())
        size = with_service(Path(directory) / "points", points, options.points)
        check("size", size)
        with_service(Path(directory) / "tasks", tasks, options.tasks)
    return 1 if failed else 0


def with_service(directory: Path, use: Callable[[T8ResumeAndRetry, int], None], number: int) -> float:
    config = {"state_dir": str(directory), "log_level": "ERROR", "enable_auto_retry": False, "max_failed_tasks": 10**9}
    with T8ResumeAndRetry(config) as t8:
        use(t8, number)
        size = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file()) / 2**20
        say("size of the state while it is open", f"{size:.1f} MiB")
    return size


def check(bar: str, value: float) -> None:
    if value > MOST[bar]:
        failed.append(bar)
        say(f"  too much: the bar is {MOST[bar]:g}")


def points(t8: T8ResumeAndRetry, number: int) -> None:
    def create(page: int) -> None:
        t8.create_resume_point("LIST_COLLECTION", page, 20 * page, f"cursor_{page}", None, {"tag": "latest"})

    measure(f"{number:,} create_resume_point, each committed", create, number)
    with t8.state_manager.batch():
        measure(f"{number:,} create_resume_point, {BATCH}", create, number)


def tasks(t8: T8ResumeAndRetry, number: int) -> None:
    def add(index: int) -> None:
        t8.add_failed_task("DETAIL_COLLECTION", f"car-model-{index}", "API timeout", {"page": index // 20})

    with t8.state_manager.batch():
        check("add", measure(f"{number:,} add_failed_task, {BATCH}", add, number))
    few = min(number, 10_000)
    measure(f"{few:,} add_failed_task more, each committed", add, few)
    parts, types = t8.state_manager.parts, ["DETAIL_COLLECTION", "IMAGE_DOWNLOAD"]
    check(
        "due",
        measure("a look at when the next is due", lambda _: parts.context.stored_tasks.next_due(types), 100),
    )
    check("due", measure("a lease of 10 tasks that are due", lambda _: parts.tasks.lease(types, 10), 100))
    measure("get_metrics", lambda _: t8.get_metrics(), 10)


def measure(what: str, call: Callable[[int], Any], number: int) -> float:
    """Do something so often. Returns the microseconds of each."""
    start, cpu = time.perf_counter(), time.process_time()
    for index in range(number):
        call(index)
    wall, used = time.perf_counter() - start, time.process_time() - cpu
    say(what, f"{wall:8.2f} s, {1e6 * wall / number:10.1f} us each ({1e6 * used / number:.1f} of CPU)")
    return 1e6 * wall / number


def configuration() -> str:
    """Seconds that the configuration takes of a start, with and without a variable of the environment."""
    code = (
        "import time, os, sys\nimport scrapy_t8\nfrom scrapy.settings import Settings\n"
        "from scrapy_t8.config.settings import Config\n{}\nsettings = Settings()\nstart = time.perf_counter()\n"
        "Config.from_settings(settings)\nprint(time.perf_counter() - start)"
    )
    told = []
    for what, line in (("nothing outside", ""), ("a variable", "os.environ['T8_MAX_WORKERS'] = '3'")):
        runs = [subprocess.run([sys.executable, "-c", code.format(line)], capture_output=True) for _ in range(5)]
        told.append(f"{what}: {1000 * min(float(run.stdout) for run in runs):.2f} ms")
    return "; ".join(told)


def say(what: str, *how: str) -> None:
    print(f"{what:<58}{' '.join(how)}", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Measure the service.")
    parser.add_argument("--points", type=int, default=1_000_000, help="resume points (%(default)s)")
    parser.add_argument("--tasks", type=int, default=100_000, help="failed tasks (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
