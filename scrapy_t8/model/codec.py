"""Requests and items as safe bytes, and back.

A payload is one version byte, a CRC-32 of the body, the body: msgpack with one extension code per type that msgpack
does not know. Loading executes nothing: a class is rebuilt only if its module is already imported *and* it is an item
class, a Request class, an enum or a named tuple; a callback is rebuilt only as a method of the spider. What has no such
encoding raises :exc:`~scrapy_t8.errors.CannotStore`; pickle is used instead only where it was allowed.
"""

from __future__ import annotations

import pickle
import struct
from collections.abc import Callable
from enum import Enum
from typing import Any
from zlib import crc32

import msgpack
from itemadapter import ItemAdapter
from lxml.etree import _ElementUnicodeResult
from scrapy import Request, Spider
from scrapy.http.request import NO_CALLBACK

from scrapy_t8.errors import CannotLoad, CannotStore

from .codec_types import DECODERS, ENCODERS, class_path, find_class, item_fields, make_item

MSGPACK, PICKLE = 1, 2
HEADER = struct.Struct(">BI")
DEFAULTS: dict[str, Any] = {
    "method": "GET",
    "body": b"",
    "encoding": "utf-8",
    "priority": 0,
    "dont_filter": False,
}
NO_CALLBACK_NAME = "!NO_CALLBACK"

# Beside the codes of values.ENCODERS.
ITEM, REQUEST, ENUM, NAMEDTUPLE = 20, 21, 22, 23


