"""The basic journey in Firefox: a guest there and the host in Chromium see and hear each other."""

import asyncio
import json
import os
import shutil
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from playwright.async_api import expect
from tests.platform import Platform, running_platform
from tests.web.conftest import MakeVisitor
from tools.setup import node_environment
from tools.steps import ROOT

pytestmark = pytest.mark.asyncio(loop_scope="session")

_OBSERVE = Path(__file__).parent / "observe.js"
_FIREFOXES = ("firefox-esr", "firefox")
_PATIENCE_S = 120.0


def _firefox() -> str:
    found = next((path for path in map(shutil.which, _FIREFOXES) if path), None)
    assert found, "no Firefox on this machine; on Debian: sudo apt-get install firefox-esr"
    return found


def _address() -> str:
    """One of this machine's own that is not loopback: Firefox offers no loopback candidates."""
    for addresses in psutil.net_if_addrs().values():
        for address in addresses:
            if address.family == socket.AF_INET and not address.address.startswith("127."):
                return str(address.address)
    pytest.skip("this machine has only loopback, where Firefox connects nothing")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def reachable(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    """A platform whose media is on an address of the machine."""
    address = _address()
    settings = {
        "AURALINK_MEDIA_HOST": "0.0.0.0",  # noqa: S104
        "AURALINK_MEDIA_ADDRESSES": json.dumps([address]),
        "AURALINK_SIGNUP": "open",
    }
    async with running_platform(tmp_path_factory.mktemp("firefox") / "state", **settings) as platform:
        yield platform


async def test_a_guest_in_firefox_and_the_host_see_and_hear_each_other(visit: MakeVisitor, reachable: Platform) -> None:
    ada = await visit(reachable.url)
    await ada.sign_up("Ada Lovelace")
    await ada.create_room("Across browsers")
    address = await ada.copy_invite("Across browsers")
    await ada.join("Across browsers")

    guest = await asyncio.create_subprocess_exec(
        *("node", "test/firefox-guest.mjs", _firefox(), address, "Fay Fox", str(_OBSERVE)),
        cwd=ROOT / "web",
        env={**os.environ, **node_environment()},
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert guest.stdin is not None
    try:
        await _says("joined", guest)
        await ada.sees_picture(ada.tile("Fay Fox"))
        await ada.receives("audio")
        guest.stdin.close()
        await _says("left", guest)  # Firefox takes seconds for a click while it encodes and plays
        await expect(ada.tile("Fay Fox")).to_have_count(0)
        assert await asyncio.wait_for(guest.wait(), _PATIENCE_S) == 0
    finally:
        if guest.returncode is None:
            os.killpg(guest.pid, signal.SIGKILL)  # Firefox with it
            await guest.wait()


async def _says(word: str, guest: asyncio.subprocess.Process) -> None:
    assert guest.stdout is not None
    said = await asyncio.wait_for(guest.stdout.readline(), _PATIENCE_S)
    assert said.decode().strip() == word, said + await _last_words(guest)


async def _last_words(guest: asyncio.subprocess.Process) -> bytes:
    assert guest.stderr is not None
    return await asyncio.wait_for(guest.stderr.read(), _PATIENCE_S)
