"""``scrapy t8 demo``, ``selftest`` and ``config``, which ``python -m scrapy_t8`` does too."""

from __future__ import annotations

from scrapy_t8.commands.context import CommandContext
from scrapy_t8.commands.registry import ERROR, OK, argument, command
from scrapy_t8.config.settings import CHOICES, Effective, effective
from scrapy_t8.config.sources import PROFILES

HERE = "the command line"
ARGUMENTS = (
    argument("--env", help=f"the profile: {', '.join(PROFILES)} (default: T8_ENV)"),
    argument("--log-level", metavar="LEVEL", help=f"of the service: {', '.join(CHOICES['log_level'])}"),
)


@command("demo", *ARGUMENTS, finds_job=False, statuses={ERROR: "not all was collected"})
def _demo(call: CommandContext) -> int:
    """See a collector killed and resumed, and a failing target tried again.

    demo  # takes some seconds
    demo --log-level warning  # with less of the service's log
    """
    from .demo import demo

    return OK if demo(_effective(call).config, call.terminal.print_line) else ERROR


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


@command("config", *ARGUMENTS, finds_job=False, has_json=True)
def _config(call: CommandContext) -> int:
    """The configuration that holds, and where each value comes from.

    config  # all settings
    config --env production --json  # as JSON, with the profile for production
    """
    found = _effective(call)
    if call.options.json:
        call.terminal.print_json({"version": 1, "settings": found.rows()})
        return OK
    for line in found.lines():
        call.terminal.print_line(line)
    return OK


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
