"""A process that uses the service until it is killed: `python -m tests.integration.service.worker WHAT STATE LOG`."""

from __future__ import annotations

import os
import sys
import threading
import time
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil

from scrapy_t8 import T8ResumeAndRetry

CONFIG: dict[str, Any] = {
    "log_level": "ERROR",
    "retry_check_interval": 0.05,
    "retry_base": 0.01,
    "crash_limit": 100,
    "max_workers": 4,
    "update_interval": 0,
}


class Log:
    """Lines that survive a kill at once."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

    def write(self, *words: object) -> None:
        os.write(self._fd, (" ".join(map(str, words)) + "\n").encode())

    def read(self) -> list[list[str]]:
        return [line.split() for line in self._path.read_text().splitlines()]


def points(t8: T8ResumeAndRetry, log: Log) -> None:
    """Each page is said to be done, then written to the log."""
    last = t8.get_resume_point("LIST_COLLECTION")
    page = last.current_page if last else 0
    while True:
        page += 1
        t8.create_resume_point("LIST_COLLECTION", page, page)
        log.write(page)


def batches(t8: T8ResumeAndRetry, log: Log) -> None:
    """Each page is written to the log, then said to be done in a batch."""
    with t8.state_manager.batch():
        for page in range(1, 10**9):
            log.write(page)
            t8.create_resume_point("LIST_COLLECTION", page, page)


def adding(t8: T8ResumeAndRetry, log: Log) -> None:
    """Several threads add tasks, and write to the log which."""

    def add() -> None:
        while True:
            log.write(t8.add_failed_task("DETAIL_COLLECTION", f"car {uuid4()}", "no answer"))

    for _ in range(8):
        threading.Thread(target=add, daemon=True).start()
    time.sleep(3600)


def churning(state: str, log: Log) -> None:
    """The state is opened and closed all the time: the last one to close moves the log, the first one makes it."""
    while True:
        with T8ResumeAndRetry({**CONFIG, "state_dir": state}) as t8:
            for _ in range(20):
                log.write(t8.add_failed_task("DETAIL_COLLECTION", f"car {uuid4()}", "no answer"))


def retrying(t8: T8ResumeAndRetry, log: Log) -> None:
    """Handlers write when they begin and end, and look whether another one is at the same task."""

    def handler(target: str, metadata: dict[str, Any]) -> bool:
        open_by: dict[str, str] = {}
        log.write("begin", target, os.getpid())
        for what, which, pid in log.read():
            if which == target and what == "begin":
                open_by[pid] = which
            elif which == target:
                open_by.pop(pid, None)
        open_by.pop(str(os.getpid()), None)
        for pid in open_by:
            if alive(int(pid)):
                log.write("overlap", target, pid)
        time.sleep(0.02)
        log.write("end", target, os.getpid())
        return True

    t8.retry_manager.register_retry_handler("DETAIL_COLLECTION", handler)
    time.sleep(3600)


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def main(what: str, state: str, log: str) -> None:
    if what == "churning":
        churning(state, Log(Path(log)))
    with T8ResumeAndRetry({**CONFIG, "state_dir": state}) as t8:
        globals()[what](t8, Log(Path(log)))


if __name__ == "__main__":
    main(*sys.argv[1:])
