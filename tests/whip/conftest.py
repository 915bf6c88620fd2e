"""The media server, as the compatibility tests find it, and a room for each test."""

import pytest
from aioice import ice
from tests.compat.conftest import media_server, room, server

__all__ = ["loopback_candidates", "media_server", "room", "server"]


@pytest.fixture(autouse=True)
def loopback_candidates(monkeypatch: pytest.MonkeyPatch) -> None:
    """aiortc leaves loopback out, which is where the server of these tests is."""
    monkeypatch.setattr(ice, "get_host_addresses", lambda use_ipv4, use_ipv6: ["127.0.0.1"])
