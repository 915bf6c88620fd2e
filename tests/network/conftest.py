"""A media server whose clients reach it only over a network that the test may spoil."""

import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from tests.compat.conftest import MediaServer
from tests.network.relay import ENVIRONMENT, Network, network
from tests.platform import Platform, running_platform
from tests.whip.conftest import loopback_candidates

__all__ = ["loopback_candidates"]


@dataclass(frozen=True)
class Site:
    """A platform, its media server as clients see it, and the network between."""

    platform: Platform
    server: MediaServer
    network: Network

    async def metric(self, name: str) -> float:
        """Of the media role, summed over its labels."""
        async with httpx.AsyncClient() as client:
            text = (await client.get(self.server.url.replace("ws", "http", 1) + "/metrics")).text
        values = [line.rsplit(" ", 1)[1] for line in text.splitlines() if line.startswith((f"{name} ", f"{name}{{"))]
        assert values, f"no metric {name}"
        return sum(map(float, values))


def media_server(platform: Platform) -> MediaServer:
    secrets = json.loads((platform.state / "secrets.json").read_text())
    return MediaServer(platform.media_url, secrets["livekit_api_key"], secrets["livekit_api_secret"])


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def distant_platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    async with running_platform(tmp_path_factory.mktemp("network") / "state", **ENVIRONMENT) as platform:
        yield platform


@pytest_asyncio.fixture
async def site(distant_platform: Platform) -> AsyncIterator[Site]:
    async with network(distant_platform.media_udp_port, distant_platform.media_tcp_port) as between:
        yield Site(distant_platform, media_server(distant_platform), between)


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def room() -> str:
    return f"room-{uuid.uuid4().hex}"
