"""Connections that break, on both paths: what was there is there again, and nothing else changed."""

import asyncio

import pytest
from livekit import api, rtc
from tests.compat.clients import holds, joined, told
from tests.compat.conftest import MediaServer, both_paths
from tests.compat.relays import signal_relay
from tests.journeys.people import SAMPLE_RATE, Call, play_tone

pytestmark = both_paths


async def publish_microphone(call: Call, name: str) -> "asyncio.Task[None]":
    source = rtc.AudioSource(SAMPLE_RATE, 1)
    track = rtc.LocalAudioTrack.create_audio_track(name, source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    await call.room.local_participant.publish_track(track, options)
    return asyncio.create_task(play_tone(source))


def subscribed(call: Call, identity: str) -> int:
    participants = call.room.remote_participants
    if identity not in participants:
        return 0
    return sum(1 for p in participants[identity].track_publications.values() if p.track is not None)


async def test_media_flows_while_the_signal_connection_is_away(server: MediaServer, room: str) -> None:
    async with (
        signal_relay(server) as (relay, relayed),
        joined(relayed, room, "ann") as ann,
        joined(server, room, "bob") as bob,
    ):
        await ann.publish()
        await bob.publish()
        await asyncio.gather(ann.sees_more(), bob.sees_more())
        before = ann.room.local_participant.sid
        back = asyncio.create_task(told(ann.room, "reconnected"))
        await relay.cut()
        # For less than the time in which the SDK gives a resume up.
        await asyncio.gather(ann.sees_more(15), bob.sees_more(15))
        relay.mend()
        await back
        assert ann.room.local_participant.sid == before, "this was not a resume"
        await asyncio.gather(ann.sees_more(30), bob.sees_more(30))


async def test_what_happened_while_one_was_away_is_known_when_it_is_back(server: MediaServer, room: str) -> None:
    async with (
        signal_relay(server) as (relay, relayed),
        joined(relayed, room, "ann") as ann,
        joined(server, room, "bob") as bob,
    ):
        async with joined(server, room, "cyd"):
            await holds("ann sees both", lambda: len(ann.room.remote_participants) == 2)
            back = asyncio.create_task(told(ann.room, "reconnected"))
            await relay.cut()
        player = await publish_microphone(bob, "new")
        async with joined(server, room, "dan") as dan:
            second = await publish_microphone(dan, "newer")
            relay.mend()
            await back
            await holds("cyd is gone", lambda: "cyd" not in ann.room.remote_participants)
            await holds("bob is heard", lambda: subscribed(ann, "bob") == 1)
            await holds("dan is heard", lambda: subscribed(ann, "dan") == 1)
            heard = ann.audio_frames
            await holds("sound arrives", lambda: ann.audio_frames > heard + 20)
            third = await publish_microphone(ann, "after")
            await holds("ann publishes as before", lambda: subscribed(bob, "ann") == 1)
            for task in (player, second, third):
                task.cancel()


async def test_a_connection_that_breaks_again_and_again_is_resumed(server: MediaServer, room: str) -> None:
    async with (
        signal_relay(server) as (relay, relayed),
        joined(relayed, room, "ann") as ann,
        joined(server, room, "bob") as bob,
    ):
        await ann.publish()
        await bob.publish()
        await asyncio.gather(ann.sees_more(), bob.sees_more())
        before = ann.room.local_participant.sid
        for _ in range(3):
            back = asyncio.create_task(told(ann.room, "reconnected"))
            await relay.cut()
            relay.mend()
            await back
            await asyncio.gather(ann.sees_more(), bob.sees_more())
        assert ann.room.local_participant.sid == before


async def test_a_session_that_was_removed_meanwhile_is_over(server: MediaServer, room: str) -> None:
    async with (
        signal_relay(server) as (relay, relayed),
        joined(relayed, room, "ann") as ann,
        joined(server, room, "bob") as bob,
    ):
        await holds("bob sees ann", lambda: "ann" in bob.room.remote_participants)
        before = ann.room.local_participant.sid
        back = asyncio.create_task(told(ann.room, "reconnected"))
        await relay.cut()
        async with server.api() as lkapi:
            await lkapi.room.remove_participant(api.RoomParticipantIdentity(room=room, identity="ann"))
        await holds("ann is gone", lambda: "ann" not in bob.room.remote_participants)
        relay.mend()
        # Its token still lets it in, as somebody new; the SDK tells of the reconnect before it names its new session.
        await back
        await holds("ann is somebody new", lambda: ann.room.local_participant.sid != before)


@pytest.mark.parametrize("scenario", [2, 4, 7], ids=["node_failure", "migration", "full_reconnect"])
async def test_a_full_reconnect_brings_everything_back(server: MediaServer, room: str, scenario: int) -> None:
    async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        await ann.publish()
        await bob.publish()
        await asyncio.gather(ann.sees_more(), bob.sees_more())
        before = ann.room.local_participant.sid
        back = asyncio.create_task(told(ann.room, "reconnected"))
        await asyncio.sleep(0)
        await ann.room.simulate_scenario(scenario)
        await back
        await holds("ann is somebody new", lambda: ann.room.local_participant.sid != before)
        await asyncio.gather(ann.sees_more(20), bob.sees_more(20))