class Codec:
    """Encodes the requests and items of one spider.

    :param spider: whose methods callbacks are, or None where only items are handled.
    :param allow_pickle: use pickle for what has no safe encoding, and load what was stored so.
    """

    def __init__(self, spider: Spider | None = None, *, allow_pickle: bool = False) -> None:
        self._spider = spider
        self._allow_pickle = allow_pickle
        self._packer = msgpack.Packer(
            strict_types=True, default=self._extend, unicode_errors="surrogatepass", autoreset=True
        )

    # -- requests and items --------------------------------------------------------------------------------------

    def encode_request(self, request: Request) -> bytes:
        """The bytes of *request*.

        :raises CannotStore: naming the attribute and the key that cannot be stored.
        """
        return self._seal(self._request_fields(request))

    def decode_request(self, payload: bytes) -> Request:
        """The request of *payload*.

        :raises CannotLoad: if it is damaged, or names a callback or class that is not there (``kind`` tells which).
        """
        return self._request(self._open(payload))

    def outline(self, payload: bytes) -> tuple[str, str]:
        """URL and name of the callback of a *payload* that may not become a request again; empty if unreadable."""
        try:
            fields = self._open(payload)
            return str(fields.get("url", "")), str(fields.get("callback") or "")
        except (CannotLoad, AttributeError):
            return "", ""

    def envelope(self, payload: bytes) -> tuple[str, dict[str, Any]]:
        """URL and meta of a stored request, without making it a request again; empty if unreadable."""
        fields = _fields(payload)
        try:
            return str(fields.get("url", "")), dict(fields.get("meta") or {})
        except (TypeError, ValueError):
            return "", {}

    def callback_name(self, payload: bytes) -> str | None:
        """The name of the callback of a stored request, empty for the default one; None if it is unreadable."""
        fields = _fields(payload)
        return str(fields.get("callback") or "") if "url" in fields else None

    def repeated(self, payload: bytes) -> bytes:
        """A stored request as one that is made again: past the duplicate filter, and not answered from a cache.

        :raises CannotLoad: if it is damaged, or stored with pickle.
        """
        if payload[:1] != bytes([MSGPACK]):
            raise CannotLoad("only what is stored without pickle can be changed")
        try:
            fields = msgpack.unpackb(payload[HEADER.size :], strict_map_key=False, unicode_errors="surrogatepass")
            fields["dont_filter"] = True
            fields["meta"] = {**(fields.get("meta") or {}), "dont_cache": True, "t8_bypass_cache": True}
        except (ValueError, TypeError, AttributeError) as error:
            raise CannotLoad(f"the stored bytes cannot be read: {error}") from None
        return self._seal(fields)

    def encode_item(self, item: Any) -> bytes:
        """The bytes of *item*, of any kind that itemadapter knows.

        :raises CannotStore: naming the field that cannot be stored.
        """
        return self._seal(item)

    def decode_item(self, payload: bytes) -> Any:
        """The item of *payload*, of the class it had.

        :raises CannotLoad: if it is damaged or its class is not imported.
        """
        return self._open(payload)

    # -- the envelope --------------------------------------------------------------------------------------------

    def _seal(self, value: Any) -> bytes:
        version = MSGPACK
        try:
            body = self._pack(value)
        except CannotStore as error:
            if not self._allow_pickle:
                raise CannotStore(str(error), error.where or self._locate(value)) from None
            version, body = PICKLE, self._pickle(value, error)
        return HEADER.pack(version, crc32(body)) + body

    def _open(self, payload: bytes) -> Any:
        if len(payload) < HEADER.size:
            raise CannotLoad("the stored bytes are cut short")
        version, checksum = HEADER.unpack_from(payload)
        body = payload[HEADER.size :]
        if crc32(body) != checksum:
            raise CannotLoad("the stored bytes are damaged: their checksum differs")
        if version == MSGPACK:
            return self._unpack(body)
        if version != PICKLE:
            raise CannotLoad(f"the stored bytes are of version {version}, which this T8 does not know")
        if not self._allow_pickle:
            raise CannotLoad("stored with pickle, and T8_ALLOW_PICKLE is off")
        return pickle.loads(body)

    def _pack(self, value: Any) -> bytes:
        try:
            return self._packer.pack(value)  # type: ignore[no-any-return]
        except CannotStore:
            raise
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise CannotStore(str(error)) from None

    def _unpack(self, body: bytes) -> Any:
        try:
            return msgpack.unpackb(body, ext_hook=self._rebuild, strict_map_key=False, unicode_errors="surrogatepass")
        except CannotLoad:
            raise
        except Exception as error:
            raise CannotLoad(f"the stored bytes cannot be read: {error}") from None

    def _pickle(self, value: Any, error: CannotStore) -> bytes:
        try:
            return pickle.dumps(value, protocol=4)
        except Exception:
            raise CannotStore(str(error), self._locate(value)) from None

    def _locate(self, value: Any, path: str = "", depth: int = 8) -> str:
        """The part of *value* that cannot be packed, as ``meta['loader']``; not deeper than a person would look."""
        parts: Any = ()
        if not depth:
            return path
        if isinstance(value, dict):
            parts = value.items()
        elif isinstance(value, (list, tuple)):
            parts = enumerate(value)
        elif ItemAdapter.is_item(value):
            parts = ItemAdapter(value).items()
        for key, part in parts:
            try:
                # Not with the shared packer: this may run inside one of its own calls.
                msgpack.packb(part, strict_types=True, default=self._extend, unicode_errors="surrogatepass")
            except Exception:
                return self._locate(part, f"{path}[{key!r}]" if path else str(key), depth - 1)
        return path

    # -- types beyond msgpack's own ------------------------------------------------------------------------------

    def _extend(self, value: Any) -> Any:
        known = ENCODERS.get(type(value))
        if known is not None:
            code, encode = known
            return msgpack.ExtType(code, self._nested(encode(value)))
        if isinstance(value, _ElementUnicodeResult):
            return str(value)  # the text of a link, as link extractors give it
        if isinstance(value, Request):
            return msgpack.ExtType(REQUEST, self._nested(self._request_fields(value)))
        if isinstance(value, Enum):
            return msgpack.ExtType(ENUM, self._nested([class_path(type(value)), value.name]))
        if isinstance(value, tuple) and hasattr(value, "_fields"):
            return msgpack.ExtType(NAMEDTUPLE, self._nested([class_path(type(value)), list(value)]))
        if ItemAdapter.is_item(value) and not isinstance(value, dict):
            return msgpack.ExtType(ITEM, self._nested(item_fields(value)))
        raise CannotStore(f"a {type(value).__module__}.{type(value).__qualname__} cannot be stored")

    def _nested(self, value: Any) -> bytes:
        """Pack inside a call of the packer, which is not re-entrant."""
        return msgpack.packb(  # type: ignore[no-any-return]
            value, strict_types=True, default=self._extend, unicode_errors="surrogatepass"
        )

    def _rebuild(self, code: int, data: bytes) -> Any:
        value = self._unpack(data)
        if code == ITEM:
            return make_item(*value)
        if code == REQUEST:
            return self._request(value)
        if code == ENUM:
            return find_class(value[0], "enum")[value[1]]
        if code == NAMEDTUPLE:
            return tuple.__new__(find_class(value[0], "named tuple"), value[1])
        if code not in DECODERS:
            raise CannotLoad(f"the stored bytes hold a type (code {code}) that this T8 does not know")
        return DECODERS[code](value)

    # -- requests ------------------------------------------------------------------------------------------------

    def _request_fields(self, request: Request) -> dict[str, Any]:
        cls = type(request)
        if cls.to_dict is not Request.to_dict:
            return request.to_dict(spider=self._spider)
        fields = {name: getattr(request, name) for name in cls.attributes}
        # Names instead of methods. Request.to_dict does the same, but walks all members of the spider each time.
        for name in ("callback", "errback"):
            if fields[name] is not None:
                fields[name] = self._callback_name(request, name, fields[name])
        if cls is not Request:
            # A subclass may have other defaults: keep all of its attributes.
            return {**fields, "_class": class_path(cls)}
        return {k: v for k, v in fields.items() if v and v != DEFAULTS.get(k)}

    def _callback_name(self, request: Request, attribute: str, function: Callable[..., Any]) -> str:
        if function is NO_CALLBACK:
            return NO_CALLBACK_NAME
        owner, code = getattr(function, "__self__", None), getattr(function, "__func__", None)
        if owner is not self._spider or code is None:
            raise _not_a_method(function, attribute)
        name: str = code.__name__
        if getattr(getattr(self._spider, name, None), "__func__", None) is code:
            return name
        try:
            # Under another name: an alias, a private method.
            return str(request.replace(meta={}, cb_kwargs={}).to_dict(spider=self._spider)[attribute])
        except ValueError:
            raise _not_a_method(function, attribute) from None

    def _request(self, fields: dict[str, Any]) -> Request:
        cls = find_class(fields.pop("_class"), "request") if "_class" in fields else Request
        for name in ("callback", "errback"):
            if isinstance(fields.get(name), str):
                fields[name] = self._callback(fields[name], name)
        try:
            request: Request = cls(**{k: v for k, v in fields.items() if k in cls.attributes})
        except Exception as error:
            raise CannotLoad(f"cannot be made a {cls.__name__} again: {error}") from None
        return request

    def _callback(self, name: str, attribute: str) -> Callable[..., Any]:
        if name == NO_CALLBACK_NAME:
            return NO_CALLBACK
        method = getattr(self._spider, name, None)
        if not callable(method):
            message = f"its {attribute} {name!r} is no longer a method of the spider"
            raise CannotLoad(message, kind="callback")
        return method  # type: ignore[no-any-return]


def _fields(payload: bytes) -> dict[str, Any]:
    """Those of a stored request, as they are stored; none if it is unreadable."""
    if payload[:1] != bytes([MSGPACK]):
        return {}
    body = payload[HEADER.size :]
    try:
        # What is of a class need not be made: the class may not be there.
        fields = msgpack.unpackb(body, ext_hook=_nothing, strict_map_key=False, unicode_errors="surrogatepass")
    except Exception:
        return {}
    return fields if isinstance(fields, dict) else {}


def _nothing(code: int, data: bytes) -> None:
    """An extension type that is passed over."""


def _not_a_method(function: Callable[..., Any], attribute: str) -> CannotStore:
    shown = getattr(function, "__qualname__", repr(function))
    return CannotStore(f"{shown} is not a method of the spider", attribute)
