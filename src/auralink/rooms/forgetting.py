"""The ids of webhooks taken in long ago are forgotten."""

from datetime import timedelta

from auralink.kit.clock import Clock
from auralink.kit.db import Database, Tx
from auralink.kit.retention import Retention
from auralink.rooms.history_store import HistoryStore

_KEPT = timedelta(days=14)
_BATCH = 5000


def report_forgetting(database: Database, store: HistoryStore, clock: Clock) -> Retention:
    async def forget(tx: Tx) -> int:
        return await store.forget_reports(tx, clock.now(), _KEPT, _BATCH)

    return Retention("webhook reports", database, clock, forget, _BATCH)
