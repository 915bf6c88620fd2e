"""Reliable data while a way to the server is cut: everything arrives once and in order."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from tests.compat.clients import holds, joined, told
from tests.compat.conftest import MediaServer
from tests.compat.relays import UdpRelay, signal_relay
from tests.journeys.people import CALL_TIMEOUT_S, Call
from tests.platform import running_platform

CUT_S = 3.0
EVERY_S = 0.01


@asynccontextmanager
async def counting(who: Call) -> AsyncIterator[list[int]]:
    """`who` sends 1, 2, 3, .. all the while; gives the list of what was sent."""
    sent: list[int] = []

    stop = asyncio.Event()

    async def count() -> None:
        for number in itertools.count(1):
            sent.append(number)
            await who.say(b"%d" % number)
            await asyncio.sleep(EVERY_S)
            if stop.is_set():
                return

    task = asyncio.create_task(count())
    try:
        yield sent
    finally:
        stop.set()  # a cancelled wait_for may swallow it
        await task


async def heard(who: Call, count: int) -> list[int]:
    got: list[int] = []
    while len(got) < count:
        got.append(int(await asyncio.wait_for(who.messages.get(), CALL_TIMEOUT_S)))
    return got


async def finished(ann: Call, bob: Call, sent: list[int]) -> None:
    """Bob has everything up to a last word that comes after all else."""
    await ann.say(b"0")
    assert await heard(bob, len(sent) + 1) == [*sent, 0]


@pytest.mark.parametrize("whose", ["ann", "bob"])
async def test_nothing_is_lost_while_the_signal_connection_is_cut(server: MediaServer, room: str, whose: str) -> None:
    async with signal_relay(server) as (relay, relayed):
        ways = {"ann": server, "bob": server} | {whose: relayed}
        async with joined(ways["ann"], room, "ann") as ann, joined(ways["bob"], room, "bob") as bob:
            await holds("ann sees bob", lambda: "bob" in ann.room.remote_participants)
            resumed = {"ann": ann, "bob": bob}[whose]
            before = resumed.room.local_participant.sid
            back = asyncio.create_task(told(resumed.room, "reconnected"))
            async with counting(ann) as sent:
                await bob.hears(b"50")
                del sent[:50]
                await relay.cut()
                await asyncio.sleep(CUT_S)
                relay.mend()
                await back
                await asyncio.sleep(0.5)
            assert resumed.room.local_participant.sid == before, "this was not a resume"
            await finished(ann, bob, sent)


async def test_nothing_is_lost_while_the_media_path_is_cut(tmp_path: Path, room: str) -> None:
    # The server tells clients of an address where only the relay listens, at the same port.
    environment = {"AURALINK_MEDIA_ADDRESSES": json.dumps(["127.0.0.2"])}
    async with running_platform(tmp_path / "state", **environment) as platform:
        secrets = json.loads((platform.state / "secrets.json").read_text())
        server = MediaServer(platform.media_url, secrets["livekit_api_key"], secrets["livekit_api_secret"])
        port = platform.media_udp_port
        relay = UdpRelay(("127.0.0.2", port), ("127.0.0.1", port))
        await relay.start()
        try:
            async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
                await holds("ann sees bob", lambda: "bob" in ann.room.remote_participants)
                async with counting(ann) as sent:
                    await bob.hears(b"50")
                    del sent[:50]
                    relay.open = False
                    await asyncio.sleep(CUT_S)
                    relay.open = True
                    await holds("data flow again", lambda: bob.messages.qsize() > 0)
                await finished(ann, bob, sent)
                assert relay.passed > 0
        finally:
            relay.stop()
