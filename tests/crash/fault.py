"""The command line of Scrapy, in a process that kills itself at a named point of scrapy_t8.

``CRASH_FAULT`` is ``module:function:when:n``: the process dies at the *n*-th time that the function comes to
*when*, one of

* ``before``, ``after``: its beginning, its end;
* ``false``: its end with the result False;
* ``sql TEXT``: the beginning of a statement with TEXT in it, which runs inside a call of the function.
"""

from __future__ import annotations

import functools
import inspect
import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from importlib import import_module
from typing import Any


class Fault:
    """Counts how often the point was reached, and kills the process when it has been often enough."""

    def __init__(self, spec: str) -> None:
        self.module, self.path, when, times = spec.split(":")
        self.when, _, self.statement = when.partition(" ")
        self._left = int(times)
        self._inside = 0

    def arm(self) -> None:
        """Put the fault in the place of the function."""
        owner: Any = import_module(self.module)
        *parents, name = self.path.split(".")
        for parent in parents:
            owner = getattr(owner, parent)
        setattr(owner, name, self._faulty(getattr(owner, name)))
        if self.when == "sql":
            self._listen()

    def reached(self, when: str, result: Any = None) -> None:
        """Count a point of the function, and end the process if it is the one."""
        if self.when == when or (self.when == "false" and when == "after" and result is False):
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)

    def _faulty(self, function: Callable[..., Any]) -> Callable[..., Any]:
        if inspect.iscoroutinefunction(function):

            @functools.wraps(function)
            async def faulty_coroutine(*args: Any, **kwargs: Any) -> Any:
                self.reached("before")
                result = await function(*args, **kwargs)
                self.reached("after", result)
                return result

            return faulty_coroutine

        @functools.wraps(function)
        def faulty(*args: Any, **kwargs: Any) -> Any:
            self.reached("before")
            self._inside += 1
            try:
                result = function(*args, **kwargs)
            finally:
                self._inside -= 1
            self.reached("after", result)
            return result

        return faulty

    def _listen(self) -> None:
        """Have SQLite report each statement before it runs."""
        connect = sqlite3.connect

        def listened(*args: Any, **kwargs: Any) -> sqlite3.Connection:
            db: sqlite3.Connection = connect(*args, **kwargs)
            db.set_trace_callback(self._statement)
            return db

        sqlite3.connect = listened  # type: ignore[assignment]

    def _statement(self, statement: str) -> None:
        if self._inside and self.statement in " ".join(statement.split()):
            self.reached("sql")


if __name__ == "__main__":
    Fault(os.environ["CRASH_FAULT"]).arm()
    from scrapy.cmdline import execute

    sys.argv[0] = "scrapy"
    execute()
