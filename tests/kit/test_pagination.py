"""Pages neither repeat nor miss rows while others write, and cursors from elsewhere are refused."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from auralink.kit.auth import Principal
from auralink.kit.db import Database
from auralink.kit.ids import EventId, OrgId, RoomId
from auralink.kit.outbox.tables import outbox_room_sequences
from auralink.kit.pagination import InvalidCursor, PageRequest, decode_cursor, encode_cursor, fetch_page

SYSTEM = Principal.system()
rows = outbox_room_sequences


async def add(database: Database, *rooms: RoomId) -> None:
    async with database.transaction(SYSTEM) as tx:
        for room in rooms:
            await tx.session.execute(rows.insert().values(room_id=room, org_id=OrgId.new(), last=1))


async def page(database: Database, cursor: str | None, limit: int = 3) -> tuple[list[RoomId], str | None]:
    async with database.transaction(SYSTEM) as tx:
        return await fetch_page(
            tx,
            select(rows.c.room_id),
            request=PageRequest(limit, cursor),
            keys=[rows.c.room_id],
            kinds=[RoomId],
            key_of=lambda room: [room],
        )


async def test_all_rows_come_once_newest_first_while_others_write(database: Database) -> None:
    rooms = [RoomId.new() for _ in range(7)]
    await add(database, *rooms)
    first, cursor = await page(database, None)
    await add(database, RoomId.new())
    second, cursor = await page(database, cursor)
    third, end = await page(database, cursor)
    assert first + second + third == rooms[::-1]
    assert end is None


async def test_page_that_is_exactly_full_is_the_last(database: Database) -> None:
    await add(database, *(RoomId.new() for _ in range(3)))
    found, cursor = await page(database, None)
    assert (len(found), cursor) == (3, None)


def test_cursor_brings_its_keys_back() -> None:
    keys = (datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC), EventId.new(), 7, "a b")
    assert decode_cursor(encode_cursor(*keys), datetime, EventId, int, str) == keys


@pytest.mark.parametrize(
    "cursor",
    [
        "",
        "%%%",
        "bm90IGpzb24",
        encode_cursor("x"),
        encode_cursor(1, 2),
        encode_cursor("2026-01-01T00:00"),
        "A" * 600,
    ],
)
def test_cursor_of_another_list_is_refused(cursor: str) -> None:
    with pytest.raises(InvalidCursor):
        decode_cursor(cursor, datetime)


@given(st.text(max_size=80))
def test_no_text_breaks_the_decoder(text: str) -> None:
    try:
        decode_cursor(text, EventId, datetime)
    except InvalidCursor:
        return
    raise AssertionError("random text was taken for a cursor")


def test_times_keep_their_microseconds() -> None:
    moment = datetime.now(UTC).replace(microsecond=1) + timedelta(days=1)
    assert decode_cursor(encode_cursor(moment), datetime) == (moment,)
