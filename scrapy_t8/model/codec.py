"""Encodes requests and items as safe bytes, and decodes them.

A payload is one version byte, a CRC-32 of the body, and the body: msgpack with one extension code per type that msgpack
does not know. Decoding executes nothing: an object is rebuilt only if the module of its class is already imported *and*
the class is an item class, a Request class, an enum, a named tuple or a class that T8_STORED_CLASSES names; a callback
is rebuilt only as a method of the spider. A value without such an encoding raises
:exc:`~scrapy_t8.errors.CannotStore`; or it is pickled, where the user allows that.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Collection
from enum import Enum
from typing import Any
from zlib import crc32

import msgpack
from itemadapter import ItemAdapter
from lxml.etree import _ElementUnicodeResult
from scrapy import Request, Spider
from scrapy.http.request import NO_CALLBACK

from scrapy_t8.errors import CannotLoad, CannotStore
from scrapy_t8.model.stored.attempt import fields_of_attempt
from scrapy_t8.model.stored.envelope import HALVES, HEADER, MSGPACK, PICKLE, raw_fields, repeated_fields, url_and_meta
from scrapy_t8.model.stored.locate import locate
from scrapy_t8.model.stored.rules import Rules
from scrapy_t8.model.stored.subclasses import STATE, Subclasses, own_attributes, rebuild
from scrapy_t8.model.stored.types import (
    DECODERS,
    ENCODERS,
    PLAIN_CLASSES,
    class_path,
    find_class,
    is_named_tuple,
    is_plain,
    item_fields,
    make_item,
    make_plain,
    names_of,
    not_a_method,
    spider_method,
)

DEFAULTS: dict[str, Any] = {
    "method": "GET",
    "body": b"",
    "encoding": "utf-8",
    "priority": 0,
    "dont_filter": False,
}
NO_CALLBACK_NAME = "!NO_CALLBACK"

# These continue the codes of stored.types.ENCODERS.
ITEM, REQUEST, ENUM, NAMEDTUPLE, PLAIN = 20, 21, 22, 23, 24

DEEPEST = 64
"""Levels of values of types that msgpack does not know. Each level of decoding needs some of the stack."""
SHALLOW = 2
"""Levels that are decoded with ``unpackb``, which is quick, and needs 40 KB of the stack for each level."""


class Codec:
    """Encodes the requests and items of one spider.

    :param spider: the spider whose methods are the callbacks; None to handle items only.
    :param allow_pickle: pickle values that have no safe encoding, and load pickles.
    :param classes: import paths of more classes whose objects are stored by their attributes.
    """

    def __init__(
        self, spider: Spider | None = None, *, allow_pickle: bool = False, classes: Collection[str] = ()
    ) -> None:
        self._spider = spider
        self._allow_pickle = allow_pickle
        self._classes = {*PLAIN_CLASSES, *classes}
        self._options: dict[str, Any] = {"strict_types": True, "default": self._extend, **HALVES}
        self._methods: dict[str, Any] = {}
        """The functions of the callbacks that were stored, by name."""
        self._packer = msgpack.Packer(autoreset=True, **self._options)
        self._depth = 0
        self._subclasses = Subclasses(lambda fields: self._request(self._unpack(self._nested(fields))))
        self._rules = Rules(spider)

    # -- requests and items --------------------------------------------------------------------------------------

    def encode_request(self, request: Request) -> bytes:
        """Return *request* as bytes.

        :raises CannotStore: naming the attribute and the key that cannot be stored.
        """
        return self._seal(self._request_fields(request))

    def encode_attempt(self, request: Request, admitted: bytes | None) -> bytes:
        """Return *request*, which was admitted as the bytes *admitted*, less what cannot be stored.

        :raises CannotStore: if *admitted* is None, or cannot be read.
        """
        if admitted is None:
            raise CannotStore("what was admitted is not stored")
        try:
            fields = self._open(admitted)
        except CannotLoad as error:
            raise CannotStore(f"what was admitted cannot be read: {error}") from None
        return self._seal(fields_of_attempt(request, fields, self._is_storable))

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
        return url_and_meta(payload)

    def callback_name(self, payload: bytes) -> str | None:
        """Return the callback name of a stored request, empty for the default callback; None if it is unreadable."""
        fields = raw_fields(payload)
        return str(fields.get("callback") or "") if "url" in fields else None

    def repeated(self, payload: bytes) -> bytes:
        """Return a stored request changed so that neither the duplicate filter nor a cache stops it.

        :raises CannotLoad: if *payload* is damaged, or a pickle.
        """
        return self._seal(repeated_fields(payload))

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

    def _is_storable(self, value: Any) -> bool:
        try:
            self._nested(value)
        except Exception:
            return False
        return True

    # -- the envelope --------------------------------------------------------------------------------------------

    def _seal(self, value: Any) -> bytes:
        version = MSGPACK
        try:
            body = self._pack(value)
        except CannotStore as error:
            if not self._allow_pickle:
                raise CannotStore(str(error), error.where or locate(value, self._is_storable)) from None
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
            raise CannotLoad(f"the stored bytes are of version {version}, which this T8 cannot read")
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
        if self._depth > DEEPEST:
            raise CannotLoad(f"the stored bytes hold values that are nested more than {DEEPEST} deep")
        self._depth += 1
        try:
            if self._depth <= SHALLOW:
                return msgpack.unpackb(body, ext_hook=self._decode, strict_map_key=False, **HALVES)
            size = max(len(body), 1)
            unpacker = msgpack.Unpacker(
                ext_hook=self._decode, strict_map_key=False, read_size=size, max_buffer_size=size, **HALVES
            )
            unpacker.feed(body)
            return unpacker.unpack()
        except CannotLoad:
            raise
        except Exception as error:
            raise CannotLoad(f"the stored bytes cannot be read: {error}") from None
        finally:
            self._depth -= 1

    def _pickle(self, value: Any, error: CannotStore) -> bytes:
        try:
            return pickle.dumps(value, protocol=4)
        except Exception:
            raise CannotStore(str(error), locate(value, self._is_storable)) from None

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
        if is_named_tuple(type(value)):
            return msgpack.ExtType(NAMEDTUPLE, self._nested([class_path(type(value)), list(value)]))
        if ItemAdapter.is_item(value) and not isinstance(value, dict):
            return msgpack.ExtType(ITEM, self._nested(item_fields(value)))
        if is_plain(value, self._classes):
            return msgpack.ExtType(PLAIN, self._nested([class_path(type(value)), vars(value)]))
        raise CannotStore(f"a {type(value).__module__}.{type(value).__qualname__} cannot be stored")

    def _nested(self, value: Any) -> bytes:
        """Pack *value* during a call of the shared packer, which is not re-entrant."""
        if self._depth >= DEEPEST:
            raise CannotStore(f"values that are nested more than {DEEPEST} deep cannot be stored")
        self._depth += 1
        try:
            return msgpack.packb(value, **self._options)  # type: ignore[no-any-return]
        finally:
            self._depth -= 1

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
        if code == PLAIN:
            return make_plain(value, self._classes)
        if code not in DECODERS:
            raise CannotLoad(f"the stored bytes hold a type (code {code}) that this T8 cannot read")
        return DECODERS[code](value)

    # -- requests ------------------------------------------------------------------------------------------------

    def _request_fields(self, request: Request) -> dict[str, Any]:
        cls = type(request)
        if cls is not Request:
            return self._fields_of_subclass(request, cls)
        fields = {name: getattr(request, name) for name in cls.attributes}
        self._name_callbacks(request, fields)
        return {k: v for k, v in fields.items() if v and v != DEFAULTS.get(k)}

    def _name_callbacks(self, request: Request, fields: dict[str, Any]) -> None:
        # Names instead of methods. Request.to_dict does the same, but walks all members of the spider each time.
        for name in ("callback", "errback"):
            if fields[name] is not None:
                fields[name] = self._callback_name(request, name, fields[name])
        self._rules.note(request, fields)

    def _fields_of_subclass(self, request: Request, cls: type[Request]) -> dict[str, Any]:
        if cls.to_dict is not Request.to_dict:
            fields = request.to_dict(spider=self._spider)
            self._subclasses.forget(cls)  # what its own method leaves out may differ from object to object
        else:
            # A subclass may have other defaults: keep all of its attributes.
            fields = {name: getattr(request, name) for name in cls.attributes}
            self._name_callbacks(request, fields)
            fields[STATE] = own_attributes(request)
        fields["_class"] = class_path(cls)
        self._subclasses.check(request, fields)
        return fields

    def _callback_name(self, request: Request, attribute: str, function: Callable[..., Any]) -> str:
        if function is NO_CALLBACK:
            return NO_CALLBACK_NAME
        owner, code = getattr(function, "__self__", None), getattr(function, "__func__", None)
        if owner is not self._spider or code is None:
            raise not_a_method(function, attribute)
        name: str = code.__name__
        if self._methods.get(name) is code:
            return name
        # Else under another name: an alias, a private method.
        for known in (name, *names_of(self._spider, code)):
            if self._has_method(known, code):
                return known
        raise not_a_method(function, attribute)

    def _has_method(self, name: str, code: Any) -> bool:
        """Whether *name* will lead to the same method again."""
        method = spider_method(self._spider, name)
        if getattr(method, "__func__", None) is not code:
            return False
        self._methods[name] = code
        return True

    def _request(self, fields: dict[str, Any]) -> Request:
        cls = find_class(fields.pop("_class"), "request") if "_class" in fields else Request
        self._rules.find(fields)
        for name in ("callback", "errback"):
            if isinstance(fields.get(name), str):
                fields[name] = self._callback(fields[name], name)
        try:
            if STATE in fields:
                return rebuild(cls, fields, fields[STATE])
            request: Request = cls(**{k: v for k, v in fields.items() if k in cls.attributes})
        except Exception as error:
            raise CannotLoad(f"cannot be restored as a {cls.__name__}: {error}") from None
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
