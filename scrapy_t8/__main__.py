"""``python -m scrapy_t8 --env ENV --mode demo|test|config --log-level LEVEL``"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from scrapy_t8.commands.selfcheck.demo import demo
from scrapy_t8.commands.selfcheck.selftest import selftest
from scrapy_t8.config.settings import CHOICES, effective
from scrapy_t8.config.sources import PROFILES
from scrapy_t8.utils.log.mask import NAMES, Mask

from .errors import T8Error

EXAMPLES = """examples:
  python -m scrapy_t8 --mode demo                    a collector is killed and resumes, a failed target is retried
  python -m scrapy_t8 --mode test                    does scrapy_t8 work on this machine?
  python -m scrapy_t8 --mode config --env production each setting, and where its value comes from

exit status: 0 all is well; 1 something failed; 2 the configuration or the command cannot be used
"""


def main(arguments: Sequence[str] | None = None) -> int:
    options = parser().parse_args(arguments)
    given = {"T8_ENV": options.env, "T8_LOG_LEVEL": options.log_level and options.log_level.upper()}
    try:
        found = effective({name: value for name, value in given.items() if value is not None}, "the command line")
        if options.mode == "demo":
            return 0 if demo(found.config, _print_line, log_level=options.log_level) else 1
        if options.mode == "test":
            level = (options.log_level or "CRITICAL").upper()
            return 0 if selftest(found.config, _print_line, log_level=level) else 1
        for line in found.lines():
            _print_line(line)
    except T8Error as error:
        sys.stderr.write(f"{Mask(NAMES).text(str(error))}\n")
        return 2
    except BrokenPipeError:
        sys.stderr.close()
    return 0


def parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(
        prog="python -m scrapy_t8",
        description="Try scrapy_t8, test it on this machine, look at its configuration.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    command.add_argument("--env", help=f"the profile: {', '.join(PROFILES)} (default: T8_ENV)")
    command.add_argument("--mode", choices=("demo", "test", "config"), default="demo", help="default: %(default)s")
    command.add_argument("--log-level", metavar="LEVEL", help=f"of the service: {', '.join(CHOICES['log_level'])}")
    return command


def _print_line(line: str) -> None:
    sys.stdout.write(f"{Mask(NAMES).text(line)}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
