"""The connection to Redis: made as scrapy-redis makes it, and checked before anything is written."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from scrapy_redis.connection import get_redis

from scrapy_t8.errors import ConfigError, NoAnswer, StoreError

OLDEST = (7, 0)
"""The oldest release of Redis: its scripts can refuse to begin when memory is short, or the server is read-only."""
PATIENCE = 5.0
"""Seconds that the server may take for one answer."""
NO_ANSWER = (redis.exceptions.ConnectionError, redis.exceptions.TimeoutError)
ENDED_BEFORE = (redis.exceptions.AuthenticationError, redis.exceptions.AuthorizationError)
"""Errors of the same family after which it is clear that nothing has happened."""
REMEDIES = {
    "OOM": "The server has no memory left: raise maxmemory",
    "READONLY": "The server is a read-only replica: T8_STORE must name the primary",
    "NOAUTH": "The server wants a password: T8_STORE = 'redis://:password@host:6379/0'",
    "WRONGPASS": "The user or password in T8_STORE is wrong",
    "NOPERM": "The user of T8_STORE may not do this: T8 needs scripts and all commands on its keys",
    "MISCONF": "The server cannot save its data: look into its log, make space on its disk",
    "NOREPLICAS": "The server has fewer replicas than min-replicas-to-write asks for",
    "LOADING": "The server is still loading its data",
    "WRONGTYPE": "A key of the job has another type: something else writes to it",
    "BUSY": "A script of somebody else blocks the server",
    "CLUSTERDOWN": "The cluster has lost nodes",
    "MASTERDOWN": "The server is a replica without its primary: T8_STORE must name the primary",
}
PASSING = ("OOM", "LOADING", "BUSY", "CLUSTERDOWN", "MASTERDOWN", "NOREPLICAS", "MISCONF", "TRYAGAIN")
"""Refusals that pass by themselves: nothing has happened, and the same call is sent again."""


def connect(url: str, parameters: Mapping[str, Any] | None = None) -> redis.Redis:
    """Return a client of the server at *url*. Nothing is sent yet.

    :param parameters: those of scrapy-redis (``REDIS_PARAMS``), such as ``redis_cls``.
    :raises ConfigError: if *url* or *parameters* cannot be used.
    """
    # A call whose answer is lost may have had its effect: it is never repeated silently.
    settings = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE, **(parameters or {})}
    settings |= {"retry": Retry(NoBackoff(), 0), "decode_responses": False, "url": url}
    settings.pop("retry_on_timeout", None)
    try:
        client: redis.Redis = get_redis(**settings)
    except (ValueError, TypeError, ImportError, AttributeError) as error:
        raise ConfigError(f"T8_STORE = {hidden(url)!r} or REDIS_PARAMS cannot be used: {error}") from None
    return client


def hidden(url: str) -> str:
    """Return *url* without its password."""
    return re.sub(r"//([^:@/]*):[^@]*@", r"//\1:***@", url)


@contextmanager
def answers(what: str, where: str) -> Iterator[None]:
    """Translate the errors of a call.

    :raises NoAnswer: if the call may have had an effect, or may have one if it is sent again.
    :raises StoreError: if the server refuses the call.
    """
    try:
        yield
    except ENDED_BEFORE as error:
        raise StoreError(_refusal(what, where, error)) from None
    except NO_ANSWER as error:
        raise NoAnswer(f"Redis at {where} does not answer: {one_line(error)}") from None
    except redis.exceptions.RedisError as error:
        code = _code(error)
        if code in PASSING:
            raise NoAnswer(_refusal(what, where, error)) from None
        raise StoreError(_refusal(what, where, error)) from None


def _code(error: Exception) -> str:
    # redis-py has classes for some codes, and takes the code out of their texts.
    names = {
        redis.exceptions.OutOfMemoryError: "OOM",
        redis.exceptions.ReadOnlyError: "READONLY",
        redis.exceptions.BusyLoadingError: "LOADING",
        redis.exceptions.NoPermissionError: "NOPERM",
        redis.exceptions.AuthenticationError: "WRONGPASS",
    }
    found = next((code for cls, code in names.items() if isinstance(error, cls)), "")
    said = re.match(r"-?([A-Z]{3,})\b", str(error))
    return found or (said.group(1) if said else "")


def _refusal(what: str, where: str, error: Exception) -> str:
    remedy = REMEDIES.get(_code(error), "")
    return f"Redis at {where} cannot {what}: {one_line(error)}" + (f". {remedy}" if remedy else "")


def one_line(error: Exception) -> str:
    """Return the text of *error*, without line breaks."""
    return " ".join(str(error).split()) or type(error).__name__


def check_server(client: redis.Redis, where: str) -> list[str]:
    """Check that the server can keep what is promised. Return what it does not promise, in lines for a person.

    :raises StoreError: if T8 cannot use the server.
    :raises NoAnswer: if the server does not answer.
    """
    with answers("be used", where):
        info: dict[str, Any] = client.info("everything")
    version = tuple(int(part) for part in str(info.get("redis_version", "0")).split(".")[:2])
    if version < OLDEST:
        needed = ".".join(map(str, OLDEST))
        raise StoreError(f"Redis at {where} is {info.get('redis_version')}: T8 needs {needed} or newer, or Valkey")
    if other := _other_product(info):
        raise StoreError(f"The server at {where} is {other}, which does not do all that T8 needs: use Redis or Valkey")
    if info.get("role") not in (None, "master"):
        raise StoreError(f"Redis at {where} is a replica: T8_STORE must name the primary, which has the last commit")
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy != "noeviction":
        raise StoreError(
            f"Redis at {where} deletes keys when its memory is full (maxmemory-policy {policy}), and would lose "
            "requests: set maxmemory-policy noeviction on the server, or use a server of its own"
        )
    return _warnings(client, info, where)


def _other_product(info: Mapping[str, Any]) -> str:
    if "dragonfly_version" in info:
        return f"Dragonfly {info['dragonfly_version']}"
    if "keydb" in str(info.get("executable", "")).lower() or "mvcc_depth" in info:
        return "KeyDB"
    return ""


def _warnings(client: redis.Redis, info: Mapping[str, Any], where: str) -> list[str]:
    if int(info.get("aof_enabled", 0)):
        return []
    try:
        snapshots = bool(client.config_get("save").get("save", "unknown"))
    except redis.exceptions.RedisError:
        snapshots = True  # a managed server does not say
    if snapshots:
        loss = "a crash of the server costs the pages since the last snapshot, which are fetched again"
        return [f"Redis at {where} writes snapshots only (appendonly no): {loss}"]
    remedy = "Set appendonly yes on the server"
    return [f"Redis at {where} keeps its data in memory only: if the server ends, the job is gone. {remedy}"]
