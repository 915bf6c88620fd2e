"""Calls where there is IPv6 only: the media server listens on ::1 and nowhere else."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from tests.compat.clients import holds, joined
from tests.compat.conftest import MediaServer
from tests.network.conftest import media_server
from tests.platform import Platform, running_platform

_FORCE_TCP = 5
"""SimulateScenarioKind of the SDK."""


@pytest_asyncio.fixture
async def platform(state: Path) -> AsyncIterator[Platform]:
    async with running_platform(state, AURALINK_MEDIA_HOST="::1") as platform:
        yield platform


@pytest.fixture
def server(platform: Platform) -> MediaServer:
    return replace(media_server(platform), url=f"ws://[::1]:{platform.media_port}")


async def test_a_call_over_udp(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        await ann.publish()
        await bob.sees_more(20)
        await ann.say(b"hello")
        await bob.hears(b"hello")


async def test_a_call_over_tcp(server: MediaServer, platform: Platform, room: str) -> None:
    async with joined(server, room, "bob") as bob:
        async with joined(server, room, "ann") as ann:
            await ann.room.simulate_scenario(_FORCE_TCP)
        await holds("ann has left", lambda: "ann" not in bob.room.remote_participants)
        async with joined(server, room, "ann") as ann:
            assert _connections(platform) > 0
            await ann.publish()
            await bob.sees_more(20)


def _connections(platform: Platform) -> int:
    """Of clients with the engine's TCP port, over IPv6."""
    found = psutil.Process(platform.pid).net_connections("tcp6")
    return sum(1 for one in found if one.laddr.port == platform.media_tcp_port and one.status == "ESTABLISHED")
