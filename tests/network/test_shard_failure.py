"""A shard of the media engine panics or stands still under a call; the process and the call survive."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import pytest
import pytest_asyncio
from tests.compat.clients import holds, joined, told
from tests.network.conftest import Site, media_server
from tests.network.relay import ENVIRONMENT, network
from tests.platform import Platform

ROOT = Path(__file__).parents[2]


@pytest_asyncio.fixture
async def vulnerable(state: Path) -> AsyncIterator[Site]:
    environment = ENVIRONMENT | {"PYTHONPATH": str(ROOT)}
    platform = Platform(state=state, environment=environment, module="tests.network.faulty")
    try:
        await platform.start()
        async with network(platform.media_udp_port, platform.media_tcp_port) as between:
            yield Site(platform, media_server(platform), between)
    finally:
        await platform.stop()


@pytest.mark.timeout(240)
async def test_clients_come_back_after_a_shard_died(vulnerable: Site, room: str) -> None:
    server, pid = vulnerable.server, vulnerable.platform.pid
    async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        await ann.publish()
        await bob.publish()
        await asyncio.gather(ann.sees_more(), bob.sees_more())
        back = [asyncio.create_task(told(call.room, "reconnected")) for call in (ann, bob)]
        await asyncio.sleep(0)
        os.kill(pid, signal.SIGUSR1)
        await asyncio.gather(*back)
        await holds("they see each other", lambda: {"ann"} == set(bob.room.remote_participants))
        await asyncio.gather(ann.sees_more(50), bob.sees_more(50))
        await ann.say(b"as if nothing had happened")
        await bob.hears(b"as if nothing had happened")
        assert not ann.disconnected.is_set()
        assert not bob.disconnected.is_set()
    assert vulnerable.platform.pid == pid
    assert vulnerable.platform.process is not None
    assert vulnerable.platform.process.poll() is None, "the process survives"
    assert await vulnerable.metric("auralink_media_engine_net_shard_failures_total") == 1


@pytest.mark.timeout(240)
async def test_calls_on_another_shard_do_not_notice(state: Path, room: str) -> None:
    environment = {"PYTHONPATH": str(ROOT), "AURALINK_MEDIA_SHARDS": "2"}
    platform = Platform(state=state, environment=environment, module="tests.network.faulty")
    try:
        await platform.start()
        server = media_server(platform)
        async with AsyncExitStack() as stack:
            # A room goes to the shard with the least load: the first room to the first, the second to the other.
            rooms = [
                [await stack.enter_async_context(joined(server, f"{room}-{at}", name)) for name in ("ann", "bob")]
                for at in range(2)
            ]
            (ann, bob), (cyd, dan) = rooms
            for speaker, listener in rooms:
                await speaker.publish()
                await listener.sees_more()
            disturbed: list[object] = []
            for call in (cyd, dan):
                call.room.on("reconnecting", lambda: disturbed.append("reconnecting"))
            back = [asyncio.create_task(told(call.room, "reconnected")) for call in (ann, bob)]
            await asyncio.sleep(0)
            os.kill(platform.pid, signal.SIGUSR1)
            await dan.sees_more(20)
            await asyncio.gather(*back)
            await asyncio.gather(bob.sees_more(50), dan.sees_more(50))
            await cyd.say(b"nothing happened")
            await dan.hears(b"nothing happened")
            assert not disturbed
    finally:
        await platform.stop()


@pytest.mark.timeout(240)
async def test_a_shard_that_stands_still_is_reported_and_the_call_goes_on(vulnerable: Site, room: str) -> None:
    async with joined(vulnerable.server, room, "ann") as ann, joined(vulnerable.server, room, "bob") as bob:
        await ann.publish()
        await bob.sees_more()
        os.kill(vulnerable.platform.pid, signal.SIGUSR2)
        checks = await _readiness(vulnerable, httpx.codes.SERVICE_UNAVAILABLE)
        assert not checks["engine"]["ok"]
        assert await vulnerable.metric("auralink_media_engine_net_shards_stuck") == 1
        await _readiness(vulnerable, httpx.codes.OK)
        assert await vulnerable.metric("auralink_media_engine_net_shards_stuck") == 0
        await bob.sees_more(50)


async def _readiness(site: Site, wanted: int) -> dict[str, dict[str, object]]:
    """The checks of the media server, once it answers with `wanted`."""
    url = site.server.url.replace("ws", "http", 1) + "/readyz"
    async with httpx.AsyncClient() as client, asyncio.timeout(30):
        while (answer := await client.get(url)).status_code != wanted:  # noqa: ASYNC110 (it can only be asked)
            await asyncio.sleep(0.1)
    checks: dict[str, dict[str, object]] = answer.json()["checks"]
    return checks
