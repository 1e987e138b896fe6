"""``scrapy t8 help``: the pages of the documentation, in the terminal."""

from __future__ import annotations

from scrapy_t8.commands.context import CommandContext
from scrapy_t8.commands.registry import OK, argument, command, commands
from scrapy_t8.errors import CommandError

from .pages import pages, text_of, title, with_lists


@command("help", argument("topic", metavar="TOPIC", nargs="?", help="the name of a page"), finds_job=False)
def _help(call: CommandContext) -> int:
    """Show a page of the documentation, or the list of all pages.

    help  # all topics
    help tutorial  # the page 'tutorial'
    help settings | grep RETRY  # the page as Markdown, for a search

    On a terminal, the page is laid out for its width. Elsewhere, it is Markdown.
    """
    found, topic = pages(), call.options.topic
    if topic is None:
        rows = [(name, title(page)) for name, page in found.items()]
        call.terminal.print_table("Topics", ["topic", "*what the page is about"], rows)
    elif topic in found:
        text, width = text_of(found[topic], found), call.terminal.width
        call.terminal.print_markdown(text if width is None else with_lists(text, width))
    else:
        raise CommandError(f"there is no topic {topic}: {_hint(topic, list(found))}")
    return OK


def _hint(topic: str, topics: list[str]) -> str:
    from difflib import get_close_matches

    if topic in (command.name for command in commands()):
        return f"see scrapy t8 {topic} --help, or scrapy t8 help commands"
    near = get_close_matches(topic, topics, n=3)
    return f"did you mean {' or '.join(near)}?" if near else f"the topics are {', '.join(topics)}"


COMMANDS = (_help,)
