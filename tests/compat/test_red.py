"""Redundant audio (RED, RFC 2198) between official SDK clients. They ask for it unless told otherwise."""

import asyncio
from array import array
from itertools import pairwise

from livekit import rtc
from tests.compat.clients import joined, told
from tests.compat.conftest import MediaServer, both_paths
from tests.journeys.people import CALL_TIMEOUT_S, SAMPLE_RATE, Call, play_tone

pytestmark = both_paths

TONE_HZ = 440
LISTEN_SAMPLES = SAMPLE_RATE
LOUD = 1000


async def publish_tone(call: Call, *, red: bool) -> asyncio.Task[None]:
    source = rtc.AudioSource(SAMPLE_RATE, 1)
    track = rtc.LocalAudioTrack.create_audio_track("microphone", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE, red=red, dtx=False)
    await call.room.local_participant.publish_track(track, options)
    return asyncio.create_task(play_tone(source))


async def pitch_hz(track: rtc.Track) -> float:
    """Of the first second that is heard."""
    heard = array("h")
    stream = rtc.AudioStream(track, sample_rate=SAMPLE_RATE, num_channels=1)
    try:
        async with asyncio.timeout(CALL_TIMEOUT_S):
            async for event in stream:
                samples = array("h", bytes(event.frame.data))
                if max(samples) > LOUD:
                    heard.extend(samples)
                if len(heard) >= LISTEN_SAMPLES:
                    break
    finally:
        await stream.aclose()
    crossings = sum(before < 0 <= after for before, after in pairwise(heard))
    return crossings * SAMPLE_RATE / len(heard)


async def bytes_per_packet(track: rtc.Track) -> float:
    inbound = next(s.inbound_rtp for s in await track.get_stats() if s.WhichOneof("stats") == "inbound_rtp")
    return float(inbound.inbound.bytes_received / inbound.received.packets_received)


async def test_sound_comes_with_the_two_packets_before_unless_its_publisher_does_not_want_that(
    server: MediaServer, room: str
) -> None:
    sizes: list[float] = []
    async with joined(server, room, "bob") as bob:
        for red in (False, True):
            subscribed = asyncio.create_task(told(bob.room, "track_subscribed"))
            async with joined(server, room, f"ann with{'' if red else 'out'} RED") as ann:
                playing = await publish_tone(ann, red=red)
                track, *_ = await subscribed
                assert abs(await pitch_hz(track) - TONE_HZ) < TONE_HZ / 20
                sizes.append(await bytes_per_packet(track))
                playing.cancel()
    plain, redundant = sizes
    assert 2 < redundant / plain < 4, sizes
