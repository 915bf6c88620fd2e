"""Tells the media role the working pairs, and again as soon as they change."""

import asyncio

from auralink.keys.feed_document import FormerOut, KeyDocument, PairOut
from auralink.keys.store import ApiKeyStore
from auralink.kit.auth import Principal
from auralink.kit.clock import Clock
from auralink.kit.db import Database
from auralink.kit.outbox import Notifier

LONGEST_WAIT_S = 20.0
_TOGETHER_S = 0.2
"""Changes of this long are told together, and a busy outbox makes us look no more often."""


class KeyFeed:
    def __init__(self, database: Database, store: ApiKeyStore, notifier: Notifier, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._notifier = notifier
        self._clock = clock
        self._closing = False

    async def after(self, known: str, wait: float) -> KeyDocument | None:
        """The pairs, as soon as they are not the version `known`; None when they were for `wait` seconds.
        Raises DatabaseUnavailable."""
        deadline = self._clock.monotonic() + min(wait, LONGEST_WAIT_S)
        while True:
            seen = self._notifier.count
            document = await self._read()
            if document.version != known:
                return document
            left = deadline - self._clock.monotonic()
            if left <= 0 or self._closing:
                return None
            await self._notifier.changed(seen, min(left, LONGEST_WAIT_S))
            await asyncio.sleep(_TOGETHER_S)

    def close(self) -> None:
        """The process stops: who waits is answered now."""
        self._closing = True
        self._notifier.wake()

    async def _read(self) -> KeyDocument:
        now = self._clock.now()
        async with self._database.transaction(Principal.system()) as tx:
            pairs = await self._store.working(tx)
        return KeyDocument(
            pairs=[
                PairOut(
                    tenant=str(pair.org_id),
                    key=pair.api_key,
                    secret=pair.secret,
                    former=FormerOut(secret=pair.former.secret, until=pair.former.valid_until)
                    if pair.former and now < pair.former.valid_until
                    else None,
                    webhook_urls=list(pair.webhook_urls),
                )
                for pair in pairs
            ]
        )
