"""Detects changes of the spider's code between two runs."""

from __future__ import annotations

import sys
from hashlib import blake2b
from pathlib import Path

from scrapy import Spider


def code_of(spider: Spider) -> str:
    """Return a hash of the source files of the spider's project: all imported modules of its classes' packages."""
    packages = {cls.__module__.partition(".")[0] for cls in type(spider).__mro__} - {"builtins", "scrapy", "scrapy_t8"}
    digest = blake2b(digest_size=8)
    for name in sorted(name for name in sys.modules if name.partition(".")[0] in packages):
        file = getattr(sys.modules[name], "__file__", None)
        if file and file.endswith(".py"):
            digest.update(name.encode())
            try:
                digest.update(Path(file).read_bytes())
            except OSError:
                continue
    return digest.hexdigest()
