"""``scrapy t8 demo``, ``selftest`` and ``config``, which ``python -m scrapy_t8`` does too."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from scrapy_t8.commands.context import CommandContext
from scrapy_t8.commands.registry import ERROR, OK, argument, command, flag
from scrapy_t8.config.parsing import DEFAULT
from scrapy_t8.config.settings import CHOICES, Effective, effective
from scrapy_t8.config.sources import PROFILES
from scrapy_t8.config.topics import TOPICS

HERE = "the command line"
ARGUMENTS = (
    argument("--env", help=f"the profile: {', '.join(PROFILES)} (default: T8_ENV)"),
    argument("--log-level", metavar="LEVEL", help=f"of the service: {', '.join(CHOICES['log_level'])}"),
)


@command("demo", *ARGUMENTS, finds_job=False, statuses={ERROR: "not all was collected"})
def _demo(call: CommandContext) -> int:
    """See a collector killed and resumed, and a failing target tried again.

    demo  # takes some seconds
    demo --log-level info  # with the log of the service
    """
    from .demo import demo

    found = _effective(call)
    return OK if demo(found.config, call.terminal.print_line, log_level=call.options.log_level) else ERROR


@command("selftest", *ARGUMENTS, finds_job=False, statuses={ERROR: "something does not work"})
def _selftest(call: CommandContext) -> int:
    """Does the package work on this machine? Store, lock, kill and recover, retry, report.

    selftest  # takes some seconds
    selftest --env production  # with the profile for production
    """
    from .selftest import selftest

    # The service's log is shown if it is asked for: it would be longer than the results.
    level = (call.options.log_level or "CRITICAL").upper()
    return OK if selftest(_effective(call).config, call.terminal.print_line, log_level=level) else ERROR


@command(
    "config",
    *ARGUMENTS,
    flag("--changed", text="only settings that do not have their default"),
    finds_job=False,
    has_json=True,
)
def _config(call: CommandContext) -> int:
    """The configuration that holds, by topic, and where each value comes from.

    config  # all settings
    config --changed  # what differs from the defaults
    config --env production --json  # as JSON, with the profile for production
    """
    found = _effective(call)
    rows = [row for row in found.rows() if not (call.options.changed and row["origin"] == DEFAULT)]
    if call.options.json:
        call.terminal.print_json({"version": 1, "settings": rows})
        return OK
    if not rows:
        call.terminal.print_line("All settings have their defaults.")
    lines = _by_topic({row["key"]: row for row in rows}) if call.terminal.is_terminal else found.lines(rows)
    for line in lines if rows else ():
        call.terminal.print_line(line)
    return OK


def _by_topic(rows: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield *rows* by topic, as lines that could be in settings.py."""
    for topic, meanings in TOPICS.items():
        shown = [(rows[key], meaning) for key, meaning in meanings.items() if key in rows]
        if shown:
            yield f"{topic}:"
        for row, meaning in shown:
            origin = "" if row["origin"] == DEFAULT else f" ({row['origin']})"
            yield f"  {row['setting']} = {row['value']!r}{origin}  # {meaning}"


def _effective(call: CommandContext) -> Effective:
    """Return the configuration of this project, over which the command line wins."""
    options = call.options
    given = {"T8_ENV": options.env, "T8_LOG_LEVEL": options.log_level and options.log_level.upper()}
    given = {name: value for name, value in given.items() if value is not None}
    if given:
        effective(given, HERE)  # an error in it names the command line as its origin
    found = effective({**call.settings, **given})
    return Effective(found.config, found.origins | {name[3:].lower(): HERE for name in given})


COMMANDS = (_demo, _selftest, _config)
