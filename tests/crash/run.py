"""One run of a trial: waiting for a moment, sending signals, making sure that the process is gone."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from signal import SIGKILL, Signals

from tests.support.crawl import SLACK, Running
from tests.support.process import wait_until
from tests.support.site import Site


@dataclass
class TrialRun:
    """One process's turn at the job of a trial.

    :param hits_before: how many requests the site had seen when it began.
    """

    number: int
    running: Running
    site: Site
    hits_before: int
    began: float = field(default_factory=time.time)
    ended: float = 0.0
    signals: list[Signals] = field(default_factory=list)

    @property
    def exit_code(self) -> int | None:
        """Negative for a signal; None as long as the process is alive."""
        return self.running.process.code

    @property
    def died(self) -> bool:
        return self.exit_code == -SIGKILL

    @property
    def was_graceful(self) -> bool:
        """Whether it ended well, of itself or because it was asked to, once."""
        return self.exit_code == 0 and len(self.signals) <= 1

    @property
    def text(self) -> str:
        return self.running.log

    def send(self, what: Signals) -> None:
        """Send a signal, if the process has not ended."""
        self.running.send(what)
        self.signals.append(what)

    def sleep(self, seconds: float) -> bool:
        """Wait for a moment. Return False if the process ended before it."""
        return not self.running.process.join(seconds)

    def sleep_until_answers(self, count: int) -> bool:
        """Wait until the site has answered so many more requests. Return False if the process ended before.

        The site answers a few more, and then waits: the process is at work when it is ended.
        """
        alarm = self.site.alarm(count, SLACK)
        wait_until(lambda: alarm.is_set() or not self.running.process.is_alive, f"answer {count}")
        return self.running.process.is_alive

    def sleep_until_noticed(self) -> bool:
        """Wait until the process has noticed a signal: two at once would be one. Return False if the process ended."""
        process = self.running.process
        wait_until(lambda: "Received SIG" in self.text or not process.is_alive, "a signal noticed")
        return process.is_alive

    def end(self) -> None:
        """Wait for the end."""
        self.site.go_on()
        self.running.process.wait()

    def close(self) -> None:
        """Make sure that the process is gone."""
        self.site.go_on()
        self.running.process.kill()
        self.ended = time.time()

    def tail(self) -> str:
        log = self.running.process.log
        return f"run {self.number}, {log}:\n" + "\n".join(self.text.splitlines()[-30:])
