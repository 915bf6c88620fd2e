"""Carries events to a handler, in order, at least once, remembering how far it got.

The cursor moves in the handler's own transaction: what a handler writes to the database happens exactly once; anything
it does elsewhere may happen again after a crash, so it must be idempotent by event id.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.dialects.postgresql import insert

from auralink.kit.auth import Principal
from auralink.kit.db import Database, Tx
from auralink.kit.errors import Unavailable
from auralink.kit.outbox.notifications import Notifier
from auralink.kit.outbox.reader import StoredEvent, read_events
from auralink.kit.outbox.tables import outbox_consumers

log = structlog.get_logger(__name__)

Handler = Callable[[Tx, StoredEvent], Awaitable[None]]

_BATCH = 100
_LONGEST_BATCH_SECONDS = 3.0
_LONGEST_WAIT = 30.0


class Relay:
    """One consumer. Several processes may run it: the row lock lets one of them work at a time."""

    def __init__(self, database: Database, notifier: Notifier, name: str, handler: Handler) -> None:
        self._database = database
        self._notifier = notifier
        self._name = name
        self._handler = handler

    async def run(self) -> None:
        failures = 0
        while True:
            before = self._notifier.count
            try:
                handled = await self.step()
            except Unavailable:
                failures += 1
            except Exception:  # a handler's bug must not end the relay; it is retried, ever more slowly
                log.exception("outbox.handler_failed", consumer=self._name)
                failures += 1
            else:
                failures = 0
                if not handled:
                    await self._notifier.changed(before)
                continue
            await asyncio.sleep(min(0.5 * 2 ** min(failures, 10), _LONGEST_WAIT))

    async def step(self) -> int:
        """Handle one batch in one transaction; returns how many events it held. A batch ends early when handlers take
        long, since a transaction that waits for them must not be idle until the server ends it."""
        async with self._database.transaction(Principal.system()) as tx:
            position = await self._lock_cursor(tx)
            if position is None:
                return 0
            events = await read_events(tx, after=position, limit=_BATCH)
            started, handled = time.monotonic(), 0
            for event in events:
                await self._handler(tx, event)
                handled += 1
                if time.monotonic() - started > _LONGEST_BATCH_SECONDS:
                    break
            if handled:
                await self._move_cursor(tx, events[handled - 1].position)
            return handled

    async def _lock_cursor(self, tx: Tx) -> int | None:
        """The cursor, locked; None while another process works."""
        wanted = outbox_consumers.c.name == self._name
        fresh = insert(outbox_consumers).values(name=self._name, position=0, updated_at=func.now())
        await tx.session.execute(fresh.on_conflict_do_nothing())
        locked = select(outbox_consumers.c.position).where(wanted).with_for_update(skip_locked=True)
        row = (await tx.session.execute(locked)).scalar_one_or_none()
        return None if row is None else int(row)

    async def _move_cursor(self, tx: Tx, position: int) -> None:
        await tx.session.execute(
            update(outbox_consumers)
            .where(outbox_consumers.c.name == self._name)
            .values(position=position, updated_at=func.now())
        )
