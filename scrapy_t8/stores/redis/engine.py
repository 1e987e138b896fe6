"""The engine of the shared frontier in Redis. Each verb is one script, which the server runs alone and whole."""

from __future__ import annotations

import json
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import redis

from scrapy_t8.errors import JobError, JobLocked, JobMismatch, StoreError, StoreVersion
from scrapy_t8.stores.frontier_contract import Answer, CommitStatus, FinishStatus, NewJob, Session, WorkerBatch

from .connection import answers, check_server
from .wire import answer_of, milliseconds, pack_batch, pairs, text

SCHEMA = 1
"""The version of the keys."""
TTL = 30.0
"""Seconds after which a session that is not renewed ends."""
HORIZON = 2.0
"""Seconds ahead for which turns of a download delay are given out."""
FSYNC = 2.0
"""Seconds after which an append-only file that is synced every second is on the disk."""
LOOK = 0.05
"""Seconds between two looks at something that the server does by itself."""
SCRIPTS = Path(__file__).parent / "lua"


class RedisFrontier:
    """The shared frontier of one spider.

    :param where: the server, without its password, for messages.
    :param ttl: seconds after which a session that is not renewed ends.
    :param sleep: waits so many seconds for the server.
    """

    def __init__(
        self,
        client: redis.Redis,
        spider: str,
        *,
        where: str = "",
        ttl: float = TTL,
        horizon: float = HORIZON,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._client = client
        self._where = where
        self._ttl = milliseconds(ttl)
        self._horizon = milliseconds(horizon)
        self._sleep = sleep
        self.prefix = f"{{{_tag(spider)}}}:t8:"
        common = (SCRIPTS / "common.lua").read_text(encoding="utf-8")
        self._scripts = {
            file.stem: client.register_script(f"#!lua flags=allow-cross-slot-keys\n{common}\n{file.read_text('utf-8')}")
            for file in SCRIPTS.glob("*.lua")
            if file.stem != "common"
        }

    # -- sessions ------------------------------------------------------------------------------------------------

    def join(self, worker: str, place: str, job: NewJob | None = None) -> Session:
        warnings = check_server(self._client, self._where)
        token = uuid.uuid4().hex
        new = [] if job is None else _fields(job)
        status, *reply = self._run("join", worker, token, place, self._ttl, int(job is not None), *new)
        if status == "busy":
            raise JobLocked(
                f"Worker {worker} is alive at {text(reply[0])}: each worker needs a JOBDIR of its own, and a copy of a "
                f"JOBDIR is none. If that process is dead, its session ends in {reply[1] / 1000:.0f} s"
            )
        if status == "missing":
            raise JobError(f"Redis at {self._where} has no job under {self.prefix}")
        fields = {text(name): text(value) for name, value in pairs(reply[0] if status == "finished" else reply[2])}
        if int(fields.get("schema", 0)) != SCHEMA:
            raise StoreVersion(
                f"The job under {self.prefix} was written by another version of scrapy_t8 (schema "
                f"{fields.get('schema')}, not {SCHEMA}): finish it with that version, or begin a new one"
            )
        if status == "finished":
            raise JobError(f"The job under {self.prefix} is finished: begin a new one")
        epoch, returned, _, feeds, kept = reply
        session = Session(
            worker,
            epoch,
            f"{epoch}:{token}",
            job=fields,
            feeds=_documents(feeds),
            kept={text(name): value for name, value in pairs(kept)},
            returned=returned,
            warnings=warnings,
        )
        if job is not None and (job.spider, job.arguments) != (fields["spider"], fields["arguments"]):
            self.leave(session)
            raise JobMismatch(
                f"The job under {self.prefix} was begun with spider {fields['spider']!r} and arguments "
                f"{fields['arguments']}, not with {job.spider!r} and {job.arguments}"
            )
        return session

    def beat(self, session: Session) -> bool:
        return bool(self._run("beat", session.worker, session.name, self._ttl)[0] == "ok")

    def leave(self, session: Session) -> bool:
        return bool(self._run("leave", session.worker, session.name)[0] == "ok")

    def reclaim(self) -> Mapping[str, int]:
        return {text(worker): count for worker, count in self._run("reclaim")[1]}

    # -- commits -------------------------------------------------------------------------------------------------

    def packed(self, batch: WorkerBatch) -> bytes:
        return pack_batch(batch)

    def commit(
        self, session: Session, number: int, batch: WorkerBatch | bytes, *, want: int, hosts_version: str = "0"
    ) -> Answer:
        packed = batch if isinstance(batch, bytes) else pack_batch(batch)
        reply = self._run(
            "commit", session.worker, session.name, number, packed, want, self._ttl, self._horizon, hosts_version
        )
        if reply[0] == "broken":
            raise StoreError(
                f"Worker {session.worker} has settled request {text(reply[1])}, which was not leased to it. Please "
                "report this as a bug of scrapy_t8"
            )
        return answer_of(CommitStatus(reply[0]), reply)

    def log(self, first: int, count: int) -> Sequence[bytes]:
        with answers("be read", self._where):
            parts: Any = self._client.lrange(f"{self.prefix}log", first, first + count - 1)
            return list(parts)

    # -- the end -------------------------------------------------------------------------------------------------

    def finish(self, session: Session, *, is_durable: bool) -> FinishStatus:
        return FinishStatus(self._run("finish", session.worker, session.name, int(is_durable))[0])

    def wait_durable(self) -> None:
        """Wait until the server has synced its append-only file. WAITAOF does that, where the server has it."""
        with answers("save its data", self._where):
            try:
                synced: Any = self._client.waitaof(1, 0, milliseconds(FSYNC))
            except redis.exceptions.ResponseError:  # an older server, or no append-only file
                synced = (0, 0)
        if not int(synced[0]):
            self._sleep(FSYNC)

    def _mend_restarted(self) -> None:
        """Let a server that has restarted write its append-only file anew, before anything is added to it.

        If the file ends in the middle of a script, servers before Valkey 9.1 leave that part out at the first restart,
        append to it, and bring it back at the second one.
        """
        with answers("write its append-only file anew", self._where):
            if self._client.info("persistence").get("aof_enabled"):
                self._rewrite()
        self._run("restarted")

    def _rewrite(self) -> None:
        try:
            self._client.bgrewriteaof()
        except redis.exceptions.ResponseError as error:
            if "in progress" not in str(error):
                raise
        while True:
            state = self._client.info("persistence")
            if not (state.get("aof_rewrite_in_progress") or state.get("aof_rewrite_scheduled")):
                break
            self._sleep(LOOK)
        if state.get("aof_last_bgrewrite_status") != "ok":
            raise StoreError(f"Redis at {self._where} could not write its append-only file anew: look into its log")

    # -- scripts -------------------------------------------------------------------------------------------------

    def _run(self, script: str, *arguments: Any) -> list[Any]:
        """Run a script, and return its reply, of which the first part is text. A restart of the server is mended."""
        while True:
            with answers(f"run {script!r} of the job", self._where):
                reply = self._scripts[script]([self.prefix], arguments)
            status = text(reply[0])
            if status == "foreign":
                raise StoreError(
                    f"The key {text(reply[1])} at {self._where} is of type {text(reply[2])}: something else uses it. "
                    "Delete the key, or give the spider another name"
                )
            if status != "restarted":
                return [status, *reply[1:]]
            self._mend_restarted()


def _tag(spider: str) -> str:
    """Return the spider's name as a hash tag: one that contains braces would end the tag early."""
    return re.sub(r"[{}%]", lambda found: f"%{ord(found[0]):02X}", spider)


def _fields(job: NewJob) -> list[str]:
    fields = {
        "schema": str(SCHEMA),
        "id": job.id,
        "spider": job.spider,
        "arguments": job.arguments,
        "begun": repr(job.begun),
        "order": "fifo" if job.is_fifo else "lifo",
        "limit": str(max(1, job.limit)),
        "delay": str(milliseconds(job.delay)),
    }
    return [part for field in fields.items() for part in field]


def _documents(flat: Sequence[bytes]) -> dict[str, Any]:
    return {text(name): json.loads(value) for name, value in pairs(flat)}
