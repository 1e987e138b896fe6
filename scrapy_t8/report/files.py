"""The files of the report: report.json and report.html, at the end of a run and on demand."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path

import msgpack

from scrapy_t8.config.causes import Accepted
from scrapy_t8.core.frontier.endings import accepted_by
from scrapy_t8.errors import ConfigError, WriteError
from scrapy_t8.stores.reader.reader import Reader, open_read_only
from scrapy_t8.utils import __version__
from scrapy_t8.utils.files import replacing
from scrapy_t8.utils.log.loggers import get_logger
from scrapy_t8.utils.log.mask import KEPT, NAMES, Mask

from .document import Document, collect, exit_status, verdict
from .html import render

logger = get_logger(__name__)

JSON, HTML = "report.json", "report.html"
DIRECTORY = "report"  # Where a report is written, in the job directory


def read_report(jobdir: str | Path, accepted: Accepted | None = None) -> Document:
    """Return the report of the job in *jobdir* as of now. A crawl may be using the job; nothing is changed.

    Alerts, doubts and the results of a validator are those of the end of the last run.

    :param accepted: the causes for which requests may end without a result; None: those of the last run.
    :raises JobError: if there is no job.
    :raises StoreError: if its state cannot be read.
    """
    directory = Path(jobdir)
    with open_read_only(directory / "t8") as reader:
        document = masked_document(
            reader, time.time(), mask_of(reader), running=reader.is_running(), accepted=accepted or accepted_by(reader)
        )
    document |= _last_findings(directory / DIRECTORY / JSON, document)
    doubt(document, ())
    return document


def write_report(jobdir: str | Path, directory: str | Path | None = None) -> Document:
    """Write ``report.json`` and, with the extra ``report``, ``report.html``.

    :param directory: where to; by default the ``report`` of the job directory.
    :returns: what was written.
    :raises WriteError: if a file cannot be written; else as :func:`read_report`.
    """
    document = read_report(jobdir)
    write(document, Path(directory) if directory is not None else Path(jobdir) / DIRECTORY, Path(jobdir))
    return document


def mask_of(reader: Reader) -> Mask:
    """Return the mask of the crawl."""
    kept = reader.kept(KEPT)
    return Mask(msgpack.unpackb(kept[KEPT]) if kept else NAMES)


def masked_document(reader: Reader, now: float, mask: Mask, *, running: bool, accepted: Accepted) -> Document:
    """Collect the report without secrets. Alerts are still to be added."""
    job = reader.job()
    generator = f"scrapy_t8 {__version__}"
    document: Document = mask.all(collect(reader, job, now, generator, running=running, accepted=accepted))
    document["job"]["arguments"] = mask.all(job.arguments, given=True)
    return document


def final_report(
    directory: Path, now: float, mask: Mask, custom: Document, accepted: Accepted
) -> tuple[Document, list[int]]:
    """Collect the report of a run that has ended, from the state file in *directory*. Alerts are still to be added.

    Return also the numbers of items of earlier good jobs, the oldest first.

    :param custom: what the validator of the project found.
    :param accepted: the causes for which requests may end without a result.
    """
    with open_read_only(directory) as reader:
        document = masked_document(reader, now, mask, running=False, accepted=accepted)
        job = reader.job()
        history = [past.items for past in reader.past_jobs(job.spider) if past.good and past.number != job.number]
    document["validation"]["custom"] = mask.all(custom, given=True)
    return document, history


def doubt(document: Document, reasons: Iterable[str]) -> None:
    """Add reasons for which the job cannot be called complete. Decide on verdict and exit status again."""
    document["unproven"] += reasons
    document["verdict"] = verdict(document)
    document["exit_status"] = exit_status(document)


def write(document: Document, directory: Path, jobdir: Path) -> Path:
    """Write *document* and return the file for people: report.html, or report.json without the extra ``report``.

    :param jobdir: the job of the commands in report.html.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        with replacing(directory / JSON) as file:
            file.write(json.dumps(document, ensure_ascii=False, indent=1, default=str) + "\n")
        try:
            page = render(document, jobdir)
        except ConfigError as error:
            logger.info("%s", error)
            return directory / JSON
        with replacing(directory / HTML) as file:
            file.write(page)
    except OSError as error:
        raise WriteError(
            f"the report cannot be written to {directory}: {error.strerror or error}. Make room there or set "
            "T8_REPORT_DIR, then write the report with scrapy t8 report: the state of the job is stored, and if the "
            "job has finished, another run would begin a new one"
        ) from error
    return directory / HTML


def _last_findings(path: Path, document: Document) -> Document:
    """Return alerts and custom validation of the last report, if it was one of the same job."""
    try:
        last = json.loads(path.read_text(encoding="utf-8"))
        if last["job"]["id"] != document["job"]["id"]:
            return {}
        validation = {**document["validation"], "custom": last["validation"]["custom"]}
        return {"alerts": last["alerts"], "unproven": list(last.get("unproven", ())), "validation": validation}
    except (OSError, ValueError, KeyError, TypeError):
        return {}
