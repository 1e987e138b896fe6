"""The directory of a job: of its own for each spider with its arguments."""

from __future__ import annotations

import json
from pathlib import Path

from scrapy.exceptions import NotConfigured
from scrapy.utils.project import data_path

from scrapy_t8.model.job import Identity
from scrapy_t8.utils.hashes import hash63
from scrapy_t8.utils.log.loggers import get_logger

logger = get_logger(__name__)

_first: dict[Path, str] = {}
"""For each JOBDIR: the crawl of this process that has used the JOBDIR first."""


def default_directory(name: str) -> str:
    """Return the job directory of this *name* in the data directory of the project; with no name, that of all jobs."""
    try:
        return data_path(f"t8/{name}")
    except NotConfigured:  # settings of a project, but no scrapy.cfg
        return f".scrapy/t8/{name}"


def name_of(identity: Identity) -> str:
    """Return the name of the default directory: that of the spider and, if there are arguments, a hash of these."""
    if not identity.arguments:
        return identity.spider
    return f"{identity.spider}-{hash63(json.dumps(identity.arguments, sort_keys=True).encode()):016x}"


def job_directory(jobdir: str | None, identity: Identity) -> Path:
    """Return the directory of the job of *identity*: *jobdir*, or the default directory if there is no JOBDIR.

    The second crawl of a process that has the same JOBDIR, with another spider or other arguments, has a directory of
    its own in the JOBDIR, and so it has in each later run.
    """
    if not jobdir:
        return Path(default_directory(name_of(identity)))
    shared, own = Path(jobdir), Path(jobdir) / name_of(identity)
    key = json.dumps([identity.spider, identity.arguments], sort_keys=True)
    if not (own / "t8/state.db").exists() and _first.setdefault(shared.resolve(), key) == key:
        return shared
    logger.info("Several crawls share the JOBDIR %s: the job of this crawl is in %s", shared, own)
    return own
