"""Keyset pages: `{items, next_cursor}`. A cursor is the order-by values of the last item; it names no offset, so pages
neither repeat nor miss rows while others write."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Generic, TypeVar
from uuid import UUID

from fastapi import Depends, Query
from pydantic import BaseModel, TypeAdapter, ValidationError
from sqlalchemy import ColumnElement, Select, literal, tuple_
from sqlalchemy.orm import InstrumentedAttribute

from auralink.kit.db import Tx
from auralink.kit.errors import FieldProblem, InvalidInput
from auralink.kit.ids import Id

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_MAX_CURSOR = 512

T = TypeVar("T")
RowT = TypeVar("RowT")


class InvalidCursor(InvalidInput):
    code = "invalid_cursor"
    title = "The cursor is not one of ours"

    def __init__(self) -> None:
        super().__init__(
            "Use the next_cursor of the page before, unchanged, or none to start again.",
            fields=(FieldProblem("cursor", "not a cursor of this list"),),
        )


class Page(BaseModel, Generic[T]):
    """One page of a list. `next_cursor` is null on the last one."""

    items: list[T]
    next_cursor: str | None = None


@dataclass(frozen=True, slots=True)
class PageRequest:
    limit: int = DEFAULT_LIMIT
    cursor: str | None = None


def _page_request(
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=_MAX_CURSOR)] = None,
) -> PageRequest:
    return PageRequest(limit, cursor)


Paging = Annotated[PageRequest, Depends(_page_request)]
"""A router's parameter: `async def list_rooms(paging: Paging, ...)`."""


def encode_cursor(*keys: Id | UUID | datetime | int | str) -> str:
    plain = [str(k.uuid) if isinstance(k, Id) else k.isoformat() if isinstance(k, datetime) else k for k in keys]
    body = json.dumps(plain, separators=(",", ":"), default=str).encode()
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def decode_cursor(cursor: str, *kinds: type) -> tuple[Any, ...]:
    """The keys, parsed as `kinds` (Id subclasses, datetime, int, str, UUID). Raises InvalidCursor."""
    if len(cursor) > _MAX_CURSOR:
        raise InvalidCursor
    try:
        body = json.loads(base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True))
        if not isinstance(body, list) or len(body) != len(kinds):
            raise InvalidCursor
        return tuple(_parse_key(value, kind) for value, kind in zip(body, kinds, strict=True))
    except (ValueError, binascii.Error, ValidationError):
        raise InvalidCursor from None


def _parse_key(value: object, kind: type) -> Any:
    if issubclass(kind, Id):
        return kind(UUID(str(value)))
    parsed = TypeAdapter(kind).validate_python(value)
    if isinstance(parsed, datetime) and parsed.tzinfo is None:
        raise InvalidCursor
    return parsed


async def fetch_page(
    tx: Tx,
    statement: Select[RowT],
    *,
    request: PageRequest,
    keys: Sequence[ColumnElement[Any] | InstrumentedAttribute[Any]],
    kinds: Sequence[type],
    key_of: Callable[[RowT], Sequence[Any]],
    descending: bool = True,
) -> tuple[list[RowT], str | None]:
    """The rows of one page and the cursor of the next. `keys` must be unique together and covered by an index."""
    if request.cursor:
        after = tuple_(*keys)
        values = tuple_(*(literal(v, c.type) for v, c in zip(decode_cursor(request.cursor, *kinds), keys, strict=True)))
        statement = statement.where(after < values if descending else after > values)
    order = [key.desc() if descending else key.asc() for key in keys]
    rows = list((await tx.session.scalars(statement.order_by(*order).limit(request.limit + 1))).all())
    if len(rows) <= request.limit:
        return rows, None
    rows = rows[: request.limit]
    return rows, encode_cursor(*key_of(rows[-1]))
