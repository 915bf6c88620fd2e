"""Typed identifiers: UUIDv7 (RFC 9562) inside, `prefix_` plus 26 characters of Crockford base32 at the API.

The text form sorts like the UUID, which sorts by the time of creation, so an id is also a paging key.
"""

import os
import threading
import time
import uuid
from typing import Any, ClassVar, Self

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

_ALPHABET = "0123456789abcdefghjkmnpqrstvwxyz"
_VALUES = {character: value for value, character in enumerate(_ALPHABET)}
_TEXT_LENGTH = 26
_RANDOM_BITS = 62


class InvalidId(ValueError):
    """The text is not an id of the wanted kind."""


class _Sequence:
    """Hands out UUIDv7 values that never go backwards in this process (RFC 9562 section 6.2, method 3)."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def next(self) -> uuid.UUID:
        nanoseconds = time.time_ns()
        milliseconds, rest = divmod(nanoseconds, 1_000_000)
        ticks = (milliseconds << 12) | (rest * 4096 // 1_000_000)
        with self._lock:
            ticks = max(ticks, self._last + 1)
            self._last = ticks
        tail = int.from_bytes(os.urandom(8)) >> (64 - _RANDOM_BITS)
        value = (ticks >> 12) << 80 | 0x7 << 76 | (ticks & 0xFFF) << 64 | 0b10 << 62 | tail
        return uuid.UUID(int=value)


_sequence = _Sequence()


def uuid7() -> uuid.UUID:
    """A new UUIDv7, greater than every one this process made before."""
    return _sequence.next()


class Id:
    """An identifier of one kind of thing. Subclass with `class RoomId(Id, prefix="room")`."""

    __slots__ = ("_uuid",)
    prefix: ClassVar[str] = ""

    def __init_subclass__(cls, *, prefix: str, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        cls.prefix = prefix

    def __init__(self, value: uuid.UUID) -> None:
        self._uuid = value

    @property
    def uuid(self) -> uuid.UUID:
        return self._uuid

    @classmethod
    def new(cls) -> Self:
        return cls(uuid7())

    @classmethod
    def parse(cls, text: str) -> Self:
        """The id written as `text`. Raises InvalidId for another prefix, length or alphabet."""
        head, separator, body = text.rpartition("_")
        if not separator or head != cls.prefix:
            raise InvalidId(f"expected an id that starts with {cls.prefix}_")
        if len(body) != _TEXT_LENGTH:
            raise InvalidId(f"expected {_TEXT_LENGTH} characters after {cls.prefix}_")
        number = 0
        for character in body:
            value = _VALUES.get(character)
            if value is None:
                raise InvalidId(f"a character after {cls.prefix}_ is not part of an id")
            number = number << 5 | value
        if number >> 128:
            raise InvalidId("the id is out of range")
        return cls(uuid.UUID(int=number))

    def __str__(self) -> str:
        number = self._uuid.int
        characters = [_ALPHABET[number >> shift & 0x1F] for shift in range(125, -1, -5)]
        return f"{self.prefix}_{''.join(characters)}"

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self)!r})"

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._uuid == self._uuid

    def __lt__(self, other: Self) -> bool:
        return self._uuid < other._uuid

    def __hash__(self) -> int:
        return hash((type(self).prefix, self._uuid))

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def validate(value: object) -> Id:
            if isinstance(value, cls):
                return value
            if isinstance(value, str):
                return cls.parse(value)
            raise InvalidId(f"expected an id that starts with {cls.prefix}_")

        return core_schema.no_info_plain_validator_function(
            validate, serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="always")
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        body = f"[{_ALPHABET}]{{{_TEXT_LENGTH}}}"
        return {"type": "string", "pattern": f"^{cls.prefix}_{body}$", "title": cls.__name__}


class OrgId(Id, prefix="org"):
    """A tenant. Here rather than in `orgs` because row-level security and the outbox speak of tenants."""


class UserId(Id, prefix="usr"):
    """A person's account."""


class RoomId(Id, prefix="room"):
    """A room, whose events carry a sequence of their own."""


class EventId(Id, prefix="evt"):
    """An event in the outbox."""
