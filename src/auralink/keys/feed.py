"""Tells the media role the working pairs, and again as soon as they change."""

import asyncio
from datetime import datetime

from auralink.keys.domain import SigningPair
from auralink.keys.events import ApiKeyChanged, ApiKeyCreated, ApiKeyRevoked, ApiKeyRotated
from auralink.keys.feed_document import FormerOut, KeyDocument, PairOut
from auralink.keys.store import ApiKeyStore
from auralink.kit.auth import Principal
from auralink.kit.clock import Clock
from auralink.kit.db import Database
from auralink.kit.outbox import Notifier, last_position, read_events

LONGEST_WAIT_S = 20.0
_TOGETHER_S = 0.2
"""Changes of this long are told together, and a busy outbox makes us look no more often."""

_TYPES = tuple(event.type for event in (ApiKeyCreated, ApiKeyChanged, ApiKeyRotated, ApiKeyRevoked))


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
        seen = self._notifier.count
        document, position = await self._read()
        while document.version == known:
            left = deadline - self._clock.monotonic()
            if left <= 0 or self._closing:
                return None
            await self._notifier.changed(seen, left)
            await asyncio.sleep(_TOGETHER_S)
            seen = self._notifier.count
            if await self._changed_since(position):
                document, position = await self._read()
        return document

    def close(self) -> None:
        """The process stops: who waits is answered now."""
        self._closing = True
        self._notifier.wake()

    async def _changed_since(self, position: int) -> bool:
        """Most of what happens is not about keys, and opening every secret is dear."""
        async with self._database.transaction(Principal.system()) as tx:
            return bool(await read_events(tx, after=position, limit=1, types=_TYPES))

    async def _read(self) -> tuple[KeyDocument, int]:
        """The pairs, and the newest position of the outbox before they were read."""
        now = self._clock.now()
        async with self._database.transaction(Principal.system()) as tx:
            position = await last_position(tx)
            pairs = await self._store.working(tx)
        return KeyDocument(pairs=[_told(pair, now) for pair in pairs]), position


def _told(pair: SigningPair, now: datetime) -> PairOut:
    former = pair.former if pair.former and now < pair.former.valid_until else None
    return PairOut(
        tenant=str(pair.org_id),
        key=pair.api_key,
        secret=pair.secret,
        former=FormerOut(secret=former.secret, until=former.valid_until) if former else None,
        webhook_urls=list(pair.webhook_urls),
    )
