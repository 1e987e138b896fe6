"""Calls ``scrapy t8`` as Scrapy does: in this process, or in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from scrapy.cmdline import execute
from scrapy.settings import Settings


class T8:
    """``scrapy t8``, in this process and outside of any project."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str | Path, settings: dict[str, Any] | None = None) -> int:
        """Call it. Returns the exit status."""
        with pytest.raises(SystemExit) as ended:
            execute(["scrapy", "t8", *map(str, arguments)], Settings(settings))
        self.out, self.err = self._capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        assert "Traceback" not in self.err
        return code

    def json(self, *arguments: str | Path) -> Any:
        """What it prints with ``--json``."""
        assert self(*arguments, "--json") == 0, self.err
        return json.loads(self.out)

    def refused(self, status: int, *arguments: str | Path, settings: dict[str, Any] | None = None) -> str:
        """The one line in which it says why not."""
        assert self(*arguments, settings=settings) == status, self.out + self.err
        assert self.err.count("\n") == 1, self.err
        assert self.out == ""
        return self.err.removesuffix("\n")


def spawn(*arguments: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """The same in a process of its own."""
    command = [sys.executable, "-m", "scrapy", "t8", *map(str, arguments)]
    env = {**os.environ, **variables}
    return subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
