"""A subscriber whose line becomes narrow, and wide again: `python -m tests.network.narrow --kbps 500`.

One official client publishes a camera in three layers. What another one decodes behind the line is told second by
second: which layer, and how long the picture stood still at most.
"""

import argparse
import asyncio
import itertools
import random
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path as Folder

from livekit import rtc
from tests.compat.clients import holds, joined
from tests.journeys.people import CALL_TIMEOUT_S
from tests.network.conftest import Site, media_server
from tests.network.link import Impairment
from tests.network.relay import ENVIRONMENT, Path, network
from tests.platform import running_platform

WIDTH, HEIGHT = 960, 540
"""The smallest picture that the SDK sends in three layers."""
FRAMES_PER_S = 15
BLOCK = 20
CHANGED = 0.25
"""Part of the blocks that differ from one frame to the next: enough that each layer takes what it may."""
_PICTURES = 30
IN_A_ROW = 10
PATIENCE_S = 60.0


@dataclass
class Seen:
    """What came out of the decoder: when, and how wide."""

    frames: list[tuple[float, int]] = field(default_factory=list)
    came: asyncio.Event = field(default_factory=asyncio.Event)

    def since(self, start: float) -> list[tuple[float, int]]:
        return [frame for frame in self.frames if frame[0] >= start]

    def longest_stop(self, start: float) -> float:
        """Seconds between two frames since then, or since the last one."""
        times = [start, *(at for at, _ in self.since(start)), time.monotonic()]
        return max(after - before for before, after in itertools.pairwise(times))

    async def settles(self, what: str, wanted: Callable[[int], bool]) -> int:
        """The width, once so many frames in a row have one that is wanted."""
        try:
            async with asyncio.timeout(PATIENCE_S):
                while not self._recent(wanted):
                    self.came.clear()
                    await self.came.wait()
        except TimeoutError:
            widths = dict.fromkeys(width for _, width in self.frames)
            raise AssertionError(f"not in {PATIENCE_S:.0f} s: {what}; {len(self.frames)} frames, {widths}") from None
        return self.frames[-1][1]

    def add(self, width: int) -> None:
        self.frames.append((time.monotonic(), width))
        self.came.set()

    def _recent(self, wanted: Callable[[int], bool]) -> bool:
        last = self.frames[-IN_A_ROW:]
        return len(last) == IN_A_ROW and all(wanted(width) for _, width in last)


@dataclass
class Line:
    """The way of one subscriber, and what it sees."""

    path: Path
    seen: Seen

    def narrow(self, rate_bps: int) -> None:
        self.path.down.impairment = Impairment(rate_bps=rate_bps, delay=0.02)


@asynccontextmanager
async def watching(site: Site, room: str) -> AsyncIterator[Line]:
    """Bob behind a line of his own, who sees what Ann sends in three layers."""
    seen, tasks = Seen(), set[asyncio.Task[None]]()
    async with joined(site.server, room, "ann") as ann:
        await _publish(ann.room, tasks)
        others = set(site.network.paths)
        async with joined(site.server, room, "bob") as bob:
            publications = bob.room.remote_participants["ann"].track_publications
            await holds("the camera is there", lambda: any(each.track for each in publications.values()))
            tasks |= {asyncio.create_task(_watch(each.track, seen)) for each in publications.values() if each.track}
            await seen.settles("a large picture", lambda width: width >= WIDTH // 2)
            busiest = max(
                (path for address, path in site.network.paths.items() if address not in others),
                key=lambda path: path.down.counters["sent"],
            )
            try:
                yield Line(busiest, seen)
            finally:
                for task in tasks:
                    task.cancel()
                await asyncio.gather(*tasks, return_exceptions=True)


async def _publish(room: rtc.Room, tasks: set[asyncio.Task[None]]) -> None:
    source = rtc.VideoSource(WIDTH, HEIGHT)
    track = rtc.LocalVideoTrack.create_video_track("camera", source)
    options = rtc.TrackPublishOptions(source=rtc.TrackSource.SOURCE_CAMERA, simulcast=True)
    await asyncio.wait_for(room.local_participant.publish_track(track, options), CALL_TIMEOUT_S)
    tasks.add(asyncio.create_task(_play(source)))


async def _play(source: rtc.VideoSource) -> None:
    pictures = _pictures()
    number = 0
    while True:
        picture = pictures[number % len(pictures)]
        source.capture_frame(rtc.VideoFrame(WIDTH, HEIGHT, rtc.VideoBufferType.I420, picture))
        number += 1
        await asyncio.sleep(1 / FRAMES_PER_S)


def _pictures() -> list[bytes]:
    """Grey blocks; in each picture some of them change."""
    chance = random.Random(1)  # noqa: S311 (to be repeatable)
    rows = [[chance.randrange(40, 200) for _ in range(WIDTH // BLOCK)] for _ in range(HEIGHT // BLOCK)]
    pictures = []
    for _ in range(_PICTURES):
        for row in rows:
            for column in range(len(row)):
                if chance.random() < CHANGED:
                    row[column] = chance.randrange(40, 200)
        luma = b"".join(b"".join(bytes([level]) * BLOCK for level in row) * BLOCK for row in rows)
        pictures.append(luma + bytes([128]) * (WIDTH * HEIGHT // 2))
    return pictures


async def _watch(track: rtc.Track, seen: Seen) -> None:
    stream = rtc.VideoStream(track)
    try:
        async for event in stream:
            seen.add(event.frame.width)
    finally:
        await stream.aclose()


# --- from the command line --------------------------------------------------------------------------------------------


async def tell(line: Line, what: str, seconds: int) -> None:
    """Every second a line: the widths decoded, frames, kilobits that came, the longest stop."""
    begun = time.monotonic()
    for second in range(seconds):
        start, sent = time.monotonic(), line.path.down.counters["sent"]
        await asyncio.sleep(1.0)
        widths = [width for _, width in line.seen.since(start)]
        changes = "→".join(str(width) for width in dict.fromkeys(widths)) or "nothing"
        packets = line.path.down.counters["sent"] - sent
        lost = line.path.down.counters["overflowed"]
        print(f"{what} {second + 1:3} s: {changes:>12}  {len(widths):3} frames  {packets:4} packets, {lost} overflowed")
    print(f"{what}: the picture stood still for {line.seen.longest_stop(begun):.2f} s at most", flush=True)


async def scenario(kbps: int, seconds: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        async with (
            running_platform(Folder(directory) / "state", **ENVIRONMENT) as platform,
            network(platform.media_udp_port, platform.media_tcp_port) as between,
            watching(Site(platform, media_server(platform), between), "narrow") as line,
        ):
            await tell(line, "wide", 8)
            line.narrow(kbps * 1000)
            await tell(line, f"{kbps} kbit/s", seconds)
            line.narrow(0)
            await tell(line, "wide again", 30)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kbps", type=int, default=500)
    parser.add_argument("--seconds", type=int, default=20, help="how long the line is narrow")
    chosen = parser.parse_args()
    with suppress(KeyboardInterrupt):
        asyncio.run(scenario(chosen.kbps, chosen.seconds))


if __name__ == "__main__":
    main()
