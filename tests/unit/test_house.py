"""The architecture as tests: what may import what, and how large things may become."""

from __future__ import annotations

import ast
import statistics
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import scrapy_t8
from scrapy_t8.core import scrapy_private

ROOT = Path(scrapy_t8.__file__).parent
MODULES = sorted(ROOT.rglob("*.py"))

LEVELS = (
    ("errors",),
    ("utils",),
    ("config",),
    ("model",),
    ("stores", "validation"),
    ("core",),
    ("report", "spiders", "pipelines"),
    ("components", "service"),
    ("commands", "addon"),
    ("__init__", "__main__"),
)
"""From the bottom up. A module imports its own package and packages of lower levels."""
CORE = (
    ("watermark", "staging", "scrapy_private"),
    ("page",),
    ("run",),
    ("items", "resume_points"),
    ("frontier",),
    ("retry", "offline"),
    ("job",),
)
"""The same inside of ``core``."""


def parts(path: Path) -> list[str]:
    """Return the names that lead to a module, below the root package."""
    names = list(path.relative_to(ROOT).with_suffix("").parts)
    return names if names == ["__init__"] or names[-1] != "__init__" else names[:-1]


@cache
def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(path: Path) -> Iterator[list[str]]:
    """Yield the modules of this package that a module imports, late and type-only imports included."""
    package = path.relative_to(ROOT).parts[:-1]
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.ImportFrom):
            if node.level:
                base = [*package[: len(package) - (node.level - 1)], *(node.module or "").split(".")]
            elif (node.module or "").split(".")[0] == "scrapy_t8":
                base = (node.module or "").split(".")[1:]
            else:
                continue
            base = [name for name in base if name]
            for alias in node.names:
                below = ROOT.joinpath(*base, alias.name)
                is_module = below.is_dir() or below.with_suffix(".py").exists()
                yield [*base, alias.name] if is_module else base or ["__init__"]
        elif isinstance(node, ast.Import):
            yield from (alias.name.split(".")[1:] for alias in node.names if alias.name.startswith("scrapy_t8."))


def level(levels: tuple[tuple[str, ...], ...], name: str) -> int:
    return next(number for number, names in enumerate(levels) if name in names)


def edges() -> Iterator[tuple[Path, list[str], list[str]]]:
    for path in MODULES:
        for there in imported(path):
            yield path, parts(path), there


def test_every_module_has_a_level() -> None:
    for path in MODULES:
        level(LEVELS, parts(path)[0])
        if parts(path)[0] == "core" and len(parts(path)) > 1:
            level(CORE, parts(path)[1])


def test_imports_go_downward() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {'.'.join(there)}"
        for path, here, there in edges()
        if here[0] != there[0] and level(LEVELS, there[0]) >= level(LEVELS, here[0])
    ]
    assert not wrong, "\n".join(wrong)


def test_imports_go_downward_inside_core() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {'.'.join(there)}"
        for path, here, there in edges()
        if here[0] == there[0] == "core" and len(here) > 1 and len(there) > 1 and here[1] != there[1]
        if level(CORE, there[1]) >= level(CORE, here[1])
    ]
    assert not wrong, "\n".join(wrong)


def test_components_do_not_import_each_other() -> None:
    """Each kind of component stands by itself. Only signals are shared, and the scheduler has its filter and queues."""
    shared = ("signals", "queues", "dupefilter")
    for path, here, there in edges():
        if here[0] == there[0] == "components" and len(here) > 1 and len(there) > 1 and here[1] != there[1]:
            assert there[1] in shared, f"{path.relative_to(ROOT)} imports {'.'.join(there)}"


def test_there_is_no_import_circle() -> None:
    graph: dict[str, set[str]] = {}
    for _, here, there in edges():
        if here != there and ROOT.joinpath(*there).with_suffix(".py").exists():
            graph.setdefault(".".join(here), set()).add(".".join(there))
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way, name))
        if name not in done:
            for there in sorted(graph.get(name, ())):
                visit(there, (*way, name))
            done.add(name)

    for name in sorted(graph):
        visit(name, ())


# -- sizes -------------------------------------------------------------------------------------------------------------


def entries(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if not path.name.startswith("__py")]


def test_folders_have_few_entries() -> None:
    assert len(entries(ROOT)) <= 17, sorted(entries(ROOT))
    for folder in {path.parent for path in MODULES} - {ROOT}:
        assert len(entries(folder)) <= 12, sorted(entries(folder))


def test_modules_are_short() -> None:
    lengths = {path: len(path.read_text(encoding="utf-8").splitlines()) for path in MODULES}
    for path, length in lengths.items():
        assert length <= 350, path
    assert statistics.median(lengths.values()) <= 130


def functions() -> Iterator[tuple[Path, ast.FunctionDef | ast.AsyncFunctionDef]]:
    for path in MODULES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield path, node


