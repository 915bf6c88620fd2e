"""Calls between official SDK clients."""

import asyncio

from livekit import rtc
from tests.compat.clients import holds, joined, told
from tests.compat.conftest import MediaServer, both_paths
from tests.journeys.people import CALL_TIMEOUT_S, SAMPLE_RATE, play_picture, play_tone

pytestmark = both_paths


async def test_everybody_is_seen_by_everybody(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        await holds("ann sees bob", lambda: "bob" in ann.room.remote_participants)
        assert ann.room.name == room
        assert bob.room.remote_participants["ann"].name == "Ann"


async def test_a_muted_microphone_is_shown_and_audible_again(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        await ann.publish()
        await bob.sees_more()
        microphone = next(p for p in ann.room.local_participant.track_publications.values() if p.kind == 1)
        muted = asyncio.create_task(told(bob.room, "track_muted"))
        await asyncio.sleep(0)
        assert isinstance(microphone.track, rtc.LocalAudioTrack)
        microphone.track.mute()
        await muted
        unmuted = asyncio.create_task(told(bob.room, "track_unmuted"))
        await asyncio.sleep(0)
        microphone.track.unmute()
        await unmuted
        await bob.sees_more()


async def test_an_unpublished_track_goes_away(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        await ann.publish()
        await bob.sees_more()
        gone = asyncio.create_task(told(bob.room, "track_unpublished"))
        await asyncio.sleep(0)
        sid = next(iter(ann.room.local_participant.track_publications))
        await ann.room.local_participant.unpublish_track(sid)
        await gone
        await holds("one track is left", lambda: len(bob.room.remote_participants["ann"].track_publications) == 1)


async def test_a_simulcast_camera_is_received(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        source = rtc.VideoSource(1280, 720)
        track = rtc.LocalVideoTrack.create_video_track("camera", source)
        options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, simulcast=True)
        await ann.room.local_participant.publish_track(track, options)
        picture = asyncio.create_task(play_picture(source, 1280, 720))
        await holds("pictures arrive", lambda: bob.video_frames > 20)
        publication = next(iter(bob.room.remote_participants["ann"].track_publications.values()))
        assert publication.simulcasted
        picture.cancel()


async def test_ten_microphones_and_ten_cameras_reach_the_other_side(server: MediaServer, room: str) -> None:
    """They begin to play when all are published: the SDK takes seconds for a publication beside busy encoders."""
    async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        sources = []
        for number in range(10):
            microphone, camera = rtc.AudioSource(SAMPLE_RATE, 1), rtc.VideoSource(160, 120)
            audio = rtc.LocalAudioTrack.create_audio_track(f"microphone {number}", microphone)
            video = rtc.LocalVideoTrack.create_video_track(f"camera {number}", camera)
            for track, source in (
                (audio, rtc.TrackSource.SOURCE_MICROPHONE),
                (video, rtc.TrackSource.SOURCE_CAMERA),
            ):
                options = rtc.TrackPublishOptions(source=source, simulcast=False)
                await asyncio.wait_for(ann.room.local_participant.publish_track(track, options), CALL_TIMEOUT_S)
            sources.append((microphone, camera))
        await holds("all are subscribed", lambda: _subscribed(bob, "ann") == 20)
        players = [
            asyncio.create_task(playing)
            for microphone, camera in sources
            for playing in (play_tone(microphone), play_picture(camera, 160, 120))
        ]
        await holds("all are heard and seen", lambda: len(bob.arrived) == 20)
        for player in players:
            player.cancel()


async def test_a_late_joiner_gets_everything(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        await ann.publish()
        await bob.publish()
        async with joined(server, room, "cyd") as late:
            await holds("all four tracks", lambda: _subscribed(late, "ann") + _subscribed(late, "bob") == 4)
            await late.sees_more()


async def test_nothing_is_sent_to_who_may_not_subscribe(server: MediaServer, room: str) -> None:
    async with (
        joined(server, room, "ann") as ann,
        joined(server, room, "deaf", can_subscribe=False) as deaf,
        joined(server, room, "bob") as bob,
    ):
        await ann.publish()
        await bob.sees_more()
        assert _subscribed(deaf, "ann") == 0
        assert deaf.audio_frames == deaf.video_frames == 0


async def test_the_second_of_an_identity_replaces_the_first(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as first, joined(server, room, "bob") as bob:
        ended = asyncio.create_task(told(first.room, "disconnected"))
        await asyncio.sleep(0)
        async with joined(server, room, "ann") as second:
            (reason,) = await ended
            assert reason == rtc.DisconnectReason.DUPLICATE_IDENTITY
            await second.publish()
            await bob.sees_more()


async def test_a_hidden_participant_is_seen_by_nobody(server: MediaServer, room: str) -> None:
    async with (
        joined(server, room, "ghost", hidden=True),
        joined(server, room, "ann") as ann,
        joined(server, room, "bob"),
    ):
        await holds("ann sees bob", lambda: "bob" in ann.room.remote_participants)
        assert "ghost" not in ann.room.remote_participants


async def test_who_speaks_is_told(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        speaking = asyncio.create_task(
            told(bob.room, "active_speakers_changed", lambda speakers: any(s.identity == "ann" for s in speakers))
        )
        await asyncio.sleep(0)
        await ann.publish()
        await speaking


async def test_what_may_be_taken_changes_during_the_call(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        await ann.publish()
        await bob.sees_more()
        ann.room.local_participant.set_track_subscription_permissions(allow_all_participants=False)
        async with asyncio.timeout(CALL_TIMEOUT_S):
            seen = -1
            while seen != bob.video_frames:
                seen = bob.video_frames
                await asyncio.sleep(1)
        ann.room.local_participant.set_track_subscription_permissions(allow_all_participants=True)
        await holds("pictures come again", lambda: bob.video_frames > seen + 10)


def _subscribed(call: object, identity: str) -> int:
    participants = call.room.remote_participants  # type: ignore[attr-defined]
    if identity not in participants:
        return 0
    return sum(1 for p in participants[identity].track_publications.values() if p.track is not None)
