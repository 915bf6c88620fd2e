"""Data tracks between official SDK clients."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from livekit import rtc
from livekit.rtc.participant import PublishDataTrackError
from tests.compat.clients import holds, joined, told
from tests.compat.conftest import MediaServer, both_paths
from tests.compat.relays import signal_relay
from tests.journeys.people import CALL_TIMEOUT_S, Call

pytestmark = both_paths


async def published(who: Call, others: list[Call], name: str) -> tuple[rtc.LocalDataTrack, list[rtc.RemoteDataTrack]]:
    """A data track, and how each of the others sees it."""
    waiting = [asyncio.create_task(told(other.room, "data_track_published")) for other in others]
    await asyncio.sleep(0)
    track = await asyncio.wait_for(who.room.local_participant.publish_data_track(name=name), CALL_TIMEOUT_S)
    return track, [remote for (remote,) in await asyncio.gather(*waiting)]


@asynccontextmanager
async def pushing(track: rtc.LocalDataTrack) -> AsyncIterator[None]:
    """Frames of their number, all the while; some are lost while nobody is subscribed yet."""

    async def push() -> None:
        number = 0
        while True:
            track.try_push(rtc.DataTrackFrame(payload=b"%d" % number, user_timestamp=number))
            number += 1
            await asyncio.sleep(0.02)

    task = asyncio.create_task(push())
    try:
        yield
    finally:
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


async def frames(stream: rtc.DataTrackStream, count: int) -> list[int]:
    async with asyncio.timeout(CALL_TIMEOUT_S):
        return [int((await anext(stream)).payload) for _ in range(count)]


async def test_frames_reach_those_who_subscribed(server: MediaServer, room: str) -> None:
    async with (
        joined(server, room, "ann") as ann,
        joined(server, room, "bob") as bob,
        joined(server, room, "cyd") as cyd,
    ):
        await holds("ann sees both", lambda: len(ann.room.remote_participants) == 2)
        track, (seen_by_bob, seen_by_cyd) = await published(ann, [bob, cyd], "position")
        assert track.info.sid == seen_by_bob.info.sid == seen_by_cyd.info.sid
        assert (seen_by_bob.info.name, seen_by_bob.publisher_identity) == ("position", "ann")
        streams = [seen_by_bob.subscribe(), seen_by_cyd.subscribe()]
        async with pushing(track):
            got = await asyncio.gather(*(frames(stream, 20) for stream in streams))
        for numbers in got:
            assert numbers == sorted(set(numbers))


async def test_a_frame_larger_than_a_packet_arrives_whole(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        await holds("ann sees bob", lambda: "bob" in ann.room.remote_participants)
        track, (remote,) = await published(ann, [bob], "pictures")
        stream = remote.subscribe()
        payload = bytes(range(256)) * 200

        async def push() -> None:
            while True:
                track.try_push(rtc.DataTrackFrame(payload=payload))
                await asyncio.sleep(0.05)

        task = asyncio.create_task(push())
        got = await asyncio.wait_for(anext(stream), CALL_TIMEOUT_S)
        task.cancel()
        assert got.payload == payload


async def test_who_comes_later_sees_the_track_and_everybody_its_end(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as ann:
        track = await ann.room.local_participant.publish_data_track(name="early")
        late = Call()
        seen = asyncio.create_task(told(late.room, "data_track_published"))
        async with joined(server, room, "bob", call=late):
            (remote,) = await seen
            stream = remote.subscribe()
            async with pushing(track):
                await frames(stream, 5)
            ended = asyncio.create_task(told(late.room, "data_track_unpublished"))
            await asyncio.sleep(0)
            await track.unpublish()
            assert (await ended) == (track.info.sid,)
            assert not track.is_published()


async def test_two_tracks_of_one_name_are_refused(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as ann, joined(server, room, "bob", can_publish_data=False) as bob:
        first = await ann.room.local_participant.publish_data_track(name="position")
        with pytest.raises(PublishDataTrackError):
            await ann.room.local_participant.publish_data_track(name="position")
        with pytest.raises(PublishDataTrackError):
            await bob.room.local_participant.publish_data_track(name="position")
        assert first.is_published()


@pytest.mark.parametrize("whose", ["ann", "bob"])
async def test_a_data_track_lives_through_a_resume(server: MediaServer, room: str, whose: str) -> None:
    async with signal_relay(server) as (relay, relayed):
        ways = {"ann": server, "bob": server} | {whose: relayed}
        async with joined(ways["ann"], room, "ann") as ann, joined(ways["bob"], room, "bob") as bob:
            await holds("ann sees bob", lambda: "bob" in ann.room.remote_participants)
            track, (remote,) = await published(ann, [bob], "position")
            stream = remote.subscribe()
            async with pushing(track):
                await frames(stream, 5)
                back = asyncio.create_task(told({"ann": ann, "bob": bob}[whose].room, "reconnected"))
                await relay.cut()
                await asyncio.sleep(1)  # meanwhile the publishing client sends nothing, by its own choice
                relay.mend()
                await back
                await frames(stream, 20)
            assert track.is_published()
            assert remote.is_published()
