"""Delivers events to one URL: in order, signed, each repeated until it was accepted or refused for good."""

import asyncio
import base64
import hashlib
import json
import random
from datetime import UTC, datetime, timedelta
from urllib.parse import urlsplit

import httpx
import structlog

from auralink.media.journal import Journal
from auralink.media.public_addresses import NotPublic
from auralink.media.tokens import KeyRing, UnknownKey
from auralink.media.told_events import ToldEvents

log = structlog.get_logger(__name__)

TIMEOUT_S = 10.0
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 5.0
_FLUSH_S = 0.05
"""Events of this long are made durable together."""
_TOLD_TOGETHER = 100
_TOKEN_LIFE = timedelta(minutes=5)


class Receiver:
    """Owner of the journal of one URL."""

    def __init__(
        self,
        url: str,
        journal: Journal,
        keys: KeyRing,
        client: httpx.AsyncClient,
        *,
        key: str | None = None,
        hears_all: bool = False,
        told: ToldEvents | None = None,
    ) -> None:
        self.key = key or keys.default_key
        """Signs what is sent."""
        self.hears_all = hears_all
        """Of the rooms of every tenant."""
        self.journal = journal
        self._told = told
        self._accepted: list[str] = []
        """Not yet written to `told`."""
        self._dropped = 0
        """Events that found no room in the journal since the last that did."""
        self._url = url
        self._shown = _without_secrets(url)
        self._keys = keys
        self._client = client
        self._new = asyncio.Event()
        self._idle = asyncio.Event()
        self._new.set()
        self.trouble: str | None = None

    def append(self, body: str) -> None:
        """What was dropped before it is counted in the next event, as LiveKit does."""
        counted = json.dumps({**json.loads(body), "numDropped": self._dropped}) if self._dropped else body
        if self.journal.append(counted):
            self._dropped = 0
        else:
            self._dropped += 1
            log.error("media.webhook_dropped", to=self._shown, dropped=self.journal.dropped)
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
                    await self._remember(entry.body)
                    wait = _FIRST_WAIT_S
                    continue
                await asyncio.sleep(wait * random.uniform(0.5, 1.0))  # noqa: S311 (spreads retries, guards nothing)
                wait = min(wait * 2, _LONGEST_WAIT_S)
                await self.flush()  # what happened meanwhile must survive a crash too
            await self.flush()
            await self._write_told()
            if not len(self.journal):
                self._idle.set()

    async def replay(self, since: int, until: int, room: str) -> int:
        """Sends accepted events again, after what waits; returns how many. Raises OSError."""
        if self._told is None:
            return 0
        await self._write_told()
        bodies = await asyncio.to_thread(self._told.since, since, until, room)
        for body in bodies:
            self.append(body)
        return len(bodies)

    async def _remember(self, body: str) -> None:
        if self._told is None:
            return
        self._accepted.append(body)
        if len(self._accepted) >= _TOLD_TOGETHER:
            await self._write_told()

    async def _write_told(self) -> None:
        accepted, self._accepted = self._accepted, []
        if accepted and self._told is not None:
            try:
                await asyncio.to_thread(self._told.add, accepted)
            except OSError as error:  # The journal's own trouble is told; these were delivered.
                log.warning("media.told_events_unwritable", error=error.strerror)

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
        try:
            headers = {"Content-Type": "application/webhook+json", "Authorization": self._signature(content)}
            answer = await self._client.post(self._url, content=content, headers=headers)
        except UnknownKey:
            return False  # revoked; this receiver is about to be stopped
        except (NotPublic, httpx.InvalidURL, UnicodeError) as error:
            log.warning("media.webhook_impossible", to=self._shown, reason=str(error))
            return True
        except httpx.HTTPError as error:
            log.info("media.webhook_unreachable", to=self._shown, error=type(error).__name__)
            return False
        if answer.status_code < 300:
            return True
        later = answer.status_code >= 500 or answer.status_code in (408, 425, 429)
        log.log(20 if later else 40, "media.webhook_refused", to=self._shown, status=answer.status_code, retried=later)
        return not later

    def _signature(self, content: bytes) -> str:
        now = datetime.now(UTC)
        claims = {
            "sha256": base64.b64encode(hashlib.sha256(content).digest()).decode(),
            "nbf": int(now.timestamp()),
            "exp": int((now + _TOKEN_LIFE).timestamp()),
        }
        return self._keys.sign(self.key, claims)


def _without_secrets(url: str) -> str:
    """For logs: people put tokens into paths and queries."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}"
