"""Events leave with their transaction: in order, without gaps, and only to those who may see them."""

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar

import pytest

from auralink.kit.auth import Principal, PrincipalKind
from auralink.kit.db import Database, Tx
from auralink.kit.events import Event
from auralink.kit.ids import OrgId, RoomId, UserId
from auralink.kit.outbox import Notifier, Relay, StoredEvent, read_events

SYSTEM = Principal.system()


@dataclass(frozen=True, slots=True, kw_only=True)
class Knocked(Event):
    type: ClassVar[str] = "test.knocked"
    by: str


def knocked(org: OrgId, room: RoomId | None = None, by: str = "ada") -> Knocked:
    return Knocked(org_id=org, room_id=room, by=by, occurred_at=datetime.now(UTC))


def member_of(*orgs: OrgId) -> Principal:
    return Principal(PrincipalKind.PERSON, UserId.new(), roles=dict.fromkeys(orgs, "member"))


async def everything(database: Database, principal: Principal = SYSTEM, after: int = 0) -> list[StoredEvent]:
    async with database.transaction(principal) as tx:
        return await read_events(tx, after=after, limit=10_000)


async def test_event_is_read_back_as_it_was_emitted(database: Database) -> None:
    event = knocked(OrgId.new(), RoomId.new(), by="grace")
    async with database.transaction(SYSTEM) as tx:
        tx.emit(event)
    [stored] = await everything(database)
    assert (stored.id, stored.org_id, stored.room_id) == (event.id, event.org_id, event.room_id)
    assert (stored.type, stored.payload, stored.sequence) == ("test.knocked", {"by": "grace"}, 1)
    assert stored.occurred_at == event.occurred_at


async def test_rolled_back_transaction_leaves_no_event_and_no_gap(database: Database) -> None:
    org, room = OrgId.new(), RoomId.new()
    for outcome in ("commit", "fail", "commit"):
        try:
            async with database.transaction(SYSTEM) as tx:
                tx.emit(knocked(org, room))
                if outcome == "fail":
                    raise LookupError
        except LookupError:
            pass
    assert [e.sequence for e in await everything(database)] == [1, 2]


async def test_room_sequences_have_no_gaps_and_positions_follow_commits_under_concurrency(database: Database) -> None:
    org, rooms = OrgId.new(), [RoomId.new() for _ in range(3)]
    seen: list[int] = []
    done = asyncio.Event()

    async def write(number: int) -> None:
        try:
            async with database.transaction(SYSTEM) as tx:
                for room in (rooms[number % 3], rooms[(number + 1) % 3], rooms[number % 3]):
                    tx.emit(knocked(org, room, by=str(number)))
                if number % 5 == 0:
                    await tx.session.flush()
                    raise LookupError
        except LookupError:
            pass

    async def follow() -> None:
        while True:
            finished = done.is_set()
            events = await everything(database, after=seen[-1] if seen else 0)
            seen.extend(e.position for e in events)
            if finished and not events:
                return

    follower = asyncio.create_task(follow())
    await asyncio.gather(*(write(n) for n in range(40)))
    done.set()
    await follower
    events = await everything(database)
    assert seen == [e.position for e in events], "a reader with a cursor must not miss what commits later"
    for room in rooms:
        sequences = [e.sequence for e in events if e.room_id == room]
        assert sequences == list(range(1, len(sequences) + 1))
    assert len(events) == 32 * 3


async def test_other_tenants_events_are_not_seen(database: Database) -> None:
    ours, theirs = OrgId.new(), OrgId.new()
    async with database.transaction(SYSTEM) as tx:
        tx.emit(knocked(ours))
        tx.emit(knocked(theirs))
    assert [e.org_id for e in await everything(database, member_of(ours))] == [ours]
    assert len(await everything(database, member_of(ours, theirs))) == 2
    assert await everything(database, member_of()) == []


async def test_event_for_another_tenant_is_refused_by_the_database(database: Database) -> None:
    with pytest.raises(Exception, match="row-level security"):
        async with database.transaction(member_of(OrgId.new())) as tx:
            tx.emit(knocked(OrgId.new()))
    assert await everything(database) == []


async def test_relay_hands_over_each_event_once_and_remembers_where_it_was(database: Database) -> None:
    org = OrgId.new()
    got: list[str] = []

    async def handler(_: Tx, event: StoredEvent) -> None:
        got.append(event.payload["by"])

    async def emit(*names: str) -> None:
        async with database.transaction(SYSTEM) as tx:
            for name in names:
                tx.emit(knocked(org, by=name))

    await emit("a", "b")
    assert await Relay(database, Notifier(database), "greeter", handler).step() == 2
    await emit("c")
    assert await Relay(database, Notifier(database), "greeter", handler).step() == 1
    assert await Relay(database, Notifier(database), "other", handler).step() == 3
    assert got == ["a", "b", "c", "a", "b", "c"]


async def test_relay_hands_the_event_over_again_when_the_handler_failed(database: Database) -> None:
    got: list[str] = []

    async def handler(_: Tx, event: StoredEvent) -> None:
        got.append(event.payload["by"])
        if len(got) == 2:
            raise LookupError

    async with database.transaction(SYSTEM) as tx:
        for name in ("a", "b"):
            tx.emit(knocked(OrgId.new(), by=name))
    relay = Relay(database, Notifier(database), "greeter", handler)
    with pytest.raises(LookupError):
        await relay.step()
    assert await relay.step() == 2
    assert got == ["a", "b", "a", "b"]


async def test_running_relay_is_woken_by_the_commit(database: Database) -> None:
    got: asyncio.Queue[str] = asyncio.Queue()

    async def handler(_: Tx, event: StoredEvent) -> None:
        got.put_nowait(event.payload["by"])

    notifier = Notifier(database)
    tasks = [
        asyncio.create_task(notifier.run()),
        asyncio.create_task(Relay(database, notifier, "greeter", handler).run()),
    ]
    async with database.transaction(SYSTEM) as tx:
        tx.emit(knocked(OrgId.new(), by="ada"))
    assert await asyncio.wait_for(got.get(), 30) == "ada"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
