"""Reads events after a position, as the principal of the transaction may see them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from auralink.kit.db import Tx
from auralink.kit.ids import EventId, OrgId, RoomId
from auralink.kit.outbox.tables import outbox_events


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it was committed. `sequence` counts within its room, from 1, without gaps."""

    position: int
    id: EventId
    org_id: OrgId
    room_id: RoomId | None
    sequence: int | None
    type: str
    payload: dict[str, Any]
    occurred_at: datetime


async def read_events(
    tx: Tx, *, after: int = 0, limit: int = 100, room_id: RoomId | None = None, types: Sequence[str] = ()
) -> list[StoredEvent]:
    """Up to `limit` events with a position above `after`, oldest first."""
    statement = select(outbox_events).where(outbox_events.c.position > after)
    if room_id:
        statement = statement.where(outbox_events.c.room_id == room_id)
    if types:
        statement = statement.where(outbox_events.c.type.in_(types))
    rows = await tx.session.execute(statement.order_by(outbox_events.c.position).limit(limit))
    return [StoredEvent(**row) for row in rows.mappings()]


async def last_position(tx: Tx) -> int:
    """The newest position this principal can see; 0 before the first event."""
    return int((await tx.session.execute(select(func.coalesce(func.max(outbox_events.c.position), 0)))).scalar_one())
