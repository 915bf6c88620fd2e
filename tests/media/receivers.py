"""Small HTTP servers for tests: a gateway that tells key pairs, and receivers of webhooks."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web
from livekit import api

from auralink.keys import FEED_PATH, KeyDocument, seal_feed
from auralink.keys.feed_document import feed_nonce


@asynccontextmanager
async def served(app: web.Application) -> AsyncIterator[str]:
    """The address of `app` on a free port of this machine."""
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


class FakeGateway:
    """Tells the pairs it is given, as the real one does. `away` makes it answer 503."""

    def __init__(self, key: str, secret: str) -> None:
        self.document = KeyDocument(pairs=[])
        self.away = False
        self.asked = 0
        self._key, self._secret = key, secret
        self._changed = asyncio.Event()

    def tell(self, document: KeyDocument) -> None:
        self.document = document
        self._changed.set()
        self._changed = asyncio.Event()

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_get(FEED_PATH, self._answer)
        return app

    async def _answer(self, request: web.Request) -> web.Response:
        self.asked += 1
        if self.away:
            return web.Response(status=503)
        nonce = feed_nonce(request.headers["Authorization"].removeprefix("Bearer "), self._key, self._secret)
        while self.document.version == request.query["known"]:
            await self._changed.wait()
            if self.away:
                return web.Response(status=503)
        return web.Response(body=seal_feed(self.document, self._secret, nonce))


@dataclass
class Hook:
    """A receiver of webhooks that checks them as LiveKit's SDK does."""

    key: str
    secret: str
    events: list[dict[str, Any]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/{rest:.*}", self._take)
        return app

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.text()
        try:
            reader = api.WebhookReceiver(api.TokenVerifier(self.key, self.secret))
            reader.receive(body, request.headers["Authorization"])
        except Exception as error:  # noqa: BLE001 (whatever the SDK finds wrong)
            self.refused.append(repr(error))
        else:
            self.events.append(json.loads(body))
        return web.Response()
