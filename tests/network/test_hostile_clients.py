"""Clients that take nothing or send too much: only they may suffer."""

import asyncio
import secrets

import psutil
from aiortc import RTCRtpHeaderExtensionParameters, RTCRtpParameters
from aiortc.rtp import HeaderExtensionsMap, RtpPacket
from tests.compat.clients import joined
from tests.network.conftest import Site
from tests.network.link import Impairment
from tests.whip.peer import HttpPeer, publishing

MESSAGES, MESSAGE_BYTES = 600, 14_000
GROWTH_BYTES = 64 * 1024 * 1024
FLOOD, SSRCS = 20_000, 2_000
MID = "urn:ietf:params:rtp-hdrext:sdes:mid"


async def test_a_subscriber_that_never_reads_harms_only_itself(site: Site, room: str) -> None:
    """Nothing reaches it: neither by TCP, to which it would change, nor over paths it tries anew."""
    server = psutil.Process(site.platform.pid)
    site.network.tcp = False
    async with joined(site.server, room, "ann") as ann, joined(site.server, room, "cyd") as cyd:
        await ann.publish()
        others = set(site.network.paths)
        async with joined(site.server, room, "bob") as bob:
            await bob.sees_more()
            memory = server.memory_info().rss
            site.network.impair(Impairment(), Impairment(loss=1.0), spared=others)
            for number in range(MESSAGES):
                await ann.say(number.to_bytes(4, "big") + bytes(MESSAGE_BYTES))
            for number in range(MESSAGES):
                message = await asyncio.wait_for(cyd.messages.get(), 30)
                assert message[:4] == number.to_bytes(4, "big"), "in order, and none is missing"
            await cyd.sees_more(50)
            assert server.memory_info().rss - memory < GROWTH_BYTES
            assert bob.messages.qsize() < MESSAGES
        assert not ann.disconnected.is_set()
        assert not cyd.disconnected.is_set()


async def test_a_flood_of_packets_and_of_sources_does_not_disturb_others(site: Site, room: str) -> None:
    async with joined(site.server, room, "ann") as ann, joined(site.server, room, "bob") as bob:
        await ann.publish()
        await bob.sees_more()
        async with publishing(site.server, site.server.token(room, "flooder")) as flooder:
            await _until_connected(flooder)
            received = await site.metric("auralink_media_engine_rtp_in_total")
            flood = asyncio.create_task(_flood(flooder))
            before = bob.room.local_participant.sid
            await bob.sees_more(60)
            await flood
            assert await site.metric("auralink_media_engine_rtp_in_total") > received + FLOOD / 2
        await bob.sees_more(20)
        assert bob.room.local_participant.sid == before
        assert not ann.disconnected.is_set()
    assert await site.metric("auralink_media_engine_peer_panics_total") == 0


async def _until_connected(peer: HttpPeer) -> None:
    async with asyncio.timeout(20):
        while peer.connection.connectionState != "connected":  # noqa: ASYNC110 (its events are not awaitable)
            await asyncio.sleep(0.05)


async def _flood(peer: HttpPeer) -> None:
    """Authentic packets of ever other SSRCs for the encoder's own section, as fast as this process can."""
    sender = peer.connection.getTransceivers()[0].sender
    offer = peer.connection.localDescription.sdp
    mid_id = next(int(line.split(":")[1].split()[0]) for line in offer.splitlines() if line.endswith(MID))
    payload_type = next(int(line.split(":")[1].split()[0]) for line in offer.splitlines() if "opus" in line)
    extensions = HeaderExtensionsMap()
    parameter = RTCRtpHeaderExtensionParameters(id=mid_id, uri=MID)
    extensions.configure(RTCRtpParameters(headerExtensions=[parameter]))
    ssrcs = [secrets.randbits(32) for _ in range(SSRCS)]
    for number in range(FLOOD):
        packet = RtpPacket(payload_type=payload_type, sequence_number=number & 0xFFFF, ssrc=ssrcs[number % SSRCS])
        packet.payload = bytes(80)
        packet.extensions.mid = "0"
        await sender.transport._send_rtp(packet.serialize(extensions))
        await asyncio.sleep(0)  # the relay, on the same loop, takes one at a time
