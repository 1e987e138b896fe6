"""Encodes requests and items as safe bytes, and decodes them.

A payload is one version byte, a CRC-32 of the body, and the body: msgpack with one extension code per type that msgpack
does not know. Decoding executes nothing: an object is rebuilt only if the module of its class is already imported *and*
the class is an item class, a Request class, an enum or a named tuple; a callback is rebuilt only as a method of the
spider. A value without such an encoding raises :exc:`~scrapy_t8.errors.CannotStore`; or it is pickled, where the user
allows that.
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

from .codec_types import DECODERS, ENCODERS, class_path, find_class, item_fields, make_item, names_of, spider_method

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

# These continue the codes of codec_types.ENCODERS.
ITEM, REQUEST, ENUM, NAMEDTUPLE = 20, 21, 22, 23

HALVES: dict[str, Any] = {"unicode_errors": "surrogatepass"}
"""Half of a character, as from a broken page, is kept as it is."""


class Codec:
    """Encodes the requests and items of one spider.

    :param spider: the spider whose methods are the callbacks; None to handle items only.
    :param allow_pickle: pickle values that have no safe encoding, and load pickles.
    """

    def __init__(self, spider: Spider | None = None, *, allow_pickle: bool = False) -> None:
        self._spider = spider
        self._allow_pickle = allow_pickle
        self._options: dict[str, Any] = {"strict_types": True, "default": self._extend, **HALVES}
        self._methods: dict[str, Any] = {}
        """The functions of the callbacks that were stored, by name."""
        self._packer = msgpack.Packer(autoreset=True, **self._options)

    # -- requests and items --------------------------------------------------------------------------------------

    def encode_request(self, request: Request) -> bytes:
        """Return *request* as bytes.

        :raises CannotStore: naming the attribute and the key that cannot be stored.
        """
        return self._seal(self._request_fields(request))

    def decode_request(self, payload: bytes) -> Request:
        """Return the request of *payload*.

        :raises CannotLoad: if *payload* is damaged, or names a callback or class that does not exist (see ``kind``).
        """
        return self._request(self._open(payload))

    def outline(self, payload: bytes) -> tuple[str, str]:
        """Return URL and callback name of a *payload* that cannot be decoded; empty if they are unreadable."""
        try:
            fields = self._open(payload)
            return str(fields.get("url", "")), str(fields.get("callback") or "")
        except (CannotLoad, AttributeError):
            return "", ""

    def envelope(self, payload: bytes) -> tuple[str, dict[str, Any]]:
        """Return URL and meta of a stored request without decoding it; empty if they are unreadable."""
        fields = _fields(payload)
        try:
            return str(fields.get("url", "")), dict(fields.get("meta") or {})
        except (TypeError, ValueError):
            return "", {}

    def callback_name(self, payload: bytes) -> str | None:
        """Return the callback name of a stored request, empty for the default callback; None if it is unreadable."""
        fields = _fields(payload)
        return str(fields.get("callback") or "") if "url" in fields else None

    def repeated(self, payload: bytes) -> bytes:
        """Return a stored request changed so that neither the duplicate filter nor a cache stops it.

        :raises CannotLoad: if *payload* is damaged, or a pickle.
        """
        if payload[:1] != bytes([MSGPACK]):
            raise CannotLoad("only what is stored without pickle can be changed")
        try:
            fields = msgpack.unpackb(payload[HEADER.size :], strict_map_key=False, **HALVES)
            fields["dont_filter"] = True
            fields["meta"] = {**(fields.get("meta") or {}), "dont_cache": True, "t8_bypass_cache": True}
        except (ValueError, TypeError, AttributeError) as error:
            raise CannotLoad(f"the stored bytes cannot be read: {error}") from None
        return self._seal(fields)

    def encode_item(self, item: Any) -> bytes:
        """Return *item*, of any kind that itemadapter supports, as bytes.

        :raises CannotStore: naming the field that cannot be stored.
        """
        return self._seal(item)

    def decode_item(self, payload: bytes) -> Any:
        """Return the item of *payload*, an instance of its original class.

        :raises CannotLoad: if *payload* is damaged, or the class is not imported.
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
            return msgpack.unpackb(body, ext_hook=self._decode, strict_map_key=False, **HALVES)
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
        """Return the path of the part of *value* that cannot be packed, as ``meta['loader']``, to *depth* levels."""
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
                self._nested(part)
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
        """Pack *value* during a call of the shared packer, which is not re-entrant."""
        return msgpack.packb(value, **self._options)  # type: ignore[no-any-return]

    def _decode(self, code: int, data: bytes) -> Any:
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
        if self._methods.get(name) is code:
            return name
        # Else under another name: an alias, a private method.
        for known in (name, *names_of(self._spider, code)):
            if self._has_method(known, code):
                return known
        raise _not_a_method(function, attribute)

    def _has_method(self, name: str, code: Any) -> bool:
        """Whether *name* will lead to the same method again."""
        method = spider_method(self._spider, name)
        if getattr(method, "__func__", None) is not code:
            return False
        self._methods[name] = code
        return True

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
        method = spider_method(self._spider, name)
        if method is None:
            message = f"its {attribute} {name!r} is no longer a method of the spider"
            raise CannotLoad(message, kind="callback")
        return method


def is_intact(payload: bytes) -> bool:
    """Whether *payload* is as a codec has sealed it."""
    if len(payload) < HEADER.size:
        return False
    version, checksum = HEADER.unpack_from(payload)
    return version in (MSGPACK, PICKLE) and crc32(payload[HEADER.size :]) == checksum


def _fields(payload: bytes) -> dict[str, Any]:
    """Return the fields of a stored request as they are stored; none if it is unreadable."""
    if payload[:1] != bytes([MSGPACK]):
        return {}
    body = payload[HEADER.size :]
    try:
        # Objects are left out: their classes may not exist.
        fields = msgpack.unpackb(body, ext_hook=_nothing, strict_map_key=False, **HALVES)
    except Exception:
        return {}
    return fields if isinstance(fields, dict) else {}


def _nothing(code: int, data: bytes) -> None:
    """Decode nothing: the value becomes None."""


def _not_a_method(function: Callable[..., Any], attribute: str) -> CannotStore:
    shown = getattr(function, "__qualname__", repr(function))
    return CannotStore(f"{shown} is not a method of the spider", attribute)
