"""What the shop has, what is wrong with it, and which causes a report has to name."""

from __future__ import annotations

LISTS = 4
PER_LIST = 12
SCRIPT = "<script>alert(1)</script>"

GOOD = [f"car-{number:02}" for number in range(36)]
WRONG = {
    "gone": "its page is a 404",
    "broken": "its page is always a 500",
    "cheap": "a pipeline drops it",
    "choke": "a pipeline raises an exception",
    "buggy": "its callback raises an exception",
    "empty": "its page yields nothing",
}
UNLINKED = f"unlinked {SCRIPT}"
"""Announced by a list, with no link to it."""
MORE = 3
"""So many more than it names, the last list says to have."""
TITLES = {"car-07": SCRIPT, "cheap": SCRIPT}


def lists() -> list[list[str]]:
    """The keys on each list. Some cars are on two, under URLs of their own."""
    keys = [*GOOD, *WRONG]
    pages = [keys[number::LISTS] for number in range(LISTS)]
    return [[*page, *pages[number - 1][:2]] for number, page in enumerate(pages)]


DUPLICATES = sum(len(page) for page in lists()) - len({key for page in lists() for key in page})
"""Two on each list. What is wrong is not among them."""
CAUSES = {
    "gone": ("dead", "http: 404 Not Found"),
    "broken": ("dead", "host: 500 Internal Server Error"),
    "cheap": ("dropped", f"Choosy: too cheap: {SCRIPT}"),
    "choke": ("dead", "pipeline: ValueError: it chokes"),
    "buggy": ("dead", "parse: KeyError: 'price'"),
    "empty": ("no_item", ""),
    UNLINKED: ("never_linked", ""),
}
