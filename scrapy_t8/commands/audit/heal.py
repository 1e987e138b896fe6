"""``scrapy t8 heal``: make the next run fetch only the missing items."""

from __future__ import annotations

from dataclasses import asdict

from scrapy_t8.commands.context import CommandContext
from scrapy_t8.commands.registry import OK, command, flag
from scrapy_t8.core.offline.heal import heal, would_heal
from scrapy_t8.errors import CommandError
from scrapy_t8.utils.text import counted


@command("heal", flag("-n", "--dry-run", text="only show what would be done"), has_json=True)
def _run(context: CommandContext) -> int:
    """Put requests for missing items back into the frontier.

    heal --dry-run  # what would it do?
    heal --jobdir jobs/cars  # do it; then run the crawl again

    The next run fetches only these. Without --dry-run, no crawl may be using the job.
    """
    options, terminal = context.options, context.terminal
    with context.view() as view:
        if view.is_service:
            raise CommandError(
                f"{context.directory} has the state of a service, and heal is for crawls: scrapy t8 failed revive "
                "tries the tasks of a service again"
            )
        dead = view.job.ledger.dead
    healing = would_heal(context.directory) if options.dry_run else heal(context.directory)
    if options.json:
        terminal.print_json({"version": 1, "dry_run": options.dry_run, "total": healing.total, **asdict(healing)})
    elif not healing.total:
        left = f": {counted(healing.under_way, 'is', 'are')} under way anyway" if healing.under_way else ""
        terminal.print_line(f"There is nothing to heal{left}.")
        if dead:
            given_up = counted(dead, "request was given up", "requests were given up")
            terminal.print_line(f"{given_up}: scrapy t8 failed groups shows why, scrapy t8 failed revive tries again.")
    else:
        are = "would be" if options.dry_run else "are"
        terminal.print_line(f"{healing.total:,} missing items {are} requested again:")
        counts = {
            "whose dead letter is revived": healing.revived,
            "whose request is made again": healing.repeated,
            "of which only the key is known: the spider makes the request (t8_request_for)": healing.asked,
            "more are under way anyway": healing.under_way,
        }
        for what, count in counts.items():
            if count:
                terminal.print_line(f"  {count:,} {what}")
        if not options.dry_run:
            terminal.print_line("Run the crawl again: it fetches them.")
    return OK


COMMANDS = (_run,)
