"""livekit-client in pages of their own against a LiveKit-compatible server: ours, or the one LIVEKIT_URL names."""

import functools
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, async_playwright
from tests.compat.conftest import MediaServer, media_server, room, server
from tests.web.conftest import chromium_path

__all__ = ["Call", "Caller", "media_server", "room", "server"]

_HERE = Path(__file__).parent
_CLIENT = _HERE.parents[1] / "web" / "node_modules" / "livekit-client" / "dist"
_ARGUMENTS = (
    "--no-sandbox",
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream",
    "--auto-select-desktop-capture-source=Entire screen",
    "--autoplay-policy=no-user-gesture-required",
)


class _Files(SimpleHTTPRequestHandler):
    def translate_path(self, path: str) -> str:
        if path.startswith("/livekit-client/"):
            return str(_CLIENT / Path(path).name)
        return str(_HERE / (Path(path).name or "page.html"))

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="session")
def page_url() -> Iterator[str]:
    """An address of loopback: a secure context, so that cameras and workers may be used."""
    assert _CLIENT.is_dir(), "livekit-client is missing; run: make setup"
    served = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(_Files))
    threading.Thread(target=served.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{served.server_address[1]}/page.html"
    served.shutdown()


class Caller:
    """One participant in a page; every method is one of caller.js."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.sid = ""

    async def __call__(self, method: str, *arguments: object) -> Any:
        return await self.page.evaluate("([name, given]) => window.caller[name](...given)", [method, list(arguments)])

    async def local(self, expression: str) -> Any:
        """`me` is the LocalParticipant, `room` the Room."""
        return await self.page.evaluate(
            f"(async () => {{ const room = caller.state.room, me = room.localParticipant; return {expression}; }})()"
        )


Call = Callable[..., Awaitable[Caller]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium_path(), args=list(_ARGUMENTS))
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="session")
async def call(server: MediaServer, room: str, chromium: Browser, page_url: str) -> AsyncIterator[Call]:
    """`await call("ada", options…)`: a page that has joined the test's room."""
    contexts = []

    async def arrive(identity: str, grants: dict[str, object] | None = None, **options: object) -> Caller:
        context = await chromium.new_context()
        contexts.append(context)
        page = await context.new_page()
        page.set_default_timeout(30_000)
        await page.goto(page_url)
        caller = Caller(page)
        caller.sid = await caller("connect", server.url, server.token(room, identity, **(grants or {})), options)
        return caller

    yield arrive
    for context in contexts:
        await context.close()


@pytest.fixture(params=[True, False], ids=["single", "dual"])
def path(request: pytest.FixtureRequest) -> dict[str, bool]:
    """One peer connection (/rtc/v1)."""
    return {"singlePeerConnection": request.param}
