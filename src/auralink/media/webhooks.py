"""Tells the configured URLs what happens in rooms, as LiveKit's webhooks: in order, until each was accepted.

https://docs.livekit.io/home/server/webhooks/ - protobuf JSON, signed by a token over the body's SHA-256.
"""

import asyncio
import base64
import hashlib
import json
import random
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import structlog
from google.protobuf.json_format import MessageToJson
from livekit.protocol.models import ParticipantInfo, RoomEndReason, TrackInfo
from livekit.protocol.models import Room as RoomInfo
from livekit.protocol.webhook import WebhookEvent

from auralink.kit.errors import Unavailable
from auralink.media.journal import Journal
from auralink.media.keys import PLATFORM
from auralink.media.sids import new_sid
from auralink.media.tokens import KeyRing

log = structlog.get_logger(__name__)

_TIMEOUT_S = 10.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 5.0
_FLUSH_S = 0.05
"""Events of this long are made durable together."""
_GOODBYE_S = 3.0
_TOKEN_LIFE = timedelta(minutes=5)


class Webhooks:
    """The event logs of all rooms: one journal per URL, so that a dead receiver holds up only itself.

    `own` is our gateway, which hears of every tenant; `urls` are the operator's, who hear of the platform's rooms.
    """

    def __init__(self, own: Callable[[], str | None], urls: Sequence[str], keys: KeyRing, directory: Path) -> None:
        self._own = own
        self._urls = urls
        self._keys = keys
        self._directory = directory
        self._receivers: list[_Receiver] = []

    def of(self, tenant: str) -> "TenantLog":
        return TenantLog(self, tenant)

    def record(self, tenant: str, event: WebhookEvent) -> None:
        body = MessageToJson(event, indent=None)
        for receiver in self._receivers:
            if tenant == PLATFORM:
                receiver.append(body)
            elif receiver.hears_all:
                receiver.append(_with_tenant(body, tenant))

    @property
    def waiting(self) -> int:
        return sum(len(receiver.journal) for receiver in self._receivers)

    async def check(self) -> None:
        """For readiness. Raises Unavailable."""
        for receiver in self._receivers:
            if receiver.trouble:
                raise Unavailable(receiver.trouble)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
            own = self._own()
            for url in dict.fromkeys([*([own] if own else []), *self._urls]):
                name = hashlib.sha256(url.encode()).hexdigest()[:16]
                journal = await asyncio.to_thread(Journal, self._directory / name)
                self._receivers.append(_Receiver(url, journal, self._keys, client, hears_all=url == own))
            tasks = [asyncio.create_task(receiver.run(), name="webhooks") for receiver in self._receivers]
            try:
                yield
            finally:
                await self._last_words()
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)
                for receiver in self._receivers:
                    await receiver.flush()

    async def _last_words(self) -> None:
        """A short time to tell the ends of rooms; what stays is told by the next start."""

        async def told() -> None:
            await asyncio.gather(*(receiver.idle() for receiver in self._receivers))

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
    ) -> None:
        message = WebhookEvent(
            event=event,
            id=new_sid("EV_"),
            created_at=int(time.time()),
            room=room,
            participant=participant,
            track=track,
        )
        if end is not None:
            message.room_end_reason = end
        self.webhooks.record(self.tenant, message)


def _with_tenant(body: str, tenant: str) -> str:
    """For our gateway: inside the signed body, as room names of different tenants may be equal."""
    return json.dumps({**json.loads(body), "tenant": tenant})


class _Receiver:
    """Owner of the journal of one URL."""

    def __init__(
        self, url: str, journal: Journal, keys: KeyRing, client: httpx.AsyncClient, *, hears_all: bool = False
    ) -> None:
        self.hears_all = hears_all
        """Of the rooms of every tenant."""
        self.journal = journal
        self._url = url
        self._keys = keys
        self._client = client
        self._new = asyncio.Event()
        self._idle = asyncio.Event()
        self._new.set()
        self.trouble: str | None = None

    def append(self, body: str) -> None:
        if not self.journal.append(body):
            log.error("media.webhook_dropped", url=self._url, dropped=self.journal.dropped)
        self._idle.clear()
        self._new.set()

    async def idle(self) -> None:
        await self._idle.wait()

    async def run(self) -> None:
        """Never ends by itself: a disk that is full is waited for like a receiver that is away."""
        wait = _FIRST_WAIT_S
        while True:
            await self._new.wait()
            self._new.clear()
            await asyncio.sleep(_FLUSH_S)
            await self.flush()
            while entry := self.journal.oldest():
                if await self._tell(entry.body):
                    self.journal.acknowledge(entry)
                    wait = _FIRST_WAIT_S
                    continue
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 (spreads retries, guards nothing)
                wait = min(wait * 2, _LONGEST_WAIT_S)
                await self.flush()  # what happened meanwhile must survive a crash too
            await self.flush()
            if not len(self.journal):
                self._idle.set()

    async def flush(self) -> None:
        """Make the journal durable; trouble is told by readiness and tried again with the next flush."""
        batch = self.journal.take()
        try:
            await asyncio.to_thread(self.journal.write, batch)
        except OSError as error:
            self.journal.give_back(batch)
            self._new.set()
            if self.trouble is None:
                log.error("media.journal_unwritable", error=error.strerror)
            self.trouble = f"the webhook journal cannot be written: {error.strerror}"
            await asyncio.sleep(_FIRST_WAIT_S)
        else:
            self.trouble = None

    async def _tell(self, body: str) -> bool:
        """True when it is done with: accepted, or refused for good."""
        content = body.encode()
        headers = {"Content-Type": "application/webhook+json", "Authorization": self._signature(content)}
        try:
            answer = await self._client.post(self._url, content=content, headers=headers)
        except httpx.HTTPError as error:
            log.info("media.webhook_unreachable", url=self._url, error=type(error).__name__)
            return False
        if answer.status_code < 300:
            return True
        later = answer.status_code >= 500 or answer.status_code in (408, 425, 429)
        log.log(20 if later else 40, "media.webhook_refused", url=self._url, status=answer.status_code, retried=later)
        return not later

    def _signature(self, content: bytes) -> str:
        now = datetime.now(UTC)
        claims = {
            "sha256": base64.b64encode(hashlib.sha256(content).digest()).decode(),
            "nbf": int(now.timestamp()),
            "exp": int((now + _TOKEN_LIFE).timestamp()),
        }
        return self._keys.sign(self._keys.default_key, claims)
