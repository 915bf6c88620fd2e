"""livekit-client's own scenarios of a connection that breaks, and its connection check."""

import pytest
from tests.browser.conftest import Call, Caller
from tests.compat.conftest import MediaServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

_SCENARIOS = (
    *("signal-reconnect", "node-failure", "migration", "disconnect-signal-on-resume"),
    *("full-reconnect", "resume-reconnect", "leave-full-reconnect"),
)


async def _pair(call: Call, path: dict[str, bool]) -> tuple[Caller, Caller]:
    ada, bob = await call("ada", **path), await call("bob", **path)
    await ada.local("me.enableCameraAndMicrophone()")
    await bob.local("me.setMicrophoneEnabled(true)")
    await bob("receives", "ada", "camera")
    await ada("receives", "bob", "microphone")
    return ada, bob


@pytest.mark.parametrize("scenario", _SCENARIOS)
async def test_a_broken_connection_comes_back_with_everything(call: Call, path: dict[str, bool], scenario: str) -> None:
    ada, bob = await _pair(call, path)

    assert "Reconnected" in await ada("simulate", scenario)

    await bob("receives", "ada", "camera")
    await bob("receives", "ada", "microphone")
    await ada("receives", "bob", "microphone")


async def test_the_servers_leave_is_told_with_its_reason(call: Call, path: dict[str, bool]) -> None:
    ada, _ = await _pair(call, path)

    since = await ada("simulate", "server-leave")

    assert any(event.startswith("Disconnected") for event in since)


async def test_media_goes_over_tcp_when_told_so(call: Call, path: dict[str, bool]) -> None:
    ada, bob = await _pair(call, path)
    await ada("goesOver", "udp")

    assert "Reconnected" in await ada("simulate", "force-tcp")
    await bob("receives", "ada", "camera")
    await ada("goesOver", "tcp")

    # Where there is no relay over TLS, it may take any way.
    assert "Reconnected" in await ada("simulate", "force-tls")
    await bob("receives", "ada", "camera")
    await ada("goesOver", "udp")


async def test_livekits_connection_check_passes(
    call: Call, server: MediaServer, room: str, path: dict[str, bool]
) -> None:
    ada = await call("ada", **path)

    results = await ada("checks", server.url, server.token(room, "checker"))

    failed = {name: result for name, result in results.items() if result["status"] not in (3, 4)}
    assert not failed, failed
