"""Text and byte streams, remote procedures, and what servers send and call, between official SDK clients."""

import asyncio
import random
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from livekit import api, rtc
from tests.compat.clients import holds, joined, told
from tests.compat.conftest import MediaServer, both_paths
from tests.journeys.people import CALL_TIMEOUT_S, Call


@asynccontextmanager
async def three(server: MediaServer, room: str) -> AsyncIterator[tuple[Call, Call, Call]]:
    async with (
        joined(server, room, "ann") as ann,
        joined(server, room, "bob") as bob,
        joined(server, room, "cyd") as cyd,
    ):
        await holds("ann sees both", lambda: len(ann.room.remote_participants) == 2)
        yield ann, bob, cyd


def incoming_bytes(call: Call, topic: str) -> "asyncio.Future[tuple[rtc.ByteStreamInfo, bytes]]":
    """The next byte stream on the topic, whole."""
    arrived: asyncio.Future[tuple[rtc.ByteStreamInfo, bytes]] = asyncio.get_running_loop().create_future()
    tasks: list[asyncio.Task[None]] = []

    def on_stream(reader: rtc.ByteStreamReader, _: str) -> None:
        async def read() -> None:
            arrived.set_result((reader.info, b"".join([chunk async for chunk in reader])))

        tasks.append(asyncio.create_task(read()))

    call.room.register_byte_stream_handler(topic, on_stream)
    return arrived


@pytest.mark.parametrize("compress", [True, False])
async def test_a_file_of_megabytes_arrives_whole_at_all_it_is_for(
    server: MediaServer, room: str, tmp_path: Path, *, compress: bool
) -> None:
    file = tmp_path / "film.bin"
    file.write_bytes(random.Random(4).randbytes(5_000_000))  # noqa: S311 (test data)
    async with three(server, room) as (ann, bob, cyd):
        both = [incoming_bytes(bob, "film"), incoming_bytes(cyd, "film")]
        await ann.room.local_participant.send_file(
            str(file), topic="film", attributes={"year": "2026"}, compress=compress
        )
        for info, content in await asyncio.wait_for(asyncio.gather(*both), 60):
            assert content == file.read_bytes()
            assert (info.name, dict(info.attributes or {})["year"]) == ("film.bin", "2026")


@both_paths
async def test_a_stream_for_one_reaches_nobody_else(server: MediaServer, room: str) -> None:
    async with three(server, room) as (ann, bob, cyd):
        bobs, cyds = incoming_bytes(bob, "note"), incoming_bytes(cyd, "note")
        writer = await ann.room.local_participant.stream_bytes("note.bin", topic="note", destination_identities=["bob"])
        for number in range(100):
            await writer.write(bytes([number]) * 1_000)
        await writer.aclose()
        _, content = await asyncio.wait_for(bobs, CALL_TIMEOUT_S)
        assert content == b"".join(bytes([number]) * 1_000 for number in range(100))
        await ann.say(b"after")
        await cyd.hears(b"after")
        assert not cyds.done()


async def test_a_conversation_by_text_streams_keeps_its_order(server: MediaServer, room: str) -> None:
    async with three(server, room) as (ann, bob, _):
        streams: asyncio.Queue[tuple[str, asyncio.Task[str]]] = asyncio.Queue()

        def on_stream(reader: rtc.TextStreamReader, identity: str) -> None:
            streams.put_nowait((identity, asyncio.create_task(reader.read_all())))

        bob.room.register_text_stream_handler("lk.chat", on_stream)
        for number in range(20):
            await ann.room.local_participant.send_text(f"line {number} ü", topic="lk.chat")
        for number in range(20):
            identity, text = await asyncio.wait_for(streams.get(), CALL_TIMEOUT_S)
            assert (identity, await text) == ("ann", f"line {number} ü")


@both_paths
async def test_a_remote_procedure_takes_and_gives_large_payloads_and_many_at_once(
    server: MediaServer, room: str
) -> None:
    async with three(server, room) as (ann, bob, _):

        @bob.room.local_participant.register_rpc_method("reverse")
        async def reverse(call: rtc.RpcInvocationData) -> str:
            assert call.caller_identity == "ann"
            return call.payload[::-1]

        async def perform(payload: str) -> str:
            return await ann.room.local_participant.perform_rpc(
                destination_identity="bob", method="reverse", payload=payload
            )

        payloads = ["x" * 14_000 + str(number) for number in range(20)]
        answers = await asyncio.gather(*(perform(payload) for payload in payloads))
        assert answers == [payload[::-1] for payload in payloads]


