"""Sessions that ended long ago are removed."""

from datetime import timedelta

from auralink.identity.store import SessionStore
from auralink.kit.clock import Clock
from auralink.kit.db import Database, Tx
from auralink.kit.retention import Retention

_KEPT = timedelta(days=30)
_BATCH = 1000


def session_pruning(database: Database, store: SessionStore, clock: Clock) -> Retention:
    async def prune(tx: Tx) -> int:
        return await store.prune(tx, clock.now() - _KEPT, _BATCH)

    return Retention("sessions", database, clock, prune, _BATCH)
