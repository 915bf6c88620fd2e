"""Tells the configured URLs what happens in rooms, as LiveKit's webhooks: in order, until each was accepted.

https://docs.livekit.io/home/server/webhooks/ - protobuf JSON, signed by a token over the body's SHA-256.
"""

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import structlog
from google.protobuf.json_format import MessageToJson
from livekit.protocol.agent import Job
from livekit.protocol.models import ParticipantInfo, RoomEndReason, TrackInfo
from livekit.protocol.models import Room as RoomInfo
from livekit.protocol.webhook import WebhookEvent

from auralink.kit.errors import Unavailable
from auralink.media.journal import Journal
from auralink.media.keys import PLATFORM, KeyPair
from auralink.media.public_addresses import PublicOnly
from auralink.media.receiver import TIMEOUT_S, Receiver
from auralink.media.sids import new_sid
from auralink.media.tenant_receivers import TenantReceivers
from auralink.media.tokens import KeyRing
from auralink.media.told_events import ToldEvents

log = structlog.get_logger(__name__)

_GOODBYE_S = 3.0


@dataclass(frozen=True)
class EventFilter:
    """Which events are told, by name: those included, if any are named, else all that are not excluded."""

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()

    def allows(self, event: str) -> bool:
        return event in self.include if self.include else event not in self.exclude


class Webhooks:
    """The event logs of all rooms: one journal per URL, so that a dead receiver holds up only itself.

    `own` is our gateway, which hears of every tenant; `urls` are the operator's, who hear of the platform's rooms; a
    tenant's own come with its key pairs and hear of its rooms. `private` lets those be on private networks.
    """

    def __init__(
        self,
        own: str | None,
        urls: Sequence[str],
        keys: KeyRing,
        directory: Path,
        *,
        private: bool = False,
        filter_: "EventFilter | None" = None,
    ) -> None:
        """`filter_` is of the operator's URLs."""
        self._filter = filter_ or EventFilter()
        self._own = own
        self._urls = urls
        self._keys = keys
        self._directory = directory
        self._receivers: list[Receiver] = []
        self._tenants = TenantReceivers(keys, directory / "tenants", PublicOnly(anywhere=private))

    def of(self, tenant: str) -> "TenantLog":
        return TenantLog(self, tenant)

    def record(self, tenant: str, event: WebhookEvent) -> None:
        body = MessageToJson(event, indent=None)
        for receiver in self._receivers:
            if not receiver.hears_all and not self._filter.allows(event.event):
                continue
            if tenant == PLATFORM:
                receiver.append(body)
            elif receiver.hears_all:
                receiver.append(_with_tenant(body, tenant))
        self._tenants.record(tenant, body)

    async def replay(self, since: int, until: int, room: str = "") -> int:
        """Sends what was accepted in these seconds (Unix) again; returns how many. Raises OSError."""
        return sum([await receiver.replay(since, until, room) for receiver in self._receivers])

    def set_tenants(self, pairs: Iterable[KeyPair]) -> None:
        """Where the tenants' webhooks go from now on."""
        self._tenants.set(pairs)

    @property
    def waiting(self) -> int:
        return sum(len(receiver.journal) for receiver in self._receivers) + self._tenants.waiting

    async def check(self) -> None:
        """For readiness. Raises Unavailable."""
        for receiver in self._receivers:
            if receiver.trouble:
                raise Unavailable(receiver.trouble)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False) as client:
            own = self._own
            for url in dict.fromkeys([*([own] if own else []), *self._urls]):
                name = hashlib.sha256(url.encode()).hexdigest()[:16]
                journal = await asyncio.to_thread(Journal, self._directory / name)
                told = await asyncio.to_thread(ToldEvents, self._directory / name)
                receiver = Receiver(url, journal, self._keys, client, hears_all=url == own, told=told)
                self._receivers.append(receiver)
            tasks = [asyncio.create_task(receiver.run(), name="webhooks") for receiver in self._receivers]
            try:
                async with self._tenants.running():
                    try:
                        yield
                    finally:
                        await self._last_words()
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                for receiver in self._receivers:
                    await receiver.flush()

    async def _last_words(self) -> None:
        """A short time to tell the ends of rooms; what stays is told by the next start."""

        async def told() -> None:
            await asyncio.gather(*(receiver.idle() for receiver in [*self._receivers, *self._tenants.all()]))

        try:
            await asyncio.wait_for(told(), _GOODBYE_S)
        except TimeoutError:
            log.info("media.webhooks_left_for_later", events=self.waiting)


@dataclass(frozen=True)
class TenantLog:
    """Where the rooms of one tenant write what happens in them."""

    webhooks: Webhooks
    tenant: str

    def record(
        self,
        event: str,
        room: RoomInfo,
        participant: ParticipantInfo | None = None,
        track: TrackInfo | None = None,
        *,
        end: RoomEndReason | None = None,
        job: Job | None = None,
    ) -> None:
        message = WebhookEvent(
            event=event,
            id=new_sid("EV_"),
            created_at=int(time.time()),
            room=room,
            participant=participant,
            track=track,
            job=job,
        )
        if end is not None:
            message.room_end_reason = end
        self.webhooks.record(self.tenant, message)


def _with_tenant(body: str, tenant: str) -> str:
    """For our gateway: inside the signed body, as room names of different tenants may be equal."""
    return json.dumps({**json.loads(body), "tenant": tenant})
