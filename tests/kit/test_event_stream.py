"""Events as they happen, from a cursor on, to those who may see them, as long as they may."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar

import pytest
import pytest_asyncio

from auralink.kit.auth import Principal, PrincipalKind
from auralink.kit.clock import SystemClock
from auralink.kit.db import Database
from auralink.kit.events import Event
from auralink.kit.ids import OrgId, UserId
from auralink.kit.outbox import EventStreams, Notifier, StoredEvent
from auralink.kit.outbox.stream import TooManyStreams
from auralink.kit.testing import VirtualClock

SYSTEM = Principal.system()


@dataclass(frozen=True, slots=True, kw_only=True)
class Knocked(Event):
    type: ClassVar[str] = "test.knocked"
    by: str


@pytest_asyncio.fixture
async def notifier(database: Database) -> AsyncIterator[Notifier]:
    notifier = Notifier(database)
    listening = asyncio.create_task(notifier.run())
    yield notifier
    listening.cancel()
    await asyncio.gather(listening, return_exceptions=True)


async def knock(database: Database, org: OrgId, *names: str) -> None:
    async with database.transaction(SYSTEM) as tx:
        for name in names:
            tx.emit(Knocked(org_id=org, by=name, occurred_at=datetime.now(UTC)))


def encode(event: StoredEvent) -> tuple[str, str]:
    return f"c{event.position}", event.payload["by"]


def names(frame: bytes) -> str:
    return frame.decode().split("data: ")[1].strip()


async def following(streams: EventStreams, caller: Principal = SYSTEM, after: int = 0) -> AsyncIterator[bytes]:
    body = aiter(streams.open(caller, after=after, encode=encode).body_iterator)
    assert (await anext(body)).startswith(b"retry:")  # type: ignore[arg-type]
    return body  # type: ignore[return-value]


async def test_stream_gives_what_was_and_then_what_happens(database: Database, notifier: Notifier) -> None:
    org = OrgId.new()
    await knock(database, org, "a", "b")
    body = await following(EventStreams(database, notifier, SystemClock()))
    first = await anext(body)
    assert first.startswith(b"id: c")
    assert b"event: test.knocked\n" in first
    assert names(await anext(body)) == "b"
    coming = asyncio.ensure_future(anext(body))
    await knock(database, org, "c")
    assert names(await coming) == "c"
    position = int(first.split(b"\n")[0].removeprefix(b"id: c"))
    resumed = await following(EventStreams(database, notifier, SystemClock()), after=position)
    assert [names(await anext(resumed)) for _ in range(2)] == ["b", "c"]


async def test_stream_holds_only_the_callers_tenants(database: Database, notifier: Notifier) -> None:
    ours, theirs = OrgId.new(), OrgId.new()
    person = Principal(PrincipalKind.PERSON, UserId.new(), roles={ours: "member"})
    body = await following(EventStreams(database, notifier, SystemClock()), person)
    await knock(database, theirs, "secret")
    await knock(database, ours, "mine")
    assert names(await anext(body)) == "mine"


async def test_stream_ends_with_the_credential(database: Database, notifier: Notifier) -> None:
    clock = VirtualClock()
    person = Principal(PrincipalKind.PERSON, UserId.new(), expires_at=clock.now() + timedelta(minutes=10))
    body = await following(EventStreams(database, notifier, clock), person)
    rest = asyncio.create_task(_until_the_end(body))
    await asyncio.sleep(0)  # the stream is waiting for events by now
    await clock.advance(601)
    notifier.wake()
    assert [frame for frame in await rest if frame.startswith(b"id:")] == []


async def _until_the_end(body: AsyncIterator[bytes]) -> list[bytes]:
    return [frame async for frame in body]


async def test_closing_ends_every_stream_and_its_place_is_free_again(database: Database, notifier: Notifier) -> None:
    streams = EventStreams(database, notifier, SystemClock(), limit=1)
    body = await following(streams)
    with pytest.raises(TooManyStreams):
        streams.open(SYSTEM, after=0, encode=encode)
    streams.close()
    with pytest.raises(StopAsyncIteration):
        await anext(body)
    streams.open(SYSTEM, after=0, encode=encode)
