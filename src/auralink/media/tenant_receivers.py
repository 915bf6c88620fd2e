"""The webhooks of tenants: which URLs hear of whose rooms changes while the server runs."""

import asyncio
import contextlib
import hashlib
import shutil
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import structlog

from auralink.media.journal import Journal
from auralink.media.keys import KeyPair
from auralink.media.public_addresses import PublicOnly
from auralink.media.receiver import TIMEOUT_S, Receiver
from auralink.media.tokens import KeyRing

log = structlog.get_logger(__name__)

Place = tuple[str, str]
"""A tenant and a URL. Two tenants may name the same one; each gets its own events there, signed by its own key."""

_WAITING_PER_URL = 10_000
"""A tenant's receiver that stays away costs this many events of disk at most, then drops and counts the newest."""


class TenantReceivers:
    """Owner of one receiver and its task for each place, between `running()`'s beginning and end."""

    def __init__(self, keys: KeyRing, directory: Path, transport: PublicOnly) -> None:
        self._keys = keys
        self._directory = directory
        self._transport = transport
        self._wanted: dict[Place, str] = {}
        """The key that signs there; known before `running`, from the cache."""
        self._running: dict[Place, tuple[Receiver, asyncio.Task[None]]] = {}
        self._by_tenant: dict[str, list[Receiver]] = {}
        self._client: httpx.AsyncClient | None = None

    def all(self) -> list[Receiver]:
        return [receiver for receiver, _ in self._running.values()]

    @property
    def waiting(self) -> int:
        return sum(len(receiver.journal) for receiver in self.all())

    def record(self, tenant: str, body: str) -> None:
        for receiver in self._by_tenant.get(tenant, ()):
            receiver.append(body)

    def set(self, pairs: Iterable[KeyPair]) -> None:
        """Where a URL stands with several pairs of a tenant, the last one, which is the newest, signs."""
        self._wanted = {(pair.tenant, url): pair.key for pair in pairs for url in pair.webhook_urls}
        if self._client is not None:
            self._adjust(self._client)
        self._sweep()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False, transport=self._transport) as client:
            self._client = client
            self._adjust(client)
            try:
                yield
            finally:
                self._client = None
                for receiver, task in self._running.values():
                    task.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await task
                    await receiver.flush()
                self._running.clear()
                self._by_tenant.clear()

    def _adjust(self, client: httpx.AsyncClient) -> None:
        for place in [place for place in self._running if place not in self._wanted]:
            self._stop(place)
        for place, key in self._wanted.items():
            if place in self._running:
                self._running[place][0].key = key
            else:
                self._start(place, key, client)
        self._by_tenant = {}
        for (tenant, _), (receiver, _) in self._running.items():
            self._by_tenant.setdefault(tenant, []).append(receiver)

    def _start(self, place: Place, key: str, client: httpx.AsyncClient) -> None:
        journal = Journal(self._folder(place), most=_WAITING_PER_URL)
        receiver = Receiver(place[1], journal, self._keys, client, key=key)
        self._running[place] = receiver, asyncio.create_task(receiver.run(), name="tenant-webhooks")

    def _stop(self, place: Place) -> None:
        """The tenant took the URL away: what was still to be told there is forgotten."""
        receiver, task = self._running.pop(place)
        task.cancel()
        if len(receiver.journal):
            log.info("media.webhooks_forgotten", tenant=place[0], events=len(receiver.journal))
        folder = self._folder(place)
        # The file is small, and a write under way in a thread must end before the folder goes.
        task.add_done_callback(lambda _: shutil.rmtree(folder, ignore_errors=True))

    def _sweep(self) -> None:
        """Journals of URLs that were taken away while this server was down."""
        kept = {self._folder(place) for place in [*self._wanted, *self._running]}
        for folder in self._directory.iterdir() if self._directory.is_dir() else ():
            if folder not in kept:
                shutil.rmtree(folder, ignore_errors=True)

    def _folder(self, place: Place) -> Path:
        return self._directory / hashlib.sha256("\0".join(place).encode()).hexdigest()[:32]
