"""How long does it take to go on in the middle of a file of five million slugs, and how much memory?

``python -m benchmarks.slugs`` kills a crawl, moves its resume point to a place far into the file, and runs it again:
measured is the time from the start of the process to its first request, and its size some seconds later. The same with
a short file shows how much of that is Python and Scrapy.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import closing, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from statistics import median
from typing import Any

BAR = 2.0
SHORT = 50_000
FLAT = 20.0
"""MB that the long file may take more than the short one."""
AT_ONCE = 16
"""CONCURRENT_REQUESTS_PER_DOMAIN of the spider: the requests of which any may come first."""
SPIDER = """
from scrapy_t8.spiders import DetailSpider

class Slugs(DetailSpider):
    name = "slugs"
    slug_file = "slugs.txt"
    custom_settings = {"ADDONS": {"scrapy_t8.T8Addon": 500}, "LOG_LEVEL": "INFO", "TELNETCONSOLE_ENABLED": False,
                       "CONCURRENT_REQUESTS_PER_DOMAIN": 16}
    def parse_detail(self, response, slug):
        yield {"slug": slug}
"""


class Site:
    """Answers everything, and knows when it was first asked and by what path."""

    def __init__(self) -> None:
        site = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                if site.first is None:
                    site.first, site.path = time.monotonic(), self.path
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

            def log_message(self, *args: Any) -> None:
                pass

        self.first: float | None = None
        self.path = ""
        ThreadingHTTPServer.handle_error = lambda *args: None  # type: ignore[method-assign] # the killed crawls
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.port = self._server.server_address[1]
        threading.Thread(target=self._server.serve_forever, daemon=True).start()


def run(work: Path, site: Site, seconds: float) -> tuple[float, float]:
    """Crawl for some seconds after the first request, and be killed. Returns the time to that request, and the size."""
    site.first = None
    command = [sys.executable, "-m", "scrapy", "runspider", "slugs.py", "-s", "JOBDIR=job", "-o", "items.jsonl"]
    began = time.monotonic()
    root = str(Path(__file__).resolve().parents[1])
    with (work / "log").open("wb") as log:
        process = subprocess.Popen(command, cwd=work, stderr=log, env={**os.environ, "PYTHONPATH": root})
        while site.first is None or time.monotonic() < site.first + seconds or not has_point(work):
            if process.poll() is not None:
                raise SystemExit((work / "log").read_text())
            time.sleep(0.005)
        size = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
        process.kill()
        process.wait()
    return site.first - began, size


def has_point(work: Path) -> bool:
    """Whether the crawl has committed its resume point."""
    uri = f"{(work / 'job/t8/state.db').as_uri()}?mode=ro"
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(uri, uri=True)) as db:
        return db.execute("SELECT 1 FROM point").fetchone() is not None
    return False


def move_on(work: Path, position: int, slug: str, end: int) -> None:
    """Make the killed crawl one that is far into its file."""
    db = sqlite3.connect(work / "job/t8/state.db")
    record, track = map(json.loads, db.execute("SELECT record, track FROM point").fetchone())
    value = {"slug": slug, "end": end}
    record.update(last_slug=slug, total_processed=position)
    track.update(low=position, value=value, high=position, high_value=value, beyond=[], total=position)
    db.execute("DELETE FROM entry")
    db.execute("DELETE FROM queue")
    job = json.loads(db.execute("SELECT record FROM job").fetchone()[0])
    job["ledger"].update(done=position, admitted=position, dead=0, discarded=0)
    db.execute("UPDATE job SET record = ?", (json.dumps(job),))
    db.execute("UPDATE point SET record = ?, track = ?", (json.dumps(record), json.dumps(track)))
    db.commit()
    db.close()


def measure(lines: int, site: Site, options: argparse.Namespace) -> tuple[float, float]:
    """The median time to the first request after a resume near the end, and the median size."""
    times, sizes = [], []
    for _ in range(options.runs):
        with tempfile.TemporaryDirectory(prefix="t8-slugs-") as name:
            work = Path(name)
            slugs = "".join(f"car-{n:09}\n" for n in range(lines))
            (work / "slugs.txt").write_text(slugs)
            (work / "slugs.py").write_text(SPIDER + f'    detail_url = "http://127.0.0.1:{site.port}/{{slug}}"\n')
            run(work, site, options.seconds / 3)
            position = lines * 9 // 10
            move_on(work, position, f"car-{position - 1:09}", position * 14)
            seconds, size = run(work, site, options.seconds)
            assert site.path in [f"/car-{position + number:09}" for number in range(AT_ONCE)], site.path
            times.append(seconds)
            sizes.append(size)
    return median(times), median(sizes)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--lines", type=int, default=5_000_000)
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="from the first request to a look at the memory")
    options = parser.parse_args()
    site = Site()
    short, small = measure(SHORT, site, options)
    seconds, size = measure(options.lines, site, options)
    rows = {"first request after a resume, s": (seconds, short, BAR), "memory, MB": (size, small, small + FLAT)}
    for name, (long, little, bar) in rows.items():
        verdict = "pass" if long <= bar else "FAIL"
        print(f"{name:34} {options.lines:,} slugs {long:7.2f}, {SHORT:,} slugs {little:7.2f}  <= {bar:g} {verdict}")
    return 0 if seconds <= BAR and size <= small + FLAT else 1


if __name__ == "__main__":
    sys.exit(main())
