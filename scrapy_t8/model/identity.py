"""What tells one job from another: the spider and its arguments."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from .records import JobRecord


@dataclass(frozen=True, slots=True)
class Identity:
    """Who crawls here.

    :param arguments: the spider's, in a form that can be stored and compared; None where they cannot be told.
    """

    spider: str
    arguments: dict[str, Any] | None

    @classmethod
    def of(cls, spider: str, arguments: dict[str, Any] | None) -> Identity:
        if arguments is None:
            return cls(spider, None)
        # Of an object, its type must do.
        plain = json.dumps(arguments, default=lambda value: type(value).__qualname__, sort_keys=True)
        return cls(spider, json.loads(plain))

    def owns(self, job: JobRecord) -> bool:
        """Whether *job* is ours to go on with."""
        return self.spider == job.spider and self.arguments in (None, job.arguments)

    def take_over(self, job: JobRecord) -> None:
        """From now on *job* is ours."""
        job.spider = self.spider
        if self.arguments is not None:
            job.arguments = self.arguments

    def difference(self, job: JobRecord) -> str:
        """In words, what *job* was begun with and we are not."""
        if self.spider != job.spider:
            return f"spider {job.spider!r}, not {self.spider!r}"
        before, now = job.arguments, self.arguments or {}
        names = sorted(name for name in {*before, *now} if before.get(name) != now.get(name))
        return "other spider arguments: " + ", ".join(
            f"{name} was {before.get(name)!r}, is {now.get(name)!r}" for name in names
        )
