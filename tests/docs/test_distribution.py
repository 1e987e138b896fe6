"""What is built for users: the wheel has the pages of the docs, the sdist has all that a distributor needs."""

from __future__ import annotations

import shutil
import tarfile
import zipfile
from pathlib import Path

import pytest

from tests.support.process import ROOT, run

pytestmark = pytest.mark.slow

NAMES = ("CHANGELOG.md", "LICENSE", "MANIFEST.in", "Makefile", "README.md", "mkdocs.yml", "pyproject.toml")
FOLDERS = ("benchmarks", "docs", "example_project", "scrapy_t8", "tests")
BUILD = "import sys; from setuptools import build_meta; print(getattr(build_meta, sys.argv[1])(sys.argv[2]))"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Return a wheel and an sdist of a copy of the sources."""
    copy, made = tmp_path_factory.mktemp("source") / "scrapy-t8", tmp_path_factory.mktemp("built")
    copy.mkdir()
    for name in (*NAMES, "setup.cfg", "setup.py"):
        shutil.copy(ROOT / name, copy)
    for folder in FOLDERS:
        shutil.copytree(ROOT / folder, copy / folder, ignore=shutil.ignore_patterns("__pycache__", ".scrapy"))
    for hook in ("build_sdist", "build_wheel"):
        run("-c", BUILD, hook, made, cwd=copy, check=True)
    [wheel], [sdist] = made.glob("*.whl"), made.glob("*.tar.gz")
    return wheel, sdist


def test_an_installed_package_has_the_pages(built: tuple[Path, Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(built[0]) as wheel:
        names = wheel.namelist()
        wheel.extractall(tmp_path)
    found = {name.removeprefix("scrapy_t8/docs/") for name in names if name.startswith("scrapy_t8/docs/")}
    folders = ("", "howto/", "reference/")
    assert found == {f"{folder}{page.name}" for folder in folders for page in (ROOT / "docs" / folder).glob("*.md")}
    assert {name.partition("/")[0] for name in names if ".dist-info" not in name} == {"scrapy_t8"}
    code = "from scrapy_t8.commands.selfcheck.pages import pages; print(pages()['deploy'])"
    printed = run("-c", code, cwd=tmp_path, env={"PYTHONPATH": str(tmp_path)}, check=True).stdout
    assert Path(printed.strip()) == tmp_path / "scrapy_t8/docs/howto/deploy.md"


def test_the_sdist_has_docs_tests_and_examples(built: tuple[Path, Path]) -> None:
    with tarfile.open(built[1]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    assert {*NAMES, "setup.py"} <= names
    for folder in FOLDERS:
        kept = {path for path in (ROOT / folder).rglob("*") if path.is_file() and "__pycache__" not in path.parts}
        kept = {path for path in kept if ".scrapy" not in path.parts}
        assert {str(path.relative_to(ROOT)) for path in kept} <= names, folder
