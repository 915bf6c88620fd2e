"""Writes a transaction's events just before it commits."""

from collections.abc import Sequence
from itertools import groupby

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from auralink.kit.events import Event
from auralink.kit.ids import OrgId, RoomId
from auralink.kit.outbox.tables import outbox_events, outbox_room_sequences

CHANNEL = "auralink_outbox"
ORDER_LOCK = 0x6175_7261_6F75_7462  # "auraoutb": held from the first position to the commit


async def write_events(session: AsyncSession, events: Sequence[Event]) -> None:
    """Insert `events` in order, with positions and room sequences. The commit must follow at once."""
    await session.execute(select(func.pg_advisory_xact_lock(ORDER_LOCK)))
    sequences = await _take_sequences(session, events)
    await session.execute(
        insert(outbox_events),
        [
            {
                "id": event.id,
                "org_id": event.org_id,
                "room_id": event.room_id,
                "sequence": next(sequences[event.room_id]) if event.room_id else None,
                "type": event.type,
                "payload": event.payload(),
                "occurred_at": event.occurred_at,
            }
            for event in events
        ],
    )
    await session.execute(select(func.pg_notify(CHANNEL, "")))


async def _take_sequences(session: AsyncSession, events: Sequence[Event]) -> dict[RoomId, "_Counter"]:
    in_rooms = sorted((e.room_id, e.org_id) for e in events if e.room_id)
    return {
        room_id: _Counter(await _advance(session, room_id, org_id, len(list(group))))
        for (room_id, org_id), group in groupby(in_rooms)
    }


async def _advance(session: AsyncSession, room_id: RoomId, org_id: OrgId, count: int) -> int:
    statement = insert(outbox_room_sequences).values(room_id=room_id, org_id=org_id, last=count)
    statement = statement.on_conflict_do_update(
        index_elements=["room_id"], set_={"last": outbox_room_sequences.c.last + count}
    )
    last = (await session.execute(statement.returning(outbox_room_sequences.c.last))).scalar_one()
    return int(last) - count


class _Counter:
    def __init__(self, last: int) -> None:
        self._last = last

    def __next__(self) -> int:
        self._last += 1
        return self._last
