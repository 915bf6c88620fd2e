"""The door of the dual path, `/rtc`, as clients knock on it."""

import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest
from livekit.protocol.models import ClientInfo, ParticipantInfo
from livekit.protocol.rtc import JoinRequest, SignalRequest, SignalResponse, SimulateScenario
from tests.compat.clients import joined
from tests.compat.conftest import MediaServer
from tests.compat.test_refusals import wrap

_PHONE = {"sdk": "android", "version": "2.20.0", "protocol": "13", "client_protocol": "1", "auto_subscribe": "1"}


def _http(server: MediaServer) -> str:
    return server.url.replace("ws", "http", 1)


def _bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def _attributes(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode()


@asynccontextmanager
async def signal(
    server: MediaServer, token: str, path: str = "/rtc", **query: str
) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    async with (
        aiohttp.ClientSession(headers=_bearer(token)) as client,
        client.ws_connect(f"{server.url}{path}", params=query) as socket,
    ):
        yield socket


async def received(socket: aiohttp.ClientWebSocketResponse, kind: str) -> SignalResponse:
    """The next message of this kind."""
    while True:
        message = SignalResponse.FromString((await socket.receive(timeout=20)).data)
        if message.WhichOneof("message") == kind:
            return message


async def test_the_first_word_is_join_and_the_second_thing_an_offer(server: MediaServer, room: str) -> None:
    async with signal(server, server.token(room, "ann"), **_PHONE) as socket:
        join = SignalResponse.FromString((await socket.receive(timeout=20)).data).join
        assert join.subscriber_primary
        assert join.fast_publish
        assert join.participant.client_protocol == 1
        offer = (await received(socket, "offer")).offer
        assert (offer.type, offer.id) == ("offer", 1)
        assert "m=application" in offer.sdp
        told = []
        while not told or not told[-1].final:
            told.append((await received(socket, "trickle")).trickle)
        first = json.loads(told[0].candidateInit)
        assert first["candidate"].startswith("candidate:")
        assert f"a=mid:{first['sdpMid']}\r\n" in offer.sdp
        assert f"a=ice-ufrag:{first['usernameFragment']}\r\n" in offer.sdp


async def test_a_client_that_may_not_subscribe_has_its_own_connection_as_primary(
    server: MediaServer, room: str
) -> None:
    token = server.token(room, "ann", can_subscribe=False)
    async with signal(server, token, **_PHONE) as socket:
        assert not (await received(socket, "join")).join.subscriber_primary


async def test_a_publishing_twin_has_another_name_and_takes_nothing(server: MediaServer, room: str) -> None:
    token = server.token(room, "ann")
    async with aiohttp.ClientSession(headers=_bearer(token)) as client:
        async with client.ws_connect(f"{server.url}/rtc", params=_PHONE | {"publish": "screen"}) as socket:
            join = (await received(socket, "join")).join
            assert join.participant.identity == "ann#screen"
            assert not join.participant.permission.can_subscribe
        deaf = server.token(room, "ann", can_publish=False)
        url = f"{_http(server)}/rtc/validate"
        async with client.get(url, params={"publish": "screen"}, headers=_bearer(deaf)) as answer:
            assert answer.status == 401


@pytest.mark.parametrize("path", ["/rtc", "//rtc"])
async def test_a_join_request_on_the_dual_path_means_one_connection(server: MediaServer, room: str, path: str) -> None:
    request = JoinRequest(client_info=ClientInfo(sdk=ClientInfo.PYTHON, protocol=17))
    async with signal(server, server.token(room, "ann"), path, join_request=wrap(request)) as socket:
        assert not (await received(socket, "join")).join.subscriber_primary


@pytest.mark.parametrize("path", ["/rtc/validate", "//rtc/validate", "/rtc/v1/validate", "//rtc/v1/validate"])
async def test_any_origin_may_ask_why(server: MediaServer, room: str, path: str) -> None:
    query = {"access_token": server.token(room, "ann")} | (
        {"join_request": wrap(JoinRequest())} if "v1" in path else {}
    )
    origin = {"Origin": "https://elsewhere.example"}
    async with aiohttp.ClientSession() as client:
        async with client.get(f"{_http(server)}{path}", params=query, headers=origin) as answer:
            assert (answer.status, await answer.text()) == (200, "success")
            assert answer.headers["Access-Control-Allow-Origin"] == origin["Origin"]
        async with client.get(f"{_http(server)}{path}", headers=origin) as answer:
            assert answer.status == 401
            assert answer.headers["Access-Control-Allow-Origin"] == origin["Origin"]


async def test_only_web_sockets_are_served(server: MediaServer) -> None:
    async with aiohttp.ClientSession() as client:
        for path in ("/rtc", "/rtc/v1"):
            async with client.get(f"{_http(server)}{path}") as answer:
                assert answer.status == 404
                assert "requested room does not exist" not in await answer.text()


async def test_attributes_need_the_permission_and_a_form(server: MediaServer, room: str) -> None:
    may = server.token(room, "ann", can_update_own_metadata=True)
    may_not = server.token(room, "ann")
    given = _attributes({"hand": "raised"})
    url = f"{_http(server)}/rtc/validate"
    async with aiohttp.ClientSession() as client:
        for token, attributes, status in ((may, given, 200), (may_not, given, 401), (may, "!!", 400)):
            async with client.get(url, params={"attributes": attributes}, headers=_bearer(token)) as answer:
                assert answer.status == status, attributes
        async with client.ws_connect(
            f"{server.url}/rtc", params=_PHONE | {"attributes": given}, headers=_bearer(may)
        ) as socket:
            assert dict((await received(socket, "join")).join.participant.attributes) == {"hand": "raised"}


async def test_a_resume_of_nobody_is_told_to_join_anew(server: MediaServer, room: str) -> None:
    query = _PHONE | {"reconnect": "1", "sid": "PA_nobody"}
    async with signal(server, server.token(room, "ann"), **query) as socket:
        leave = (await received(socket, "leave")).leave
        assert leave.action == leave.RECONNECT
        assert leave.can_reconnect
        assert (await socket.receive(timeout=20)).type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)


