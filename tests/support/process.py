"""Starts crawls as processes of their own, forked off one that has imported Scrapy already: half a second less each."""

from __future__ import annotations

import atexit
import os
import runpy
import sys
from collections.abc import Callable, Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path

CONTEXT = get_context("forkserver")
# Nothing of these reads the environment, the arguments or the working directory when it is imported. No scrapy_t8:
# each crawl imports what is there by then.
PRELOADED = [
    "scrapy.cmdline",
    "scrapy.crawler",
    "scrapy.core.downloader.handlers.http11",
    "scrapy.downloadermiddlewares.cookies",
    "scrapy.extensions.feedexport",
    "scrapy.linkextractors",
    "msgpack",
    "sqlite3",
]
CONTEXT.set_forkserver_preload(PRELOADED)


def launch(
    arguments: Sequence[str],
    directory: Path,
    environment: Mapping[str, str],
    log: Path,
    limit: float,
    before: Callable[[], object] | None = None,
) -> int:
    """Run ``python *arguments`` to its end and return its exit status; minus the signal that ended it.

    :raises TimeoutError: if it takes longer than *limit* seconds; it is dead then.
    """
    process = CONTEXT.Process(target=_main, args=(arguments, directory, dict(environment), log, before))
    process.start()
    process.join(limit)
    hangs = process.is_alive()
    if hangs:
        process.kill()
        process.join()
    code = process.exitcode
    process.close()
    if hangs:
        raise TimeoutError(f"{' '.join(arguments)} took more than {limit} seconds:\n{log.read_text()[-3000:]}")
    assert code is not None
    return code


def _main(
    arguments: Sequence[str],
    directory: Path,
    environment: dict[str, str],
    log: Path,
    before: Callable[[], object] | None,
) -> None:
    """What the interpreter does, in a process that was forked."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(directory)
    output = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(output, stream)
    sys.path[:0] = environment["PYTHONPATH"].split(os.pathsep)
    if before is not None:
        before()
    try:
        if arguments[0] == "-m":
            sys.argv = ["", *arguments[2:]]
            runpy.run_module(arguments[1], run_name="__main__", alter_sys=True)
        else:
            sys.argv = list(arguments)
            runpy.run_path(arguments[0], run_name="__main__")
    finally:
        # A process of multiprocessing ends without them.
        atexit._run_exitfuncs()
