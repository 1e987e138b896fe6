"""Every ``T8_*`` setting, and where its value comes from."""

from __future__ import annotations

from .settings import Config, get_config

__all__ = ["Config", "get_config"]
