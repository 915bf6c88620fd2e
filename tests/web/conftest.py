"""A running platform, a real browser, and visitors who complain about anything their browser complains about.

`LIVEKIT_SERVER=<binary>` runs the same journeys through a LiveKit server instead of our own media role.
"""

import asyncio
import os
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, async_playwright
from tests.platform import Platform, free_ports, running_platform
from tests.web.visitor import Visitor

_DIST = Path(__file__).parents[2] / "web" / "dist" / "index.html"
_START_TIMEOUT_S = 20.0
_KEY, _SECRET = "webtests", "only-for-the-length-of-one-test-run-0001"
# A name that is not loopback: pages opened under it are not a secure context, as on a plain-http server elsewhere.
INSECURE_HOST = "console.test"
_ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream=device-count=3",
    f"--host-resolver-rules=MAP {INSECURE_HOST} 127.0.0.1",
]

MakeVisitor = Callable[..., Awaitable[Visitor]]


def chromium_path() -> str:
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = next((path for path in map(shutil.which, names) if path), None)
    assert found, "no Chromium or Chrome on this machine; on Debian: sudo apt-get install chromium"
    return found


@contextmanager
def _livekit_server(binary: str) -> Iterator[dict[str, str]]:
    """A LiveKit server of our own, and the settings that point the control plane at it."""
    port, tcp, udp = free_ports(3)
    config = f"port: {port}\nkeys: {{{_KEY}: {_SECRET}}}\nrtc: {{tcp_port: {tcp}, udp_port: {udp}}}\n"
    command = [binary, "--bind", "127.0.0.1", "--node-ip", "127.0.0.1", "--config-body", config]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield {
            "AURALINK_LIVEKIT_URL": f"ws://127.0.0.1:{port}",
            "AURALINK_LIVEKIT_API_KEY": _KEY,
            "AURALINK_LIVEKIT_API_SECRET": _SECRET,
        }
    finally:
        process.terminate()
        process.wait(_START_TIMEOUT_S)


async def _until_it_listens(url: str) -> None:
    host, port = url.removeprefix("ws://").split(":")
    async with asyncio.timeout(_START_TIMEOUT_S):
        while True:
            try:
                socket.create_connection((host, int(port)), timeout=1).close()
                return
            except OSError:
                await asyncio.sleep(0.05)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    assert _DIST.is_file(), "the console is not built; run: make setup (or npm run build in web/)"
    state = tmp_path_factory.mktemp("console") / "state"
    async with AsyncExitStack() as stack:
        settings: dict[str, str] = {}
        if binary := os.environ.get("LIVEKIT_SERVER"):
            settings = stack.enter_context(_livekit_server(binary))
            await _until_it_listens(settings["AURALINK_LIVEKIT_URL"])
        yield await stack.enter_async_context(running_platform(state, **settings))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser() -> AsyncIterator[Browser]:
    """Grants camera, microphone and screen without asking. The devices are Chromium's fakes; the second camera
    is a depth camera and shows nothing."""
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(
            executable_path=chromium_path(), args=[*_ARGUMENTS, "--use-fake-ui-for-media-stream"]
        )
        yield launched
        await launched.close()


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def strict_browser() -> AsyncIterator[Browser]:
    """Grants nothing by itself: what a page may use is what its context was given."""
    async with async_playwright() as playwright:
        launched = await playwright.chromium.launch(executable_path=chromium_path(), args=_ARGUMENTS)
        yield launched
        await launched.close()


@pytest_asyncio.fixture(loop_scope="session")
async def visit(platform: Platform, browser: Browser) -> AsyncIterator[MakeVisitor]:
    """`await visit()`: somebody in a browser profile of their own, closed and checked at the end."""
    visitors: list[Visitor] = []

    async def arrive(base_url: str = platform.url, on: Browser = browser, **context: object) -> Visitor:
        visitor = await Visitor.arrive(on, base_url, **context)
        visitors.append(visitor)
        return visitor

    yield arrive
    for visitor in visitors:
        await visitor.close()
    for visitor in visitors:
        visitor.assert_nothing_to_complain_about()
