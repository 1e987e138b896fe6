"""Makes the archives beside it: ``python -m tests.data.schema4.make``, with the release that is to be remembered.

Each archive is the directory that a process has left behind when it was killed: a crawl in the middle of its work, with
each policy for duplicates that keeps something of its own, and a service.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
CRAWLS = {"crawl-changed": "changed", "crawl-last": "last"}
COMMAND = [sys.executable, "-m", "scrapy", "runspider", "shop.py", "-s", "JOBDIR=job", "-o", "items.jl"]


def crawl(directory: Path, *settings: str, feed: str = "items.jl") -> subprocess.CompletedProcess[str]:
    """Run the spider of the shop in *directory*, which has a copy of it."""
    (directory / "shop.py").write_bytes((HERE / "shop.py").read_bytes())
    given = [part for setting in settings for part in ("-s", setting)]
    command = [*COMMAND[:-1], feed, *given]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, timeout=180, check=False)


SERVICE = """
import os, signal, time
from scrapy_t8 import T8ResumeAndRetry

STATE = {"state_dir": "state", "update_interval": 0, "retry_base": 600.0, "retry_jitter": 0.0, "log_level": "ERROR"}
t8 = T8ResumeAndRetry(STATE)
manager = t8.state_manager
manager.open()
for page in (4, 5):
    t8.create_resume_point("LIST_COLLECTION", page, 24 * page, f"cursor_{page}", metadata={"tag": "汽车交通"})
t8.create_resume_point("DETAIL_COLLECTION", 1, 1, metadata={"slugs": ["x" * 200] * 20}, name="by slug")
t8.add_failed_task("DETAIL_COLLECTION", "car-1", "API请求超时", metadata={"page": 1, "note": "y" * 2000})
t8.add_failed_task("IMAGE_DOWNLOAD", "car-2.jpg", "404", metadata={}, max_retries=0)
manager.import_state([{
    "task_id": "DETAIL_COLLECTION_a1b2c3d4", "task_type": "DETAIL_COLLECTION", "target": "car-model-001",
    "error_message": "API请求超时", "retry_count": 2, "max_retries": 3, "next_retry_time": "2024-01-15T11:00:00",
    "created_at": "2024-01-15T10:30:00", "metadata": {},
}])
manager.start_run("LIST_COLLECTION", total_items=1000)
manager.update_run("LIST_COLLECTION", processed_items=120, failed_items=5)
manager.start_run("IMAGE_DOWNLOAD", total_items=3)
manager.finish_run("IMAGE_DOWNLOAD")
t8.retry_manager.register_retry_handler(
    "DETAIL_COLLECTION", lambda target, metadata: os.kill(os.getpid(), signal.SIGKILL)
)
t8.retry_manager.run_due()
"""


def service(directory: Path) -> None:
    """Run a service that dies while a handler is at work."""
    ended = subprocess.run([sys.executable, "-c", SERVICE], cwd=directory, timeout=180, check=False)
    assert ended.returncode == -signal.SIGKILL, ended


def main() -> None:
    for name, policy in CRAWLS.items():
        with tempfile.TemporaryDirectory() as place:
            ended = crawl(Path(place), "SHOP_HANGS=1", f"T8_DEDUP_POLICY={policy}")
            assert ended.returncode == -signal.SIGKILL, ended.stderr
            pack(name, Path(place), "job", "items.jl")
    with tempfile.TemporaryDirectory() as place:
        service(Path(place))
        pack("service", Path(place), "state")


def pack(name: str, directory: Path, *parts: str) -> None:
    with tarfile.open(HERE / f"{name}.tar.xz", "w:xz") as archive:
        for part in filter(lambda part: os.path.exists(directory / part), parts):
            archive.add(directory / part, part)


if __name__ == "__main__":
    main()
