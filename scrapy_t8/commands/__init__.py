"""``scrapy t8 ...``: look into a job and change it from a terminal.

Scrapy loads this module for each of its commands, so everything else is imported only when ``t8`` is called.
"""

from __future__ import annotations

import argparse

from scrapy.commands import ScrapyCommand


class T8Command(ScrapyCommand):
    """The Scrapy command ``t8``. Its first argument is a command of its own."""

    requires_project = False
    requires_crawler_process = False

    def syntax(self) -> str:
        return "COMMAND [options]"

    def short_desc(self) -> str:
        return "Look into a job of scrapy_t8 and act on it"

    def long_desc(self) -> str:
        return (
            "Look into a job of scrapy_t8 and act on it. Commands that only read work while the crawl runs and never "
            "hold it up. 'scrapy t8 COMMAND --help' shows arguments and examples."
        )

    def add_options(self, parser: argparse.ArgumentParser) -> None:
        from .cli import add_commands

        super().add_options(parser)
        add_commands(parser)

    def run(self, args: list[str], opts: argparse.Namespace) -> None:
        from .cli import run

        assert self.settings is not None
        self.exitcode = run(args, opts, self.settings)


__all__ = ["T8Command"]
