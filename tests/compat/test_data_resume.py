"""Reliable data while a way to the server is cut: everything arrives once and in order."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from tests.compat.clients import holds, joined, told
from tests.compat.conftest import MediaServer, both_paths
from tests.compat.relays import behind_media_relay, signal_relay
from tests.journeys.people import CALL_TIMEOUT_S, Call

CUT_S = 3.0
EVERY_S = 0.01
STALL_S = 10.0
"""Less than the time after which the server takes a silent client for gone."""


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


@both_paths
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


@pytest.mark.parametrize("dual", [False, True], ids=["single", "dual"])
async def test_nothing_is_lost_while_the_media_path_is_cut(tmp_path: Path, room: str, dual: bool) -> None:
    async with (
        behind_media_relay(tmp_path / "state", dual=dual) as (relay, server, _),
        joined(server, room, "ann") as ann,
        joined(server, room, "bob") as bob,
    ):
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


async def test_a_reader_that_stalls_harms_nobody_and_gets_all_later(tmp_path: Path, room: str) -> None:
    async with (
        behind_media_relay(tmp_path / "state") as (relay, server, platform),
        joined(server, room, "stuck") as stuck,
    ):
        stalled = relay.clients
        async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
            await holds("ann sees both", lambda: len(ann.room.remote_participants) == 2)
            memory = psutil.Process(platform.pid).memory_info().rss
            relay.mute = stalled
            messages = [number.to_bytes(4, "big") * 3_000 for number in range(200)]
            began = time.monotonic()
            for message in messages:
                await ann.say(message)
            assert [await asyncio.wait_for(bob.messages.get(), CALL_TIMEOUT_S) for _ in messages] == messages
            assert time.monotonic() - began < STALL_S, "the stall was over before the others had all"
            assert stuck.messages.empty()
            grown = psutil.Process(platform.pid).memory_info().rss - memory
            assert grown < 50_000_000, f"{grown} bytes for {len(messages)} messages of {len(messages[0])} bytes"
            relay.mute = set()
            assert [await asyncio.wait_for(stuck.messages.get(), CALL_TIMEOUT_S) for _ in messages] == messages
