"""Forgets the ids of webhooks taken in long ago, so that the table does not grow with the instance's age."""

import random
from datetime import timedelta

import structlog

from auralink.kit.auth import Principal
from auralink.kit.clock import Clock
from auralink.kit.db import Database
from auralink.kit.errors import Unavailable
from auralink.rooms.history_store import HistoryStore

log = structlog.get_logger(__name__)

_EVERY_SECONDS = 3600.0
_KEPT = timedelta(days=14)
_BATCH = 5000


class Forgetting:
    def __init__(self, database: Database, store: HistoryStore, clock: Clock) -> None:
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
                log.warning("webhooks.forgetting_postponed", reason=error.detail)

    async def step(self) -> int:
        """Forget one batch; returns how many."""
        async with self._database.transaction(Principal.system()) as tx:
            return await self._store.forget_reports(tx, self._clock.now(), _KEPT, _BATCH)