async def test_who_is_to_join_anew_closes_the_connection_itself(server: MediaServer, room: str) -> None:
    """The Rust SDK forgets that it is to join anew where the connection is closed for it while it resumes."""
    async with signal(server, server.token(room, "ann"), **_PHONE) as socket:
        await received(socket, "join")
        order = SignalRequest(simulate=SimulateScenario(leave_request_full_reconnect=True))
        await socket.send_bytes(order.SerializeToString())
        leave = (await received(socket, "leave")).leave
        assert leave.action == leave.RECONNECT
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=2)


async def test_a_client_that_writes_text_is_answered_in_text(server: MediaServer, room: str) -> None:
    async with signal(server, server.token(room, "ann"), **_PHONE) as socket:
        await received(socket, "join")
        await socket.send_str(json.dumps({"pingReq": {"timestamp": "5", "rtt": "0"}}))
        while (message := await socket.receive(timeout=20)).type is not aiohttp.WSMsgType.TEXT:
            pass
        assert json.loads(message.data)["pongResp"]["lastPingTimestamp"] == "5"


async def test_a_message_without_end_closes_that_connection_alone(server: MediaServer, room: str) -> None:
    async with joined(server, room, "bob") as bob:
        async with signal(server, server.token(room, "ann"), **_PHONE) as socket:
            await received(socket, "join")
            await socket.send_bytes(b"\x0a" * (2 * 1024 * 1024 + 1))
            while (await socket.receive(timeout=20)).type is aiohttp.WSMsgType.BINARY:
                pass
            assert socket.closed
        await bob.publish()


async def test_clients_of_both_paths_are_in_one_room(server: MediaServer, room: str) -> None:
    async with signal(server, server.token(room, "old"), **_PHONE) as socket:
        await received(socket, "join")
        async with joined(server, room, "new") as new:
            assert "old" in new.room.remote_participants
            update = (await received(socket, "update")).update
            assert update.participants[0].identity == "new"
            assert update.participants[0].state in (ParticipantInfo.JOINED, ParticipantInfo.ACTIVE)
        await socket.send_bytes(SignalRequest(leave={}).SerializeToString())
