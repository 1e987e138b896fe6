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
SEED_SLOT = " seeds"
"""The slot of seeds, which are no requests yet."""
SEED_MARK = b"s"
"""The first byte of the body of a seed. What a worker admits begins with another one."""


MIDDLE, MOST = 5_000_000_000, 2_400_000_000
"""The score of priority 0, and the highest priority that keeps its place in the order: more than an int of C has."""
HEAD = 17
"""The bytes of an entry before its name: the order of admission, crashes (3 digits), what it has been through (1)."""
SCORE = 10


def bucket_of(number: int) -> int:
    """Return the bucket of a number of 63 bits."""
    return number >> (63 - BUCKET_BITS)


def name_of(slot: str, priority: int, *, is_start: bool = False) -> bytes:
    """Return by what ready requests are sorted: slot, highest priority first, requests of ``start()`` last in it.

    The name of a slot ends with a zero byte.
    """
    score = MIDDLE + max(-MOST, min(MOST, -priority)) * 2 + is_start
    return b"%s\0%010d" % (slot_name(slot).encode("utf-8", "surrogateescape"), score)


def pack_batch(batch: WorkerBatch) -> bytes:
    """Return *batch* as MessagePack of the old kind, which Lua's library reads. Numbers of 63 bits become text."""
    added = batch.added
    document = {
        "added": _columns(added),
        "slots": list({slot_name(request.slot) for request in added}),
        "marked": [
            n for n, r in enumerate(added, 1) if (r.is_marked or r.replaces is not None) and r.fingerprint is not None
        ],
        "replaces": [[n, str(r.replaces)] for n, r in enumerate(added, 1) if r.replaces is not None],
        "children": [[n, str(r.parent), r.key] for n, r in enumerate(added, 1) if r.parent is not None],
        "added_waiting": [
            [str(r.id), name_of(r.slot, r.priority, is_start=r.is_start) + r.body, milliseconds(delay)]
            for r, delay in batch.added_waiting
        ],
        "done": [str(number) for number in batch.done],
        "started": [str(number) for number in batch.started],
        "waits": [str(retried.id) for retried in batch.retried],
        "delays": [milliseconds(retried.delay) for retried in batch.retried],
        "bodies": [retried.body for retried in batch.retried],
        "spawned": [[str(parent), key, str(child)] for parent, key, child in batch.spawned],
        "keys": [[str(bucket_of(key)), str(key)] for key in batch.keys],
        "feeds": _flat((name, json.dumps(record)) for name, record in batch.feeds.items()),
        "kept": _flat(batch.kept.items()),
        "ledger": batch.ledger,
        "hosts": [[slot_name(slot), h.record or b"", milliseconds(h.pause)] for slot, h in batch.hosts.items()],
        "limits": {slot_name(slot): [max(1, n), milliseconds(delay)] for slot, (n, delay) in batch.limits.items()},
        "seeds": _seeds(batch.seeds),
        "seed": name_of(SEED_SLOT, 0) + SEED_MARK,
        "cold": batch.cold,
    }
    packed: bytes = msgpack.packb(document, use_bin_type=False, unicode_errors="surrogateescape")
    return packed


def _columns(added: Sequence[AddedRequest]) -> list[list[Any]]:
    """Return ids, names, names with bodies, buckets and fingerprints of requests: lists are cheaper than records."""
    names = [name_of(request.slot, request.priority, is_start=request.is_start) for request in added]
    return [
        [str(request.id) for request in added],
        names,
        [name + request.body for name, request in zip(names, added, strict=True)],
        ["" if request.fingerprint is None else str(bucket_of(request.fingerprint)) for request in added],
        ["" if request.fingerprint is None else str(request.fingerprint) for request in added],
    ]


def _seeds(seeds: Seeds | None) -> list[str]:
    return [] if seeds is None else [seeds.key, seeds.kind, *map(str, seeds.ids)]


def _flat(pairs: Iterable[tuple[str, Any]]) -> list[Any]:
    return list(chain.from_iterable(pairs))


def slot_name(slot: str) -> str:
    """Return the name of a slot without zero bytes, which end the name in the keys."""
    return slot.replace("\0", "%00")


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
    body = entry.index(b"\0", HEAD) + 1 + SCORE
    children = {key: int(child) for key, child in pairs(spawned)}
    return Lease(int(number), entry[body:], int(entry[HEAD - 4 : HEAD - 1]), turn / 1000, children)


def counts_of(counts: Sequence[int]) -> Counts:
    """Return the numbers that each script ends with."""
    return Counts(counts[0], counts[1], counts[2], bool(counts[3]), counts[4])


def pairs(flat: Sequence[bytes]) -> Iterator[tuple[bytes, bytes]]:
    """Yield the names and values of a reply to HGETALL."""
    return zip(flat[::2], flat[1::2], strict=True)


def text(value: bytes) -> str:
    """Return bytes of the server as text."""
    return value.decode("utf-8", "surrogateescape")
