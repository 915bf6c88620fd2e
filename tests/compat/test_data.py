"""Data between official SDK clients: packets, streams, RPC."""

import asyncio

import pytest
from livekit import rtc
from livekit.rtc.participant import PublishDataError
from tests.compat.clients import holds, joined, told
from tests.compat.conftest import MediaServer, both_paths

pytestmark = both_paths


async def test_packets_reach_all_others_or_those_named(server: MediaServer, room: str) -> None:
    async with (
        joined(server, room, "ann") as ann,
        joined(server, room, "bob") as bob,
        joined(server, room, "cyd") as cyd,
    ):
        await holds("ann sees both", lambda: len(ann.room.remote_participants) == 2)
        await ann.say(b"to all")
        await bob.hears(b"to all")
        await cyd.hears(b"to all")
        await ann.room.local_participant.publish_data(b"to bob", destination_identities=["bob"])
        await ann.say(b"to all again")
        await bob.hears(b"to bob")
        assert await asyncio.wait_for(cyd.messages.get(), 10) == b"to all again"


async def test_the_sender_is_the_one_the_server_knows(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        await holds("ann sees bob", lambda: "bob" in ann.room.remote_participants)
        got = asyncio.create_task(told(bob.room, "data_received"))
        await asyncio.sleep(0)
        await ann.room.local_participant.publish_data(b"hi", topic="greeting")
        (packet,) = await got
        assert packet.participant is not None
        assert (packet.participant.identity, packet.topic) == ("ann", "greeting")


async def test_who_may_not_publish_data_is_not_heard(server: MediaServer, room: str) -> None:
    async with (
        joined(server, room, "mute", can_publish_data=False) as mute,
        joined(server, room, "ann") as ann,
        joined(server, room, "bob") as bob,
    ):
        await holds(
            "all see bob", lambda: "bob" in mute.room.remote_participants and "bob" in ann.room.remote_participants
        )
        await mute.room.local_participant.publish_data(b"forbidden")
        await ann.say(b"allowed")
        assert await asyncio.wait_for(bob.messages.get(), 10) == b"allowed"


async def test_a_text_stream_arrives_whole(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        await holds("ann sees bob", lambda: "bob" in ann.room.remote_participants)
        arrived: asyncio.Future[str] = asyncio.get_running_loop().create_future()

        def on_stream(reader: rtc.TextStreamReader, identity: str) -> None:
            async def read() -> None:
                arrived.set_result(await reader.read_all())

            tasks.append(asyncio.create_task(read()))

        tasks: list[asyncio.Task[None]] = []
        bob.room.register_text_stream_handler("poem", on_stream)
        text = "a long line of text, " * 5_000
        await ann.room.local_participant.send_text(text, topic="poem")
        assert await asyncio.wait_for(arrived, 30) == text


async def test_a_remote_procedure_answers(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        await holds("ann sees bob", lambda: "bob" in ann.room.remote_participants)

        @bob.room.local_participant.register_rpc_method("shout")
        async def shout(call: rtc.RpcInvocationData) -> str:
            return call.payload.upper()

        answer = await ann.room.local_participant.perform_rpc(
            destination_identity="bob", method="shout", payload="hello"
        )
        assert answer == "HELLO"


async def test_metadata_and_attributes_are_shared_by_who_may_change_them(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann", can_update_own_metadata=True) as ann, joined(server, room, "bob") as bob:
        await holds("bob sees ann", lambda: "ann" in bob.room.remote_participants)
        await ann.room.local_participant.set_attributes({"mood": "good"})
        await ann.room.local_participant.set_metadata("about me")
        seen = bob.room.remote_participants["ann"]
        await holds("attributes arrive", lambda: dict(seen.attributes).get("mood") == "good")
        await holds("metadata arrives", lambda: seen.metadata == "about me")


async def test_a_message_that_is_too_large_is_refused_and_the_next_one_arrives(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        await holds("ann sees bob", lambda: "bob" in ann.room.remote_participants)
        with pytest.raises(PublishDataError):
            await ann.say(bytes(100_000))
        await ann.say(bytes(60_000))
        assert await asyncio.wait_for(bob.messages.get(), 10) == bytes(60_000)
