"""A real browser, for tests of report.html."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, Dialog, Page, Request, sync_playwright

from .process import HANG

NAMES = ("chromium", "chromium-browser", "google-chrome")
OPTIONS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync"),
)


HEIGHT = 800
"""Of a window."""
UNFOLD = "document.querySelectorAll('details').forEach(one => one.open = true)"
OUTSIDE = """
[...document.querySelectorAll('.chart svg')].flatMap(svg => {
    const room = svg.getBoundingClientRect();
    return [...svg.querySelectorAll('text, rect, circle, polyline')].filter(one => {
        const box = one.getBoundingClientRect();
        return box.left < room.left - 1 || box.right > room.right + 1
            || box.top < room.top - 1 || box.bottom > room.bottom + 1;
    }).map(one => svg.ariaLabel + ': ' + one.textContent);
})
"""
"""What is outside of its drawing."""
CLIPPED = """
[...document.body.querySelectorAll('*:not(svg *)')].filter(one => {
    const style = getComputedStyle(one), scrolls = one.closest('.scroll');
    const isWider = one.clientWidth && one.scrollWidth > one.clientWidth + 1;
    const isCut = style.overflowY === 'hidden' && one.scrollHeight > one.clientHeight + 1;
    const box = one.getBoundingClientRect();
    const isOutside = !scrolls && box.width && (box.left < -1 || box.right > innerWidth + 1);
    return isCut || isOutside || isWider && (style.overflowX === 'hidden' || !scrolls);
}).map(one => one.tagName + '.' + one.className + ': ' + one.textContent.slice(0, 60))
"""
"""What is wider than its place, or cut. Tables may scroll."""


@dataclass
class Visit:
    """A page that is open, what the browser has said about it, and what it has asked for beside the page itself."""

    page: Page
    said: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def resize(self, width: int) -> None:
        self.page.set_viewport_size({"width": width, "height": HEIGHT})

    def colour(self, *, dark: bool) -> None:
        self.page.emulate_media(color_scheme="dark" if dark else "light")

    def cut(self) -> list[str]:
        """Return each part of the unfolded page that is not to be seen in full."""
        self.page.evaluate(UNFOLD)
        found: list[str] = self.page.evaluate(OUTSIDE) + self.page.evaluate(CLIPPED)
        width = self.page.evaluate("document.documentElement.scrollWidth - innerWidth")
        return found + [f"the page is {width} pixels too wide"] * (width > 0)


def program() -> str:
    for name in NAMES:
        if found := shutil.which(name):
            return found
    raise RuntimeError(f"no {' or '.join(NAMES)}: apt-get update && apt-get install -y chromium")


class Chromium:
    """A headless browser with a profile of its own."""

    def __init__(self, browser: Browser) -> None:
        self.browser = browser

    @contextmanager
    def visit(self, url: str) -> Iterator[Visit]:
        """*url* in a window of its own."""
        page = self.browser.new_page(viewport={"width": 1100, "height": HEIGHT}, color_scheme="light")
        page.set_default_timeout(HANG * 1000)
        seen = Visit(page)

        def asked(request: Request) -> None:
            if request.url != url:
                seen.asked.append(request.url)

        def opened(dialog: Dialog) -> None:
            seen.said.append(dialog.message)
            dialog.dismiss()

        page.on("request", asked)
        page.on("dialog", opened)
        page.on("console", lambda message: seen.said.append(message.text))
        page.on("pageerror", lambda error: seen.said.append(str(error)))
        try:
            page.goto(url)
            yield seen
        finally:
            page.close()


@contextmanager
def running() -> Iterator[Chromium]:
    path = program()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=list(OPTIONS), timeout=HANG * 1000)
        try:
            yield Chromium(browser)
        finally:
            browser.close()
