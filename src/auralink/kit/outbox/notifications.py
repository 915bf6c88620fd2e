"""Wakes readers of the outbox: one LISTEN connection per process, and a slow poll for when it is gone.

Owner of the waiters: the Notifier. A waiter that misses a notification loses only time, never an event, because every
reader reads from its own cursor.
"""

import asyncio
import random

import asyncpg
import structlog

from auralink.kit.db import Database
from auralink.kit.outbox.writer import CHANNEL

log = structlog.get_logger(__name__)

POLL_SECONDS = 2.0
_LONGEST_WAIT = 5.0


class Notifier:
    """Run `run()` as a background task; readers await `changed(count)`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._wake = asyncio.Event()
        self._count = 0
        self._lost = asyncio.Event()

    @property
    def count(self) -> int:
        """How often readers were woken. Note it before reading and give it to `changed`, which then cannot sleep
        through a notification that came while the read was under way."""
        return self._count

    def wake(self) -> None:
        """Wake every reader that waits now."""
        self._count += 1
        self._wake.set()
        self._wake = asyncio.Event()

    async def changed(self, since: int, wait: float = POLL_SECONDS) -> bool:
        """Return at the first notification after `since` (True) or after `wait` seconds (False)."""
        if self._count != since:
            return True
        try:
            await asyncio.wait_for(self._wake.wait(), wait)
        except TimeoutError:
            return False
        return True

    async def run(self) -> None:
        pause = 0.1
        while True:
            try:
                await self._listen()
                pause = 0.1
            except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
                log.warning("outbox.listen_lost", reason=type(error).__name__)
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (spreads reconnects)
            pause = min(pause * 2, _LONGEST_WAIT)

    async def _listen(self) -> None:
        url = self._database.url
        connection = await asyncpg.connect(
            host=url.host,
            port=url.port,
            user=url.username,
            password=url.password,
            database=url.database,
            timeout=5,
            server_settings={"application_name": "auralink-outbox"},
        )
        self._lost.clear()
        connection.add_termination_listener(lambda _: self._lost.set())
        try:
            await connection.add_listener(CHANNEL, lambda *_: self.wake())
            self.wake()
            await self._lost.wait()
        finally:
            connection.terminate()
