"""``scrapy t8 heal``: have the next run fetch what is missing, and only that."""

from __future__ import annotations

import argparse
from dataclasses import asdict

from scrapy_t8.commands.context import CommandContext
from scrapy_t8.commands.registry import FINE, Command
from scrapy_t8.core.offline.heal import Healing, heal, would_heal
from scrapy_t8.errors import CommandError


def _run(call: CommandContext) -> int:
    options, screen = call.options, call.screen
    with call.looking() as look:
        if look.of_service:
            raise CommandError("heal is about crawls, and here is the state of a service")
    healing = would_heal(call.directory) if options.dry_run else heal(call.directory)
    if options.json:
        screen.json({"version": 1, "dry_run": options.dry_run, "total": healing.total, **asdict(healing)})
        return FINE
    if not healing.total:
        left = f": {healing.under_way:,} are under way anyway" if healing.under_way else ""
        screen.say(f"There is nothing to heal{left}.")
        return FINE
    screen.say(f"{healing.total:,} missing items {'would be' if options.dry_run else 'are'} asked for again:")
    for line in _lines(healing):
        screen.say(f"  {line}")
    if not options.dry_run:
        screen.say("Run the crawl again: it fetches them.")
    return FINE


def _lines(healing: Healing) -> list[str]:
    told = {
        "whose dead letter is revived": healing.revived,
        "whose request is made again": healing.repeated,
        "known by their key alone: the spider is asked (t8_request_for)": healing.asked,
        "more are under way anyway": healing.under_way,
    }
    return [f"{count:,} {what}" for what, count in told.items() if count]


def _arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-n", "--dry-run", action="store_true", help="only tell what would be done")


COMMANDS = (
    Command(
        "heal",
        "Put what is missing back into the frontier.",
        (("heal --dry-run", "what would it do?"), ("heal --jobdir jobs/cars", "do it; then run the crawl again")),
        _arguments,
        _run,
        has_json=True,
        about="The next run fetches it, and only that. Without --dry-run, no crawl may be using the job.",
    ),
)
