"""Bad input at the media server's door: clear answers, and nothing breaks."""

import asyncio
import base64
import gzip
import os
from datetime import timedelta

import aiohttp
import jwt
import pytest
from livekit import api
from livekit.protocol.rtc import JoinRequest, SessionDescription, SignalResponse, WrappedJoinRequest
from tests.compat.clients import joined
from tests.compat.conftest import MediaServer


def wrap(request: JoinRequest) -> str:
    wrapped = WrappedJoinRequest(compression=1, join_request=gzip.compress(request.SerializeToString()))
    return base64.urlsafe_b64encode(wrapped.SerializeToString()).decode()


async def validate(server: MediaServer, token: str, join_request: str = "") -> tuple[int, str]:
    url = f"{server.url.replace('ws', 'http', 1)}/rtc/v1/validate"
    parameters = {"access_token": token, "join_request": join_request or wrap(JoinRequest())}
    async with aiohttp.ClientSession() as client, client.get(url, params=parameters) as answer:
        return answer.status, await answer.text()


async def test_a_good_token_is_valid(server: MediaServer, room: str) -> None:
    assert await validate(server, server.token(room, "ann")) == (200, "success")


async def test_bad_tokens_are_refused(server: MediaServer, room: str) -> None:
    good = jwt.decode(server.token(room, "ann"), options={"verify_signature": False})
    long_ago = api.AccessToken(server.key, server.secret).with_identity("ann").with_ttl(timedelta(hours=-1))
    bad = {
        "none": "",
        "noise": "not.a.token",
        "another key": jwt.encode({**good, "iss": "APIunknown"}, "x" * 40, algorithm="HS256"),
        "another secret": jwt.encode(good, "x" * 40, algorithm="HS256"),
        "unsigned": jwt.encode(good, "", algorithm="none"),
        "expired": long_ago.with_grants(api.VideoGrants(room_join=True, room=room)).to_jwt(),
        "no room": jwt.encode({**good, "video": {"roomJoin": True}}, server.secret, algorithm="HS256"),
        "no join": jwt.encode({**good, "video": {"room": room}}, server.secret, algorithm="HS256"),
    }
    for name, token in bad.items():
        status, text = await validate(server, token)
        assert status in (400, 401), name
        assert not token or token not in text


async def open_signal(
    server: MediaServer, client: aiohttp.ClientSession, token: str, join: str
) -> aiohttp.ClientWebSocketResponse:
    return await client.ws_connect(f"{server.url}/rtc/v1", params={"access_token": token, "join_request": join})


async def test_a_malformed_offer_ends_that_join_with_a_reason(server: MediaServer, room: str) -> None:
    offers = [
        "",
        "v=0",
        "v=0\r\nm=audio 9 UDP/TLS/RTP/SAVPF\r\n",
        "\0" * 100,
        "m=" * 50_000,
        "v=0\r\n" + "a=x\r\n" * 9_000,
    ]
    async with joined(server, room, "ann") as ann, aiohttp.ClientSession() as client:
        for number, sdp in enumerate(offers):
            request = JoinRequest(publisher_offer=SessionDescription(type="offer", sdp=sdp, id=1))
            socket = await open_signal(server, client, server.token(room, f"bad{number}"), wrap(request))
            reasons = []
            async for message in socket:
                response = SignalResponse.FromString(message.data)
                if response.HasField("leave"):
                    reasons.append(response.leave.reason)
            assert reasons, f"offer {number} was not answered with a leave"
        await ann.publish()  # the server goes on


async def test_garbage_on_the_signal_connection_closes_it_alone(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as ann, aiohttp.ClientSession() as client:
        socket = await open_signal(server, client, server.token(room, "noise"), wrap(JoinRequest()))
        await socket.send_bytes(b"\xff" * 1_000)
        async with asyncio.timeout(20):
            async for _ in socket:
                pass
        await ann.publish()


@pytest.mark.parametrize("request_bytes", [b"", b"\xff\xff\xff", bytes(range(64))], ids=["empty", "bits", "counting"])
async def test_an_undecodable_join_request_is_refused(server: MediaServer, room: str, request_bytes: bytes) -> None:
    text = base64.urlsafe_b64encode(request_bytes).decode() + "!"
    status, _ = await validate(server, server.token(room, "ann"), text)
    assert status == 400


async def test_a_join_request_that_inflates_without_end_is_refused(server: MediaServer, room: str) -> None:
    bomb = WrappedJoinRequest(compression=1, join_request=gzip.compress(b"\0" * 20_000_000))
    status, _ = await validate(
        server, server.token(room, "ann"), base64.urlsafe_b64encode(bomb.SerializeToString()).decode()
    )
    assert status == 400


async def test_a_very_long_request_line_is_accepted(server: MediaServer, room: str) -> None:
    request = JoinRequest(participant_attributes={"a": base64.b64encode(os.urandom(20_000)).decode()})
    status, _ = await validate(server, server.token(room, "ann", can_update_own_metadata=True), wrap(request))
    assert status == 200
    async with aiohttp.ClientSession() as client:
        socket = await open_signal(
            server, client, server.token(room, "long", can_update_own_metadata=True), wrap(request)
        )
        message = await socket.receive(timeout=20)
        assert SignalResponse.FromString(message.data).HasField("join")
        await socket.close()
