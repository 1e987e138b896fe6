"""Leaves what is there when a crawl begins out of Python's garbage collections.

A full collection looks at every object there is, and a crawl has one every hundred pages or so. Most objects are
modules, classes and functions that stay until the end: not to look at them saves more CPU than all of T8 costs.
"""

from __future__ import annotations

import gc

_crawls = 0


def freeze() -> None:
    """A crawl begins. What is garbage already goes; what is left is not looked at until all crawls have ended."""
    global _crawls
    if hasattr(gc, "freeze"):  # PyPy collects in another way
        _crawls += 1
        gc.collect()
        gc.freeze()


def thaw() -> None:
    """A crawl for which :func:`freeze` was called has ended."""
    global _crawls
    if hasattr(gc, "freeze"):
        _crawls -= 1
        if not _crawls:
            gc.unfreeze()
