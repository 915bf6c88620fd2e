"""Events as they happen, as server-sent events (WHATWG HTML, section 9.2), on the same cursor as the list.

Owner of the count of open streams: the EventStreams of the process.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

from starlette.responses import StreamingResponse

from auralink.kit.auth import Principal
from auralink.kit.clock import Clock
from auralink.kit.db import Database
from auralink.kit.errors import Unavailable
from auralink.kit.outbox.notifications import Notifier
from auralink.kit.outbox.reader import StoredEvent, read_events

_BATCH = 100
_KEEP_ALIVE_SECONDS = 15.0
_RETRY = b"retry: 2000\n\n"


class TooManyStreams(Unavailable):
    code = "too_many_streams"
    title = "Too many event streams are open"


class EventStreams:
    """Makes streams; `close()` ends them all, so that a stopping server drains."""

    def __init__(self, database: Database, notifier: Notifier, clock: Clock, limit: int = 500) -> None:
        self._database = database
        self._notifier = notifier
        self._clock = clock
        self._limit = limit
        self._open = 0
        self._closing = asyncio.Event()

    def close(self) -> None:
        self._closing.set()
        self._notifier.wake()

    def open(
        self, caller: Principal, *, after: int, encode: Callable[[StoredEvent], tuple[str, str]]
    ) -> StreamingResponse:
        """Everything after position `after` that `caller` may see, until its credential ends. `encode` gives an event's
        cursor (the stream's `id`, which a browser sends back as Last-Event-ID) and its JSON."""
        if self._open >= self._limit:
            raise TooManyStreams
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        body = self._run(caller, after, encode)
        return StreamingResponse(body, media_type="text/event-stream", headers=headers)

    async def _run(
        self, caller: Principal, after: int, encode: Callable[[StoredEvent], tuple[str, str]]
    ) -> AsyncIterator[bytes]:
        with self._counted():
            yield _RETRY
            quiet_since = self._clock.monotonic()
            while not self._closing.is_set() and not _over(caller.expires_at, self._clock):
                before = self._notifier.count
                events = await self._read(caller, after)
                for event in events:
                    yield _frame(event, *encode(event))
                    after = event.position
                if events:
                    quiet_since = self._clock.monotonic()
                    continue
                if self._clock.monotonic() - quiet_since > _KEEP_ALIVE_SECONDS:
                    yield b": still here\n\n"
                    quiet_since = self._clock.monotonic()
                await self._notifier.changed(before)

    async def _read(self, caller: Principal, after: int) -> list[StoredEvent]:
        try:
            async with self._database.transaction(caller) as tx:
                return await read_events(tx, after=after, limit=_BATCH)
        except Unavailable:
            return []  # the stream outlives a database that is away; it goes on where it was

    @contextmanager
    def _counted(self) -> Iterator[None]:
        self._open += 1
        try:
            yield
        finally:
            self._open -= 1


def _frame(event: StoredEvent, cursor: str, data: str) -> bytes:
    return f"id: {cursor}\nevent: {event.type}\ndata: {data}\n\n".encode()


def _over(end: datetime | None, clock: Clock) -> bool:
    return end is not None and clock.now() >= end
