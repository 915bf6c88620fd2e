"""Keeps the key pairs of organisations current: asks our gateway, which answers as soon as something changed, and keeps
the last answer on disk, sealed, so that tokens are judged while nobody answers and after a restart.
"""

import asyncio
import os
import random
from collections.abc import Callable, Sequence
from pathlib import Path

import httpx
import structlog

from auralink.keys import FEED_PATH, KeyDocument, PairOut, feed_request, open_feed, seal_feed
from auralink.kit.sealing import SealBroken
from auralink.media.keys import FormerSecret, KeyPair

log = structlog.get_logger(__name__)

_WAIT_S = 20.0
"""How long the gateway may let us wait for news."""
_TIMEOUT_S = _WAIT_S + 10.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.2, 5.0
_ON_DISK = "cache"

Apply = Callable[[Sequence[KeyPair]], None]


class KeySync:
    """Owner of the file. `gateway` is None where there is none: then the platform's own pair is all there is."""

    def __init__(self, gateway: str | None, key: str, secret: str, cache: Path, apply: Sequence[Apply]) -> None:
        self._gateway = gateway
        self._key = key
        self._secret = secret
        self._cache = cache
        self._apply = apply
        self._version = ""

    def load(self) -> None:
        """What was known when this server last ran."""
        if self._gateway is None or not self._cache.exists():
            return
        try:
            self._use(open_feed(self._cache.read_bytes(), self._secret, _ON_DISK))
        except (OSError, SealBroken, ValueError) as error:
            log.warning("media.key_cache_unusable", reason=str(error) or type(error).__name__)

    async def run(self) -> None:
        """As long as the server does."""
        if self._gateway is None:
            await asyncio.Event().wait()
        pause = _FIRST_PAUSE_S
        async with httpx.AsyncClient(timeout=_TIMEOUT_S, trust_env=False) as client:
            while True:
                if await self._ask(client):
                    pause = _FIRST_PAUSE_S
                    continue
                await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 (spreads retries, guards nothing)
                pause = min(pause * 2, _LONGEST_PAUSE_S)

    async def _ask(self, client: httpx.AsyncClient) -> bool:
        """One question, which may take as long as nothing changes. False when it was not answered."""
        token, nonce = feed_request(self._key, self._secret)
        parameters = {"known": self._version, "wait": str(_WAIT_S)}
        try:
            answer = await client.get(
                f"{self._gateway}{FEED_PATH}", params=parameters, headers={"Authorization": f"Bearer {token}"}
            )
            if answer.status_code == httpx.codes.NO_CONTENT:
                await asyncio.sleep(_FIRST_PAUSE_S)  # one that stops answers at once
                return True
            answer.raise_for_status()
            document = open_feed(answer.content, self._secret, nonce)
        except (httpx.HTTPError, SealBroken, ValueError) as error:
            log.info("media.keys_not_told", reason=_short(error))
            return False
        self._use(document)
        await self._keep(document)
        return True

    def _use(self, document: KeyDocument) -> None:
        pairs = [_pair(pair) for pair in document.pairs]
        for apply in self._apply:
            apply(pairs)
        self._version = document.version
        log.info("media.keys_known", pairs=len(pairs))

    async def _keep(self, document: KeyDocument) -> None:
        try:
            await asyncio.to_thread(self._write, seal_feed(document, self._secret, _ON_DISK))
        except OSError as error:
            log.error("media.key_cache_unwritable", error=error.strerror)

    def _write(self, content: bytes) -> None:
        self._cache.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        draft = self._cache.with_suffix(".new")
        draft.unlink(missing_ok=True)
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._cache)


def _pair(told: PairOut) -> KeyPair:
    former = (FormerSecret(told.former.secret, told.former.until),) if told.former else ()
    return KeyPair(told.key, told.secret, told.tenant, former, tuple(told.webhook_urls))


def _short(error: Exception) -> str:
    if isinstance(error, httpx.HTTPStatusError):
        return f"status {error.response.status_code}"
    return type(error).__name__
