"""The integrity report: read from the store, shown to people and programs."""

from __future__ import annotations

from .files import read_report, write_report

__all__ = ["read_report", "write_report"]
