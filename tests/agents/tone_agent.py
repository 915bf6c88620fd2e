"""A worker whose agents hear a tone and answer with one an octave higher. Runs with livekit-agents, outside our tests'
environment: `tone_agent.py <agent name>`, with LIVEKIT_URL, LIVEKIT_API_KEY and LIVEKIT_API_SECRET set.
"""

import asyncio
import logging
import math
import sys
from array import array
from itertools import pairwise

from livekit import rtc
from livekit.agents import AgentServer, AutoSubscribe, JobContext, JobExecutorType

RATE = 48_000
LISTEN_S = 0.5
LOUD = 1_000
"""Of 32,767: below this it is silence."""


def frequency(samples: array) -> float:
    """Of a pure tone, in Hz, by its zero crossings."""
    crossings = sum(1 for before, after in pairwise(samples) if before < 0 <= after)
    return crossings * RATE / max(1, len(samples))


async def heard(track: rtc.Track) -> float:
    """The frequency of half a second of it, once it is loud."""
    stream, samples = rtc.AudioStream(track, sample_rate=RATE, num_channels=1), array("h")
    try:
        async for event in stream:
            frame = array("h", bytes(event.frame.data))
            if samples or max(frame) > LOUD:
                samples.extend(frame)
            if len(samples) >= RATE * LISTEN_S:
                break
        return frequency(samples)
    finally:
        await stream.aclose()


async def answer(room: rtc.Room, hertz: float) -> None:
    source = rtc.AudioSource(RATE, 1)
    track = rtc.LocalAudioTrack.create_audio_track("answer", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_MICROPHONE)
    await room.local_participant.publish_track(track, options)
    size, position = RATE // 100, 0
    while True:
        angles = (math.tau * hertz * (position + sample) / RATE for sample in range(size))
        samples = array("h", (int(8_000 * math.sin(angle)) for angle in angles))
        position += size
        await source.capture_frame(rtc.AudioFrame(samples.tobytes(), RATE, 1, size))


async def entrypoint(job: JobContext) -> None:
    tracks: asyncio.Queue[rtc.Track] = asyncio.Queue()
    job.room.on("track_subscribed", lambda track, *_: tracks.put_nowait(track))
    await job.connect(auto_subscribe=AutoSubscribe.AUDIO_ONLY)
    hertz = await heard(await tracks.get())
    await answer(job.room, 2 * hertz)


def main() -> None:
    logging.basicConfig(level=logging.INFO)
    server = AgentServer(
        job_executor_type=JobExecutorType.THREAD,
        num_idle_processes=0,
        host="127.0.0.1",
        port=0,
        load_fnc=lambda *_: 0.0,  # the load of a machine that runs tests says nothing
    )
    server.rtc_session(entrypoint, agent_name=sys.argv[1])
    server.on("worker_registered", lambda *_: print("registered", flush=True))
    asyncio.run(server.run(devmode=True))


if __name__ == "__main__":
    main()
