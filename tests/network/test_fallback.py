"""Clients of the official SDK whose media stops while their signalling goes on: the server moves them to TCP."""

import asyncio
from dataclasses import replace

import pytest
from tests.compat.clients import holds, joined, told
from tests.network.conftest import Site

pytestmark = pytest.mark.timeout(180)

_FORCE_TCP = 5
"""SimulateScenarioKind of the SDK."""

_CHECKS = 20
"""A client may still ask after ways it has given up, every few seconds; media are hundreds of datagrams."""

both_paths = pytest.mark.parametrize("dual", [False, True], ids=["single", "dual"])


@both_paths
async def test_whose_udp_failed_is_on_tcp_from_then_on_by_the_servers_word(site: Site, room: str, dual: bool) -> None:
    """All ways are open again before they come back, so what they take is what they were told of."""
    server = replace(site.server, dual=dual)
    async with joined(server, room, "bob") as bob:
        async with joined(server, room, "ann") as ann:
            await ann.publish()
            await bob.sees_more(20)
            calls = (ann, bob)
            lost = [asyncio.create_task(told(call.room, "reconnecting")) for call in calls]
            back = [asyncio.create_task(told(call.room, "reconnected")) for call in calls]
            await asyncio.sleep(0)
            site.network.open = False
            await asyncio.gather(*lost)
            site.network.open = True
            await asyncio.gather(*back)
            await bob.sees_more(20)
            datagrams = site.network.passed()
            await bob.sees_more(30)
        await holds("ann has left", lambda: "ann" not in bob.room.remote_participants)
        async with joined(server, room, "ann") as ann:
            await ann.publish()
            await bob.sees_more(30)
            assert site.network.passed() - datagrams < _CHECKS, "somebody was told of UDP"


async def test_where_udp_stops_in_the_call_media_goes_on_over_tcp(site: Site, room: str) -> None:
    async with joined(site.server, room, "ann") as ann, joined(site.server, room, "bob") as bob:
        await ann.publish()
        await bob.sees_more(20)
        site.network.udp = False
        await holds("media comes by TCP", lambda: site.network.tcp_bytes > 20_000)
        await bob.sees_more(30)


@both_paths
async def test_a_client_switches_its_protocol_when_it_wants_to(site: Site, room: str, dual: bool) -> None:
    server = replace(site.server, dual=dual)
    async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        await ann.publish()
        await bob.sees_more(20)
        assert site.network.tcp_bytes == 0
        await ann.room.simulate_scenario(_FORCE_TCP)
        await holds("ann's pictures come by TCP", lambda: site.network.tcp_bytes > 20_000)
        await bob.sees_more(30)
