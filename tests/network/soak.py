"""A call over a bad network for long: `python -m tests.network.soak --minutes 60 --loss 0.05 --silence 30`.

Every minute a line: what part of the audio and video arrived, the server's memory. Each minute's end brings the
silence asked for and a NAT that forgets; the exit status is 1 when the call did not come back.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from pathlib import Path

import psutil
from tests.compat.clients import joined
from tests.journeys.people import Call
from tests.network.conftest import Site, media_server
from tests.network.link import Impairment
from tests.network.relay import ENVIRONMENT, network
from tests.platform import running_platform

AUDIO_PER_S, VIDEO_PER_S = 100, 20
RECOVERY_S = 60.0
MINUTE_S = 60.0


async def received(call: Call, seconds: float) -> tuple[float, float]:
    """Shares of the audio (frames of 10 ms) and of `play_picture`'s video that were decoded during the next seconds."""
    audio, video, start = call.audio_frames, call.video_frames, time.monotonic()
    await asyncio.sleep(seconds)
    took = time.monotonic() - start
    return (call.audio_frames - audio) / (AUDIO_PER_S * took), (call.video_frames - video) / (VIDEO_PER_S * took)


async def soak(minutes: float, how: Impairment, silence: float) -> bool:
    """Whether the call came back every time."""
    with tempfile.TemporaryDirectory() as directory:
        async with running_platform(Path(directory) / "state", **ENVIRONMENT) as platform:
            ports = platform.media_udp_port, platform.media_tcp_port
            async with network(*ports) as between:
                site = Site(platform, media_server(platform), between)
                async with joined(site.server, "soak", "ann") as ann, joined(site.server, "soak", "bob") as bob:
                    await ann.publish()
                    await bob.sees_more()
                    between.impair(how)
                    return await _minutes(site, bob, minutes, silence)


async def _minutes(site: Site, bob: Call, minutes: float, silence: float) -> bool:
    server, end = psutil.Process(site.platform.pid), time.monotonic() + minutes * MINUTE_S
    while time.monotonic() < end:
        audio, video = await received(bob, min(MINUTE_S, max(end - time.monotonic(), 1.0)))
        memory = server.memory_info().rss / 1e6
        print(f"audio {audio:6.1%}  video {video:6.1%}  server {memory:.0f} MB", flush=True)
        if silence:
            site.network.open = False
            await asyncio.sleep(silence)
            site.network.open = True
        site.network.rebind()
        started = time.monotonic()
        try:
            async with asyncio.timeout(RECOVERY_S):
                await bob.sees_more()
        except TimeoutError:
            print(f"nothing arrived for {RECOVERY_S:.0f} s after {silence:.0f} s of silence", flush=True)
            return False
        print(f"back {time.monotonic() - started:.1f} s after {silence:.0f} s of silence", flush=True)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60.0)
    parser.add_argument("--loss", type=float, default=0.0, help="probability")
    parser.add_argument("--delay", type=float, default=0.02, help="seconds, each way")
    parser.add_argument("--jitter", type=float, default=0.0, help="seconds")
    parser.add_argument("--rate", type=int, default=0, help="bits per second, 0: without limit")
    parser.add_argument("--silence", type=float, default=0.0, help="seconds without any packet, every minute")
    chosen = parser.parse_args()
    how = Impairment(loss=chosen.loss, delay=chosen.delay, jitter=chosen.jitter, rate_bps=chosen.rate)
    sys.exit(0 if asyncio.run(soak(chosen.minutes, how, chosen.silence)) else 1)


if __name__ == "__main__":
    main()
