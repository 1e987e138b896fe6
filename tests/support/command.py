"""Calls ``scrapy t8`` as Scrapy does: in this process, or in one of its own."""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from scrapy import cmdline
from scrapy.settings import Settings

from .process import run

cmdline.entry_points = cache(cmdline.entry_points)  # else each call reads the metadata of all that is installed


class T8:
    """Calls ``scrapy t8``, in this process and outside of any project."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.out = self.err = ""

    def __call__(self, *arguments: str | Path, settings: dict[str, Any] | None = None) -> int:
        """Call it, and return the exit status."""
        with pytest.raises(SystemExit) as ended:
            cmdline.execute(["scrapy", "t8", *map(str, arguments)], Settings(settings))
        self.out, self.err = self._capsys.readouterr()
        code = ended.value.code
        assert isinstance(code, int)
        assert "Traceback" not in self.err
        return code

    def json(self, *arguments: str | Path) -> Any:
        """Return what it prints with ``--json``."""
        assert self(*arguments, "--json") == 0, self.err
        return json.loads(self.out)

    def refused(self, status: int, *arguments: str | Path, settings: dict[str, Any] | None = None) -> str:
        """Return the one line in which it says why it refuses."""
        assert self(*arguments, settings=settings) == status, self.out + self.err
        assert self.err.count("\n") == 1, self.err
        assert self.out == ""
        return self.err.removesuffix("\n")


def spawn(*arguments: str | Path, cwd: Path, **variables: str) -> subprocess.CompletedProcess[str]:
    """Call ``scrapy t8`` in a process of its own."""
    env = {**os.environ, **variables}
    return run("-m", "scrapy", "t8", *arguments, cwd=cwd, env=env, stdin=subprocess.DEVNULL)
