"""Builds wheels that have the pages of docs/ in scrapy_t8/docs/, for ``scrapy t8 help``. See pyproject.toml."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

DOCS, TARGET = Path("docs"), Path("scrapy_t8", "docs")


class BuildWithPages(build_py):
    """Copies the pages. An editable installation reads them where they are."""

    def run(self) -> None:
        super().run()
        if not self.editable_mode:
            for page, target in self._pages():
                self.mkpath(str(target.parent))
                self.copy_file(str(page), str(target), preserve_mode=False)

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        pages = [] if self.editable_mode else [str(target) for _, target in self._pages()]
        return [*super().get_outputs(include_bytecode), *pages]

    def _pages(self) -> Iterator[tuple[Path, Path]]:
        for folder in ("", "howto", "reference"):
            for page in sorted((DOCS / folder).glob("*.md")):
                yield page, Path(self.build_lib) / TARGET / page.relative_to(DOCS)


setup(cmdclass={"build_py": BuildWithPages})