def test_functions_are_short() -> None:
    lengths = sorted((node.end_lineno or 0) - node.lineno + 1 for _, node in functions())
    assert statistics.median(lengths) <= 7
    assert lengths[len(lengths) * 9 // 10] <= 25


def test_constructors_take_few_arguments() -> None:
    """Six at most, and by keyword where there are more than three."""
    for path, node in functions():
        if node.name == "__init__":
            positional = len(node.args.posonlyargs) + len(node.args.args) - 1
            assert positional + len(node.args.kwonlyargs) <= 6, f"{path}:{node.lineno}"
            assert positional <= 3, f"{path}:{node.lineno} takes more than three arguments by position"


# -- who may touch what -----------------------------------------------------------------------------------------------

GUARDED = {
    "core/page.py": "Page",
    "core/job/job.py": "Job",
    "core/frontier/frontier.py": "Frontier",
    "service/state_manager.py": "StateManager",
}
"""Classes whose attributes only they assign."""


def class_of(path: str, name: str) -> ast.ClassDef:
    tree = parsed(ROOT / path)
    return next(node for node in ast.walk(tree) if isinstance(node, ast.ClassDef) and node.name == name)


def fields_of(cls: ast.ClassDef) -> set[str]:
    """Return the names that a dataclass declares."""
    return {
        node.target.id for node in cls.body if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
    }


def assigned(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """Yield line, owner and name of each attribute that is assigned."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store):
            yield node.lineno, ast.unparse(node.value), node.attr


@cache
def assigned_in(path: Path) -> list[tuple[int, str, str]]:
    return list(assigned(parsed(path)))


@pytest.mark.parametrize(("path", "name"), GUARDED.items())
def test_attributes_are_born_in_the_constructor(path: str, name: str) -> None:
    cls = class_of(path, name)
    born = fields_of(cls)
    for node in cls.body:
        if isinstance(node, ast.FunctionDef) and node.name == "__init__":
            born |= {attr for _, owner, attr in assigned(node) if owner == "self"}
    later = {attr for _, owner, attr in assigned(cls) if owner == "self"} - born
    assert not later


@pytest.mark.parametrize(("path", "name"), GUARDED.items())
def test_attributes_are_assigned_by_their_class_alone(path: str, name: str) -> None:
    cls = class_of(path, name)
    names = {attr for _, owner, attr in assigned(cls) if owner == "self"} | fields_of(cls)
    owners = {name.lower(), f"self._{name.lower()}", f"self.{name.lower()}", "root", "parent", "manager", "state"}
    for module in MODULES:
        for line, owner, attr in assigned_in(module):
            assert not (attr in names and owner.split(".")[-1].lstrip("_") in owners | {name.lower()}), (
                f"{module}:{line} assigns {owner}.{attr}"
            )


def test_sql_is_in_the_stores_alone() -> None:
    """A counter of validation, which keeps its keys in a temporary database, is the one exception."""
    for path in MODULES:
        if parts(path)[0] != "stores" and parts(path) != ["validation", "key_counter"]:
            assert "sqlite3" not in path.read_text(encoding="utf-8"), path


def test_loggers_hide_secrets() -> None:
    """A logger is made in one place alone. The loggers of others are named where they are filtered."""
    for path in MODULES:
        source = path.read_text(encoding="utf-8")
        if parts(path)[:2] != ["utils", "log"] and parts(path) != ["report", "notify"]:
            assert "getLogger" not in source, f"{path}: get_logger() of utils/log/loggers.py makes loggers"


def own_names(tree: ast.AST) -> set[str]:
    """Return the names that a module defines: its functions, methods and attributes."""
    names = {attr for _, owner, attr in assigned(tree) if owner in ("self", "cls")}
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            names.add(node.id)
    return names | {"_replace", "_asdict"}  # of a NamedTuple


def private_names_in(tree: ast.AST) -> Iterator[tuple[int, str, str]]:
    """Yield line, owner and name of each attribute that begins with one underscore, also where it is text."""
    for node in ast.walk(tree):
        owner, name = "", ""
        if isinstance(node, ast.Attribute):
            owner, name = ast.unparse(node.value), node.attr
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("getattr", "setattr", "hasattr"):
            owner, name = ast.unparse(node.args[0]), ast.unparse(node.args[1]).strip("'")
        if name.startswith("_") and not name.startswith("__"):
            yield node.lineno, owner, name


def test_private_names_of_scrapy_are_in_one_table() -> None:
    """A private name of an object is one that this module defines; of ``self``, one that the package defines."""
    listed = {name.partition("(")[0] for _, names, _ in scrapy_private.TABLE for name in names.split()}
    trees = {path: parsed(path) for path in MODULES}
    known = set().union(*map(own_names, trees.values()))
    for path, tree in trees.items():
        if parts(path)[:2] != ["core", "scrapy_private"]:
            here = own_names(tree)
            for line, owner, name in private_names_in(tree):
                found = name in (known if owner in ("self", "cls", "super()") else here)
                assert found or (owner == "self" and name in listed), f"{path}:{line} uses {owner}.{name}"


def test_private_names_of_scrapys_classes_are_not_taken_by_chance() -> None:
    listed = {name.partition("(")[0] for _, names, _ in scrapy_private.TABLE for name in names.split()}
    for name in scrapy_t8.__all__:
        for cls in getattr(getattr(scrapy_t8, name), "__mro__", ()):
            ours = cls.__module__.partition(".")[0] == "scrapy_t8"
            theirs = {attr for base in cls.__mro__ if base.__module__.startswith("scrapy.") for attr in vars(base)}
            taken = {attr for attr in vars(cls) if attr.startswith("_") and not attr.startswith("__")} & theirs
            assert not ours or taken <= listed | {"_abc_impl"}, f"{cls.__qualname__} redefines {taken}"


def test_the_package_loads_what_is_asked_for() -> None:
    """Scrapy imports it for each of its commands; and every name is where it is said to be."""
    code = "import sys, scrapy_t8; print([m for m in sys.modules if m.startswith('scrapy')])"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert loaded.strip() == "['scrapy_t8']"
    assert set(scrapy_t8.__all__) == set(scrapy_t8.HOMES)
    assert all(getattr(scrapy_t8, name) is not None for name in scrapy_t8.__all__)
    with pytest.raises(AttributeError, match="nothing"):
        scrapy_t8.nothing  # noqa: B018
