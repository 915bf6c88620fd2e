"""Participants by the official Python SDK, and waiting for what they are told."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from livekit import rtc
from tests.compat.conftest import MediaServer
from tests.journeys.people import CALL_TIMEOUT_S, Call, Ticket


@asynccontextmanager
async def joined(
    server: MediaServer, room: str, identity: str, *, call: Call | None = None, **grants: object
) -> AsyncIterator[Call]:
    """`call`: one on which somebody listens already."""
    async with call or Call() as call:
        options = rtc.RoomOptions(single_peer_connection=not server.dual)
        await call.join(Ticket(server.token(room, identity, **grants), server.url, identity, room), options)
        yield call


async def told(
    room: rtc.Room, event: Any, until: Callable[..., bool] = lambda *_: True, within_s: float = CALL_TIMEOUT_S
) -> tuple[Any, ...]:
    """The arguments of the next `event` for which `until` holds. Start waiting before causing it."""
    heard: asyncio.Future[tuple[Any, ...]] = asyncio.get_running_loop().create_future()

    def listen(*arguments: Any) -> None:
        if not heard.done() and until(*arguments):
            heard.set_result(arguments)

    room.on(event, listen)
    try:
        return await asyncio.wait_for(heard, within_s)
    finally:
        room.off(event, listen)


async def holds(what: str, condition: Callable[[], bool]) -> None:
    """Wait for something the SDK shows as state."""
    try:
        async with asyncio.timeout(CALL_TIMEOUT_S):
            while not condition():  # noqa: ASYNC110 (the SDK has no event for everything)
                await asyncio.sleep(0.02)
    except TimeoutError:
        raise AssertionError(f"not in {CALL_TIMEOUT_S:.0f} s: {what}") from None