async def test_a_remote_procedure_that_fails_says_how(server: MediaServer, room: str) -> None:
    async with three(server, room) as (ann, bob, _):

        @bob.room.local_participant.register_rpc_method("fail")
        async def fail(_: rtc.RpcInvocationData) -> str:
            raise rtc.RpcError(2_000, "my own", "data")

        @bob.room.local_participant.register_rpc_method("sleep")
        async def sleep(_: rtc.RpcInvocationData) -> str:
            await asyncio.sleep(30)
            return ""

        async def code(method: str, to: str = "bob", **options: Any) -> int:
            with pytest.raises(rtc.RpcError) as failed:
                await ann.room.local_participant.perform_rpc(
                    destination_identity=to, method=method, payload="", **options
                )
            return int(failed.value.code)

        assert await code("fail") == 2_000
        assert await code("unknown") == rtc.RpcError.ErrorCode.UNSUPPORTED_METHOD
        assert await code("sleep", response_timeout=2.0) == rtc.RpcError.ErrorCode.RESPONSE_TIMEOUT
        assert await code("fail", to="nobody", response_timeout=4.0) in (
            rtc.RpcError.ErrorCode.CONNECTION_TIMEOUT,
            rtc.RpcError.ErrorCode.RECIPIENT_NOT_FOUND,
        )


@both_paths
async def test_a_server_calls_a_participant(server: MediaServer, room: str) -> None:
    async with three(server, room) as (_, bob, _cyd), aiohttp.ClientSession() as http:

        @bob.room.local_participant.register_rpc_method("shout")
        async def shout(call: rtc.RpcInvocationData) -> str:
            return call.payload.upper()

        @bob.room.local_participant.register_rpc_method("sleep")
        async def sleep(_: rtc.RpcInvocationData) -> str:
            await asyncio.sleep(30)
            return ""

        async def call(*, admin: bool = True, **fields: Any) -> tuple[int, dict[str, Any]]:
            grants = api.VideoGrants(room_admin=admin, room=room)
            token = api.AccessToken(server.key, server.secret).with_grants(grants).to_jwt()
            request = {"room": room, "destinationIdentity": "bob", "method": "shout", "payload": "hello"} | fields
            async with http.post(
                server.url.replace("ws", "http", 1) + "/twirp/livekit.RoomService/PerformRpc",
                json=request,
                headers={"Authorization": f"Bearer {token}"},
            ) as answer:
                return answer.status, await answer.json()

        assert await call() == (200, {"payload": "HELLO"})
        outcomes = {
            "unauthenticated": await call(admin=False),
            "invalid_argument": await call(method="none"),
            "unavailable": await call(destinationIdentity="nobody"),
            "canceled": await call(method="sleep", responseTimeoutMs=1_000),
        }
        assert {name: outcome[1]["code"] for name, outcome in outcomes.items()} == {name: name for name in outcomes}
        assert [outcome[0] for outcome in outcomes.values()] == [401, 400, 503, 408]
        assert "RpcError 1400" in outcomes["invalid_argument"][1]["msg"]


async def test_a_servers_message_with_a_known_nonce_arrives_once(server: MediaServer, room: str) -> None:
    # The official client makes a fresh nonce for every call; one repeated by somebody on the way has the old.
    async with three(server, room) as (_, bob, cyd), aiohttp.ClientSession() as http:
        token = api.AccessToken(server.key, server.secret).with_grants(api.VideoGrants(room_admin=True, room=room))

        async def send(data: bytes, **fields: Any) -> int:
            async with http.post(
                server.url.replace("ws", "http", 1) + "/twirp/livekit.RoomService/SendData",
                data=api.SendDataRequest(room=room, data=data, **fields).SerializeToString(),
                headers={"Authorization": f"Bearer {token.to_jwt()}", "Content-Type": "application/protobuf"},
            ) as answer:
                return answer.status

        nonce = uuid.uuid4().bytes
        assert [await send(b"once", nonce=nonce) for _ in range(2)] == [200, 200]
        assert await send(b"to cyd", destination_identities=["cyd"]) == 200
        assert await send(b"last") == 200
        assert await send(b"x", nonce=b"short") == 400
        assert [await bob.messages.get() for _ in range(2)] == [b"once", b"last"]
        assert [await cyd.messages.get() for _ in range(3)] == [b"once", b"to cyd", b"last"]


async def test_tones_reach_others(server: MediaServer, room: str) -> None:
    async with three(server, room) as (ann, bob, _):
        heard = asyncio.create_task(told(bob.room, "sip_dtmf_received"))
        await asyncio.sleep(0)
        await ann.room.local_participant.publish_dtmf(code=5, digit="5")
        (tone,) = await heard
        assert (tone.code, tone.digit, tone.participant.identity) == (5, "5", "ann")


async def test_lossy_messages_flow_beside_a_large_stream(server: MediaServer, room: str) -> None:
    """Neither channel waits for the other to be done."""
    async with three(server, room) as (ann, bob, _):
        film = incoming_bytes(bob, "film")
        content = random.Random(5).randbytes(3_000_000)  # noqa: S311 (test data)
        sending = asyncio.create_task(
            ann.room.local_participant.send_bytes(content, topic="film", name="film", compress=False)
        )
        sent = 0
        while not film.done() and sent < 3_000:
            await ann.room.local_participant.publish_data(b"%d" % sent, reliable=False)
            sent += 1
            await asyncio.sleep(0.005)
        await sending
        assert (await asyncio.wait_for(film, 60))[1] == content
        await asyncio.sleep(0.5)
        got = [int(bob.messages.get_nowait()) for _ in range(bob.messages.qsize())]
        assert len(got) > sent * 0.8
        assert got == sorted(set(got))
