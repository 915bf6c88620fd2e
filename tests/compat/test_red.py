"""Redundant audio (RED, RFC 2198) between official SDK clients. They send it where they are asked to, unless told
otherwise."""

import asyncio

from livekit import rtc
from tests.compat.clients import joined, told
from tests.compat.conftest import MediaServer, both_paths
from tests.compat.sound import hears_tone
from tests.journeys.people import SAMPLE_RATE, Call, play_tone

pytestmark = both_paths

TONE_HZ = 440


async def publish_tone(call: Call, *, red: bool) -> tuple[rtc.LocalAudioTrack, asyncio.Task[None]]:
    source = rtc.AudioSource(SAMPLE_RATE, 1)
    track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, red=red, dtx=False)
    await call.room.local_participant.publish_track(track, options)
    return track, asyncio.create_task(play_tone(source))


async def bytes_per_packet(track: rtc.Track) -> tuple[float, float]:
    """Payload of what was sent, and of what came: one of the two is 0."""
    sent = received = 0.0
    for stats in await track.get_stats():
        if stats.WhichOneof("stats") == "outbound_rtp":
            sent = stats.outbound_rtp.sent.bytes_sent / stats.outbound_rtp.sent.packets_sent
        elif stats.WhichOneof("stats") == "inbound_rtp":
            received = stats.inbound_rtp.inbound.bytes_received / stats.inbound_rtp.received.packets_received
    return sent, received


async def test_a_publisher_sends_each_packet_with_the_one_before_unless_it_wants_no_red(
    server: MediaServer, room: str
) -> None:
    sent: list[float] = []
    came: list[float] = []
    async with joined(server, room, "bob") as bob:
        for red, mime in ((False, "audio/opus"), (True, "audio/red")):
            subscribed = asyncio.create_task(told(bob.room, "track_subscribed"))
            async with joined(server, room, f"ann with{'' if red else 'out'} RED") as ann:
                microphone, playing = await publish_tone(ann, red=red)
                track, publication, _ = await subscribed
                await hears_tone(track, TONE_HZ)
                assert publication.mime_type.lower() == mime
                sent.append((await bytes_per_packet(microphone))[0])
                came.append((await bytes_per_packet(track))[1])
                playing.cancel()
    assert 1.5 < sent[1] / sent[0] < 4, sent
    assert 1.5 < came[1] / came[0] < 4, came
