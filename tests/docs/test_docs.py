"""The settings table is complete, and links of the docs lead somewhere."""

from __future__ import annotations

import json
import re
from dataclasses import MISSING, fields
from pathlib import Path

from scrapy_t8.config.settings import Config

ROOT = Path(__file__).parents[2]


def test_every_setting_is_in_the_table_with_its_default() -> None:
    rows = re.findall(r"^\| (`T8_.+?) \| (.+?) \|", (ROOT / "docs/settings.md").read_text(), re.MULTILINE)
    documented: dict[str, str] = {}
    for names, defaults in rows:
        documented.update(zip(re.findall(r"`(.+?)`", names), re.findall(r"`(.+?)`", defaults), strict=True))
    assert set(documented) == {f"T8_{field.name.upper()}" for field in fields(Config)}
    for field in fields(Config):
        default = field.default if field.default is not MISSING else field.default_factory()  # type: ignore[misc]
        text = documented[f"T8_{field.name.upper()}"].replace("True", "true").replace("False", "false")
        assert json.loads(text) == default, field.name


def test_links_lead_somewhere() -> None:
    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name}: {target}"
