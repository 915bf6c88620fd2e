"""Calls through an external TURN server, with the credentials that a join brings."""

import asyncio
import json
from pathlib import Path

import pytest
from livekit import rtc
from tests.compat.conftest import MediaServer
from tests.compat.turn import SECRET, coturn
from tests.journeys.people import CALL_TIMEOUT_S, Call
from tests.platform import serving_media

RELAY_ONLY = rtc.RtcConfiguration(ice_transport_type=rtc.IceTransportType.TRANSPORT_RELAY)


@pytest.mark.parametrize(
    ("options", "forced"),
    [
        pytest.param(rtc.RoomOptions(rtc_config=RELAY_ONLY), False, id="by_the_client"),
        pytest.param(rtc.RoomOptions(rtc_config=RELAY_ONLY, single_peer_connection=False), False, id="dual_path"),
        pytest.param(rtc.RoomOptions(), True, id="by_the_server"),
    ],
)
async def test_a_call_through_the_relay_alone_carries_media(
    tmp_path: Path, options: rtc.RoomOptions, forced: bool
) -> None:
    async with coturn(tmp_path) as relay:
        servers = [{"host": "127.0.0.1", "port": relay.port, "secret": SECRET, "ttl": 600}]
        settings = {
            "AURALINK_MEDIA_TURN_SERVERS": json.dumps(servers),
            "AURALINK_MEDIA_FORCE_RELAY": json.dumps(forced),
        }
        async with serving_media(tmp_path / "state", "--dev", **settings) as media, Call() as ann, Call() as bob:
            server = MediaServer(media.media_url, "devkey", "secret")
            for call, identity in ((ann, "ann"), (bob, "bob")):
                connected = call.room.connect(server.url, server.token("relayed", identity), options)
                await asyncio.wait_for(connected, CALL_TIMEOUT_S)
            await ann.publish()
            await bob.sees_more()
            await bob.say(b"heard you")
            await ann.hears(b"heard you")
            sids = {call.room.local_participant.sid for call in (ann, bob)}
        assert {name.partition(":")[2] for name in relay.allocations()} == sids
        assert relay.relayed()
