"""``scrapy t8 report``: is it all there?"""

from __future__ import annotations

import argparse
from pathlib import Path

from scrapy_t8.commands.context import CommandContext
from scrapy_t8.commands.registry import ALARMED, DIFFERENT, FINE, Command
from scrapy_t8.config.settings import effective
from scrapy_t8.report.document import exit_status
from scrapy_t8.report.files import DIRECTORY, HTML, JSON, read_report, write
from scrapy_t8.report.summary import summary


def _run(call: CommandContext) -> int:
    options, screen = call.options, call.screen
    document = read_report(call.directory)
    if options.output or not options.json:
        page = write(document, _where(call))
    if options.json:
        screen.json(document)
    else:
        for line in summary(document).splitlines():
            screen.say(line)
        screen.say(f"  more in {page}")
        if page.name == JSON:
            screen.say(f"  for {HTML}: pip install 'scrapy-t8[report]'")
    return exit_status(document) if options.check else FINE


def _where(call: CommandContext) -> Path:
    given = call.options.output or effective(call.settings).config.report_dir
    return Path(given) if given else call.directory / DIRECTORY


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", metavar="DIR", help="where report.json and report.html go (default: as a crawl's)")
    parser.add_argument("--check", action="store_true", help="end as scrapy crawl does with T8_EXIT_STATUS")


COMMANDS = (
    Command(
        "report",
        "Write the integrity report, and tell the most important of it.",
        (
            ("report", "report.json and report.html, and a summary here"),
            ("report --json", "report.json to standard output, and no file; keys as in docs/report.md"),
            ("report --output /var/www/cars --check", "elsewhere; 3 if something is missing"),
        ),
        _arguments,
        _run,
        has_json=True,
        about="Also while the crawl runs.",
        statuses={
            DIFFERENT: "with --check: something is missing, or the books do not balance",
            ALARMED: "with --check: it is complete, but there are alerts",
        },
    ),
)
