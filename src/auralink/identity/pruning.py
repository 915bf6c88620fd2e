"""Removes sessions that ended long ago, so that the tables do not grow with the instance's age."""

import random
from datetime import timedelta

import structlog

from auralink.identity.store import SessionStore
from auralink.kit.auth import Principal
from auralink.kit.clock import Clock
from auralink.kit.db import Database
from auralink.kit.errors import Unavailable

log = structlog.get_logger(__name__)

_EVERY_SECONDS = 3600.0
_KEEP = timedelta(days=30)
_BATCH = 1000


class Pruning:
    def __init__(self, database: Database, store: SessionStore, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._clock = clock

    async def run(self) -> None:
        while True:
            await self._clock.sleep(_EVERY_SECONDS * random.uniform(0.5, 1.0))  # noqa: S311 (spreads several processes)
            try:
                while await self.step() >= _BATCH:
                    pass
            except Unavailable as error:
                log.warning("sessions.pruning_postponed", reason=error.detail)

    async def step(self) -> int:
        """Delete one batch; returns how many rows went."""
        async with self._database.transaction(Principal.system()) as tx:
            return await self._store.prune(tx, self._clock.now() - _KEEP, _BATCH)
