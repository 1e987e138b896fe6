"""Settings, commands, links and names of the docs exist; no setting, page or public name is left out."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import MISSING, fields
from pathlib import Path

import scrapy_t8
from scrapy_t8 import spiders
from scrapy_t8.commands.failed.selection import ALL_KINDS
from scrapy_t8.commands.registry import commands
from scrapy_t8.config.settings import Config

from .sessions import DOCS, blocks

ROOT = Path(__file__).parents[2]
PAGES = [
    *ROOT.glob("*.md"),
    *ROOT.glob("docs/**/*.md"),
    ROOT / "example_project/README.md",
    ROOT / "benchmarks/README.md",
]
STATISTICS = ROOT / "docs/reference/stats.md"
SETTINGS = {f"T8_{field.name.upper()}" for field in fields(Config)}
EXAMPLES = {"T8_COMIT_INTERVAL", "T8_WORKERS"}
"""Names that docs/troubleshooting.md quotes as errors."""


def test_every_setting_is_in_the_table_with_its_default() -> None:
    rows = re.findall(r"^\| (`T8_.+?) \| (.+?) \|", (ROOT / "docs/settings.md").read_text(), re.MULTILINE)
    documented: dict[str, str] = {}
    for names, defaults in rows:
        documented.update(zip(re.findall(r"`(.+?)`", names), re.findall(r"`(.+?)`", defaults), strict=True))
    assert set(documented) == SETTINGS
    for field in fields(Config):
        default = field.default if field.default is not MISSING else field.default_factory()  # type: ignore[misc]
        text = documented[f"T8_{field.name.upper()}"].replace("True", "true").replace("False", "false")
        assert json.loads(text) == default, field.name


def test_every_kind_of_failure_is_in_the_table() -> None:
    rows = re.findall(r"^\| (`.+?`) \|.*\| \d+ \|$", (ROOT / "docs/failures.md").read_text(), re.MULTILINE)
    assert sorted(re.findall(r"`(\w+)`", " ".join(rows))) == sorted(ALL_KINDS)


def test_every_setting_that_the_docs_name_exists() -> None:
    for page in PAGES:
        named = set(re.findall(r"\bT8_[A-Z_]+[A-Z]\b", page.read_text()))
        assert named <= SETTINGS | EXAMPLES, page.name


def test_every_command_that_the_docs_name_exists() -> None:
    known = {command.name: {member.name for member in command.family} for command in commands()}
    for page in PAGES:
        for name, member in re.findall(r"scrapy t8 ([a-z]+)(?: ([a-z]+))?", page.read_text()):
            assert name in known, f"{page.name}: scrapy t8 {name}"
            assert not (known[name] and member) or member in known[name], f"{page.name}: scrapy t8 {name} {member}"


def test_links_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\((?!http)([^)]+)\)", page.read_text()):
            path, _, anchor = target.partition("#")
            file = page.parent / path if path else page
            assert file.exists(), f"{page.name}: {target}"
            assert not anchor or anchor in anchors(file), f"{page.name}: {target}"


def anchors(page: Path) -> Iterator[str]:
    """Yield the anchors of the headings of *page*, as GitHub makes them."""
    for heading in re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE):
        yield re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def test_every_public_name_is_in_the_reference() -> None:
    named = re.findall(r"^::: scrapy_t8\.(\S+)$", (DOCS / "reference/api.md").read_text(), re.MULTILINE)
    of_spiders = {f"spiders.{name}" for name in spiders.__all__}
    assert set(named) == (set(scrapy_t8.__all__) - {"T8Error"}) | of_spiders | {"errors"}
    assert len(named) == len(set(named))


def test_every_page_is_in_the_menu_of_the_site() -> None:
    menu = re.findall(r"^ +- .+: (\S+\.md)$", (ROOT / "mkdocs.yml").read_text(), re.MULTILINE)
    assert sorted(menu) == sorted(str(page.relative_to(DOCS)) for page in DOCS.glob("**/*.md"))


def test_every_statistic_is_on_its_page() -> None:
    written = set(
        re.findall(r"`(?:t8/)?([a-z_/]+)`", STATISTICS.read_text().replace("/CAUSE`", "`").replace("/KIND`", "`"))
    )
    for module in Path(scrapy_t8.__file__).parent.rglob("*.py"):
        for name in re.findall(r"""_value\(f?"t8/([a-z_/]+)[/"{]""", module.read_text()):
            assert name.strip("/") in written or any(each.startswith(name) for each in written), name


def test_a_translated_page_has_the_code_of_the_english_one() -> None:
    for page in DOCS.glob("zh/**/*.md"):
        assert blocks(page) == blocks(DOCS / page.relative_to(DOCS / "zh")), page


def test_every_test_that_the_docs_name_exists() -> None:
    for page in DOCS.glob("*.md"):
        for file, name in re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", page.read_text()):
            assert f"def {name or 'test_'}" in (ROOT / file).read_text(), f"{page.name}: {file}::{name}"
