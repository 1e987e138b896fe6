"""Excludes the objects that exist when a crawl begins from Python's garbage collections.

A full collection looks at every object, and a crawl has one every hundred pages or so. Most objects are modules,
classes and functions that stay until the end: to skip them saves more CPU than all of T8 costs.
"""

from __future__ import annotations

import gc

_crawls = 0


def freeze() -> None:
    """Collect garbage, then exclude the remaining objects from collections until :func:`thaw` was called as often."""
    global _crawls
    if hasattr(gc, "freeze"):  # PyPy has another collector
        _crawls += 1
        gc.collect()
        gc.freeze()


def thaw() -> None:
    """End the effect of one call of :func:`freeze`."""
    global _crawls
    if hasattr(gc, "freeze"):
        _crawls -= 1
        if not _crawls:
            gc.unfreeze()
