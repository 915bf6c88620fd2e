"""Calls of the official SDK over networks that lose, delay, forget and forbid."""

import asyncio

import pytest
from tests.compat.clients import holds, joined, told
from tests.compat.relays import signal_relay
from tests.network.conftest import Site
from tests.network.link import Impairment
from tests.network.soak import received

WATCH_S = 6.0


@pytest.mark.parametrize(
    ("how", "least_video"),
    [
        pytest.param(Impairment(loss=0.05, delay=0.02), 0.7, id="5% loss"),
        pytest.param(Impairment(loss=0.20, delay=0.02), 0.3, id="20% loss"),
        pytest.param(Impairment(burst=(0.01, 0.3), delay=0.02), 0.5, id="bursts"),
        pytest.param(Impairment(delay=0.15), 0.8, id="300 ms round trip"),
        pytest.param(Impairment(delay=0.3), 0.7, id="300 ms each way"),
        pytest.param(Impairment(delay=0.02, jitter=0.04, reorder=0.05), 0.6, id="jitter and reordering"),
    ],
)
async def test_a_call_goes_on_over_a_bad_network(site: Site, room: str, how: Impairment, least_video: float) -> None:
    async with joined(site.server, room, "ann") as ann, joined(site.server, room, "bob") as bob:
        await ann.publish()
        await bob.sees_more(20)
        site.network.impair(how)
        await asyncio.sleep(1.0)
        audio, video = await received(bob, WATCH_S)
        assert not bob.disconnected.is_set()
        assert audio > 0.8, "the jitter buffer conceals what is lost"
        assert video > least_video
        if how.loss or how.burst:
            assert site.network.lost() > 10, "the network was too good"
        await ann.say(b"nothing reliable is lost")
        await bob.hears(b"nothing reliable is lost")


@pytest.mark.parametrize("how", [Impairment(loss=0.2, delay=0.02), Impairment(delay=0.3)], ids=["20% loss", "300 ms"])
async def test_a_call_begins_over_a_bad_network(site: Site, room: str, how: Impairment) -> None:
    site.network.impair(how)
    async with joined(site.server, room, "ann") as ann, joined(site.server, room, "bob") as bob:
        await ann.publish()
        await bob.sees_more(20)


async def test_media_finds_its_way_again_after_the_nat_forgot(site: Site, room: str) -> None:
    async with joined(site.server, room, "ann") as ann, joined(site.server, room, "bob") as bob:
        await ann.publish()
        await bob.sees_more(20)
        before = (ann.room.local_participant.sid, bob.room.local_participant.sid)
        for _ in range(2):
            ports = site.network.server_side_ports()
            site.network.rebind()
            await bob.sees_more(60)
            assert not ports & site.network.server_side_ports()
        assert (ann.room.local_participant.sid, bob.room.local_participant.sid) == before, "nobody had to join again"


async def test_where_udp_is_blocked_media_takes_tcp(site: Site, room: str) -> None:
    site.network.udp = False
    async with joined(site.server, room, "ann") as ann, joined(site.server, room, "bob") as bob:
        await ann.publish()
        await bob.sees_more(50)
        await ann.say(b"data, too")
        await bob.hears(b"data, too")
    assert site.network.passed() == 0
    assert site.network.tcp_bytes > 10_000


async def test_a_call_survives_some_seconds_without_any_packet(site: Site, room: str) -> None:
    async with joined(site.server, room, "ann") as ann, joined(site.server, room, "bob") as bob:
        await ann.publish()
        await bob.sees_more(20)
        before = bob.room.local_participant.sid
        site.network.open = False
        await asyncio.sleep(5.0)
        site.network.open = True
        await bob.sees_more(50)
        assert bob.room.local_participant.sid == before, "the client was not told to join again"


@pytest.mark.timeout(240)
async def test_whoever_was_away_too_long_joins_again_by_itself(site: Site, room: str) -> None:
    """Longer than the server keeps a silent peer: the SDK does a full reconnect and publishes again. One that noticed
    first and tries to resume waits 15 s for that before."""
    async with joined(site.server, room, "ann") as ann, joined(site.server, room, "bob") as bob:
        await ann.publish()
        await bob.sees_more(20)
        back = asyncio.create_task(told(bob.room, "reconnected", within_s=60))
        await asyncio.sleep(0)
        site.network.open = False
        await asyncio.sleep(20.0)
        site.network.open = True
        await back
        await holds("they see each other", lambda: {"ann"} == set(bob.room.remote_participants))
        await bob.sees_more(50)


@pytest.mark.timeout(240)
@pytest.mark.parametrize("media_too", [False, True], ids=["signalling alone", "all of it"])
async def test_a_call_outlives_a_lost_signal_connection(site: Site, room: str, media_too: bool) -> None:
    async with (
        signal_relay(site.server) as (signalling, relayed),
        joined(relayed, room, "ann") as ann,
        joined(site.server, room, "bob") as bob,
    ):
        await ann.publish()
        await bob.sees_more(20)
        back = asyncio.create_task(told(ann.room, "reconnected"))
        await asyncio.sleep(0)
        await signalling.cut()
        site.network.open = not media_too
        if media_too:
            await asyncio.sleep(8.0)
        else:
            await bob.sees_more(60)  # three seconds of pictures; after five the SDK gives up its media, too
        site.network.open = True
        signalling.mend()
        await back
        await holds("they see each other", lambda: {"ann"} == set(bob.room.remote_participants))
        await bob.sees_more(50)
        assert not ann.disconnected.is_set()
