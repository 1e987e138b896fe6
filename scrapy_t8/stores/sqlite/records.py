"""Records that are stored as text."""

from __future__ import annotations

import json

from scrapy_t8.model.records import JobRecord, Ledger


def load_job(text: str) -> JobRecord:
    record = json.loads(text)
    return JobRecord(**{**record, "ledger": Ledger(**record["ledger"])})


def dump_job(job: JobRecord) -> str:
    # By hand: dataclasses.asdict copies deeply, and this is done with every commit.
    ledger = {name: getattr(job.ledger, name) for name in Ledger.__slots__}
    return json.dumps({**{name: getattr(job, name) for name in JobRecord.__slots__}, "ledger": ledger})
