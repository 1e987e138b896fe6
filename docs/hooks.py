"""What the site shows in another way than the sources have it: a hook of MkDocs, and an extension of Griffe."""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:attr|class|exc|func|meth|mod):(<code>)~?[\w.]*?(\w+(?:\.\w+)?)(</code>)")


def on_page_content(html: str, **_: Any) -> str:
    """Show the roles of docstrings, such as ``:class:`~scrapy_t8.model.Page```, as the name alone."""
    return ROLE.sub(r"\1\2\3", html)


class RecordClasses(griffe.Extension):
    """Shows the fields of a ``record_class`` or a NamedTuple as those of a dataclass."""

    def on_class_instance(self, *, cls: griffe.Class, **_: Any) -> None:
        made_by = [str(decorator.value).partition("(")[0] for decorator in cls.decorators]
        if "record_class" in made_by or "NamedTuple" in map(str, cls.bases):
            name = griffe.ExprName("dataclass", parent="dataclasses")
            cls.decorators.append(griffe.Decorator(name, lineno=cls.lineno, endlineno=cls.lineno))
