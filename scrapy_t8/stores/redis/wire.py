"""Batches as the scripts read them, and answers as they give them."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from typing import Any

import msgpack

from scrapy_t8.stores.frontier_contract import (
    AddedRequest,
    Answer,
    CommitStatus,
    Conflict,
    Counts,
    Lease,
    Seeds,
    WorkerBatch,
)

BUCKET_BITS = 16
"""A set of integers takes 8 bytes a number as long as it is small: so fingerprints lie in 65,536 sets."""
SEED_SLOT = "\0seeds"
"""The slot of seeds, which are no requests yet."""
SEED_MARK = b"s"
"""The first byte of the body of a seed. What a worker admits begins with another one."""


def bucket_of(number: int) -> int:
    """Return the bucket of a number of 63 bits."""
    return number >> (63 - BUCKET_BITS)


def score_of(priority: int, *, is_start: bool) -> int:
    """Return by what ready requests are sorted: the highest priority first, and requests of ``start()`` last in it."""
    return -2 * priority + is_start


def pack_batch(batch: WorkerBatch) -> bytes:
    """Return *batch* as MessagePack of the old kind, which Lua's library reads. Numbers of 63 bits become text."""
    document = {
        "added": [_added(request) for request in batch.added],
        "added_waiting": [
            [str(r.id), r.slot, score_of(r.priority, is_start=r.is_start), r.body, milliseconds(delay)]
            for r, delay in batch.added_waiting
        ],
        "done": [str(number) for number in batch.done],
        "started": [str(number) for number in batch.started],
        "waits": [str(retried.id) for retried in batch.retried],
        "delays": [milliseconds(retried.delay) for retried in batch.retried],
        "bodies": [retried.body for retried in batch.retried],
        "spawned": [[str(parent), key, str(child)] for parent, key, child in batch.spawned],
        "keys": [[bucket_of(key), str(key)] for key in batch.keys],
        "feeds": _flat((name, json.dumps(record)) for name, record in batch.feeds.items()),
        "kept": _flat(batch.kept.items()),
        "ledger": batch.ledger,
        "hosts": [[slot, h.record or b"", milliseconds(h.pause)] for slot, h in batch.hosts.items()],
        "limits": {slot: f"{max(1, limit)}:{milliseconds(delay)}" for slot, (limit, delay) in batch.limits.items()},
        "seeds": _seeds(batch.seeds),
        "seed_slot": SEED_SLOT,
        "seed_mark": SEED_MARK,
        "cold": batch.cold,
    }
    packed: bytes = msgpack.packb(document, use_bin_type=False, unicode_errors="surrogateescape")
    return packed


def _added(request: AddedRequest) -> list[Any]:
    fingerprint = request.fingerprint
    return [
        str(request.id),
        request.slot,
        score_of(request.priority, is_start=request.is_start),
        request.body,
        0 if fingerprint is None else bucket_of(fingerprint),
        "" if fingerprint is None else str(fingerprint),
        int(request.is_marked or request.replaces is not None),
        "" if request.replaces is None else str(request.replaces),
        "" if request.parent is None else str(request.parent),
        request.key,
    ]


def _seeds(seeds: Seeds | None) -> list[str]:
    return [] if seeds is None else [seeds.key, seeds.kind, *map(str, seeds.ids)]


def _flat(pairs: Iterable[tuple[str, Any]]) -> list[Any]:
    return list(chain.from_iterable(pairs))


def milliseconds(seconds: float) -> int:
    """Return *seconds* in milliseconds, rounded up: nothing may be sent too early."""
    return math.ceil(max(0.0, seconds) * 1000)


def answer_of(status: CommitStatus, reply: Sequence[Any]) -> Answer:
    """Return the answer of the script ``commit``."""
    if status is CommitStatus.CONFLICT:
        conflicts = [(kind.decode(), int(number)) for kind, number in reply[1]]
        return Answer(
            status,
            conflict=Conflict(
                [number for kind, number in conflicts if kind == "key"],
                [number for kind, number in conflicts if kind == "request"],
            ),
        )
    if status not in (CommitStatus.OK, CommitStatus.AGAIN):
        return Answer(status)
    _, dropped, leases, counts, hosts = reply
    return Answer(
        status,
        dropped=[int(number) for number in dropped],
        leases=[_lease(*lease) for lease in leases],
        counts=counts_of(counts),
        hosts={text(slot): record for slot, record in pairs(hosts[1])} if len(hosts) > 1 else None,
        hosts_version=text(hosts[0]),
    )


def _lease(number: bytes, entry: bytes, turn: int, spawned: Sequence[bytes]) -> Lease:
    if not entry:
        return Lease(int(number), None, 0, turn / 1000)
    unpacker = msgpack.Unpacker(raw=True)
    unpacker.feed(entry[:1024])
    header = unpacker.unpack()
    children = {key: int(child) for key, child in pairs(spawned)}
    return Lease(int(number), entry[unpacker.tell() :], header[3], turn / 1000, children)


def counts_of(counts: Sequence[int]) -> Counts:
    """Return the numbers that each script ends with."""
    return Counts(counts[0], counts[1], counts[2], bool(counts[3]), counts[4])


def pairs(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names and values of a reply to HGETALL."""
    return zip(flat[::2], flat[1::2], strict=True)


def text(value: bytes) -> str:
    """Return bytes of the server as text."""
    return value.decode("utf-8", "surrogateescape")
