"""Reports as files, and on demand."""

from __future__ import annotations

import json
import logging
import time
from importlib.metadata import version
from pathlib import Path

import msgpack

from scrapy_t8.config.settings import MASK
from scrapy_t8.errors import ConfigError, JobError, WriteError, remedy
from scrapy_t8.stores.reader.reader import Reader, reading
from scrapy_t8.utils.files import replacing

from .document import Document, collect
from .html import render
from .mask import Mask

logger = logging.getLogger(__name__)

JSON, HTML = "report.json", "report.html"
MASKED = "report:mask"
"""Under this name the store keeps what the crawl hides."""
DIRECTORY = "report"
"""In the job directory."""


def read_report(jobdir: str | Path) -> Document:
    """The report of the job in *jobdir*, as of now. A crawl may be using it; it is only read.

    Alerts and what a validator says are those of the end of the last run.

    :raises JobError: if there is no job.
    :raises StoreError: if its state cannot be read.
    """
    directory = Path(jobdir)
    with reading(directory / "t8") as reader:
        mask = mask_of(reader)
        document = document_of(reader, directory, time.time(), mask, running=reader.is_running())
    return {**document, **_said_at_the_end(directory / DIRECTORY / JSON, document)}


def write_report(jobdir: str | Path, directory: str | Path | None = None) -> Document:
    """Write ``report.json`` and, with the extra ``report``, ``report.html``.

    :param directory: where; the ``report`` of the job directory if it is not given.
    :returns: what was written.
    :raises WriteError: if that cannot be written; else as :func:`read_report`.
    """
    document = read_report(jobdir)
    write(document, Path(directory) if directory is not None else Path(jobdir) / DIRECTORY)
    return document


def mask_of(reader: Reader) -> Mask:
    """The mask that the crawl had."""
    kept = reader.kept(MASKED)
    return Mask(msgpack.unpackb(kept[MASKED]) if kept else MASK)


def document_of(reader: Reader, directory: Path, now: float, mask: Mask, *, running: bool) -> Document:
    """The document, without secrets; alerts are still to be added."""
    job = reader.job()
    if job is None:
        raise JobError(f"there is no job in {directory}: give the JOBDIR of a crawl that ran with scrapy_t8")
    collected = collect(reader, job, now, f"scrapy_t8 {version('scrapy-t8')}", running=running)
    document: Document = mask.all(collected)
    document["job"]["arguments"] = mask.all(job.arguments, given=True)
    return document


def write(document: Document, directory: Path) -> Path:
    """Write *document*: both files, or only the first, with a line that says why. Returns the one for people."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        _replace(directory / JSON, json.dumps(document, ensure_ascii=False, indent=1, default=str) + "\n")
        try:
            page = render(document)
        except ConfigError as error:
            logger.info("%s", error)
            return directory / JSON
        _replace(directory / HTML, page)
    except OSError as error:
        raise WriteError(f"the report cannot be written to {directory}: {error}. {remedy(error)}") from error
    return directory / HTML


def _replace(path: Path, text: str) -> None:
    with replacing(path) as file:
        file.write(text)


def _said_at_the_end(path: Path, document: Document) -> Document:
    try:
        last = json.loads(path.read_text(encoding="utf-8"))
        if last["job"]["id"] != document["job"]["id"]:
            return {}
        custom = last["validation"]["custom"]
        return {"alerts": last["alerts"], "validation": {**document["validation"], "custom": custom}}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
