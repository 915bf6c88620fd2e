"""Removes rows nobody needs any more, batch by batch, so that tables do not grow with the instance's age."""

import random
from collections.abc import Awaitable, Callable

import structlog

from auralink.kit.auth import Principal
from auralink.kit.clock import Clock
from auralink.kit.db import Database, Tx
from auralink.kit.errors import Unavailable

log = structlog.get_logger(__name__)

_EVERY_SECONDS = 3600.0


class Retention:
    """`delete` removes up to `batch` rows within one transaction and returns how many went."""

    def __init__(
        self, name: str, database: Database, clock: Clock, delete: Callable[[Tx], Awaitable[int]], batch: int
    ) -> None:
        self._name = name
        self._database = database
        self._clock = clock
        self._delete = delete
        self._batch = batch

    async def run(self) -> None:
        while True:
            await self._clock.sleep(_EVERY_SECONDS * random.uniform(0.5, 1.0))  # noqa: S311 (spreads several processes)
            try:
                while await self.step() >= self._batch:
                    pass
            except Unavailable as error:
                log.warning("retention.postponed", name=self._name, reason=error.detail)

    async def step(self) -> int:
        """Delete one batch; returns how many rows went."""
        async with self._database.transaction(Principal.system()) as tx:
            return await self._delete(tx)
