"""``scrapy t8 report``: is everything there?"""

from __future__ import annotations

from pathlib import Path

from scrapy_t8.commands.context import CommandContext
from scrapy_t8.commands.registry import ALERTS, MISMATCH, OK, argument, command, flag
from scrapy_t8.config.settings import effective
from scrapy_t8.report.document import exit_status
from scrapy_t8.report.files import DIRECTORY, HTML, JSON, read_report, write
from scrapy_t8.report.summary import summary
from scrapy_t8.utils.text import install


@command(
    "report",
    argument("--output", metavar="DIR", help="where to write report.json and report.html (default: as a crawl)"),
    flag("--check", text="end as scrapy crawl does with T8_EXIT_STATUS"),
    has_json=True,
    statuses={
        MISMATCH: "with --check: something is missing, or the ledger does not balance",
        ALERTS: "with --check: the job is complete, but there are alerts",
    },
)
def _run(context: CommandContext) -> int:
    """Write the integrity report, and print its summary.

    report  # report.json and report.html, and a summary here
    report --json  # report.json to standard output, and no file; scrapy t8 help report lists the keys
    report --output /var/www/cars --check  # elsewhere; 3 if something is missing

    It works while the crawl runs, too.
    """
    options, terminal = context.options, context.terminal
    document = read_report(context.directory, context.accepted)
    if options.output or not options.json:
        given = options.output or effective(context.settings).config.report_dir
        page = write(document, Path(given) if given else context.directory / DIRECTORY, context.directory)
    if options.json:
        terminal.print_json(document)
    else:
        for line in summary(document, context.directory).splitlines():
            terminal.print_line(line)
        terminal.print_line(f"  more in {page}")
        if page.name == JSON:
            terminal.print_line(f"  for {HTML}: {install('report')}")
    return exit_status(document) if options.check else OK


COMMANDS = (_run,)
