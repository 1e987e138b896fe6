"""The directory of a job without a JOBDIR."""

from __future__ import annotations

from scrapy.exceptions import NotConfigured
from scrapy.utils.project import data_path


def default_directory(spider: str) -> str:
    """Return the job directory of *spider* in the data directory of the project; with no name, that of all spiders."""
    try:
        return data_path(f"t8/{spider}")
    except NotConfigured:  # settings of a project, but no scrapy.cfg
        return f".scrapy/t8/{spider}"
