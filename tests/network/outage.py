"""The control plane away under running rooms: PostgreSQL and the gateway are stopped, the media server runs on alone.

A scenario for the suite (seconds) and for the command line: `python -m tests.network.outage --rooms 20 --seconds 600`.
"""

import argparse
import asyncio
import contextlib
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
from tests.journeys.people import Call, OpenRoom, Person, Ticket
from tests.platform import Platform, free_ports

WITH_MEDIA = 2
"""Rooms in which audio and video are sent; decoding them in all would only show how fast this machine is."""
STAYS = 3
"""Host, guest, and a guest who comes during the outage."""


@dataclass
class Scene:
    room: OpenRoom
    host: Call = field(default_factory=Call)
    guest: Call = field(default_factory=Call)
    late: Call = field(default_factory=Call)
    late_ticket: Ticket | None = None

    async def talk(self, word: bytes) -> None:
        await self.host.say(word)
        await self.guest.hears(word)


async def outage(directory: Path, rooms: int, seconds: float, tell: Callable[[str], object]) -> None:
    """Raises AssertionError for whatever is not as promised."""
    async with split_platform(directory) as control, AsyncExitStack() as stack:
        person = await stack.enter_async_context(await Person.sign_up(control.url))
        scenes = [Scene(await person.create_room()) for _ in range(rooms)]
        for scene in scenes:
            await _enter(scene, stack)
        for scene in scenes[:WITH_MEDIA]:
            await scene.host.publish()
            await scene.guest.sees_more()
        tell(f"{rooms} rooms, {2 * rooms} participants")
        await control.stop()
        tell("the gateway and PostgreSQL are stopped")
        await _go_on(scenes, seconds, stack)
        tell(f"{seconds:.0f} s later all calls are up, {rooms} more joined and as many left")
        await control.start()
        await person.refresh()
        await asyncio.gather(*(_events_are_complete(person, scene) for scene in scenes))
        tell("all events are there, in order")
        for scene in scenes:
            await scene.host.say(b"at the end")
            await scene.late.hears(b"at the end")
            assert not scene.host.disconnected.is_set()
            assert not scene.late.disconnected.is_set()


async def _enter(scene: Scene, stack: AsyncExitStack) -> None:
    for call, ticket in ((scene.host, await scene.room.host()), (scene.guest, await scene.room.guest())):
        await stack.enter_async_context(call)
        await call.join(ticket)
    scene.late_ticket = await scene.room.guest()
    await stack.enter_async_context(scene.late)


async def _go_on(scenes: list[Scene], seconds: float, stack: AsyncExitStack) -> None:
    """Calls go on, the late guests come with their tokens, the first ones leave."""
    end = time.monotonic() + seconds
    for scene in scenes:
        assert scene.late_ticket is not None
        await scene.late.join(scene.late_ticket)
    while time.monotonic() < end:
        for scene in scenes:
            await scene.talk(b"still here")
        await asyncio.sleep(1.0)
    for scene in scenes[:WITH_MEDIA]:
        await asyncio.gather(scene.guest.sees_more(), scene.late.sees_more())
    for scene in scenes:
        assert not scene.guest.disconnected.is_set()
        await scene.guest.close()


async def _events_are_complete(person: Person, scene: Scene) -> None:
    await person.event(scene.room.id, "participant.left", count=1)
    await person.event(scene.room.id, "participant.joined", count=STAYS)
    events = await person.events(scene.room.id)
    assert [event["sequence"] for event in events] == list(range(1, len(events) + 1)), "there is a gap"
    kinds = [event["type"] for event in events]
    assert kinds.count("participant.joined") == STAYS
    assert kinds.count("participant.left") == 1
    assert kinds.index("room.started") < kinds.index("participant.joined")
    (left,) = (event for event in events if event["type"] == "participant.left")
    stay = [e["type"] for e in events if _participant(e) == _participant(left)]
    assert (stay[0], stay[-1]) == ("participant.joined", "participant.left")


def _participant(event: dict[str, Any]) -> str | None:
    participant: str | None = event["data"].get("participant")
    return participant


@asynccontextmanager
async def split_platform(directory: Path) -> AsyncIterator[Platform]:
    """The control plane, which may be stopped and started, with its media server in a process of its own."""
    gateway, media, tcp, udp = free_ports(4)
    pair = {"AURALINK_LIVEKIT_API_KEY": "APIoutage", "AURALINK_LIVEKIT_API_SECRET": secrets.token_hex(24)}
    url = {"AURALINK_LIVEKIT_URL": f"ws://127.0.0.1:{media}", "AURALINK_GATEWAY_PORT": str(gateway)}
    control = Platform(state=directory / "control", environment=pair | url)
    environment = pair | {
        "AURALINK_STATE_DIR": str(directory / "media"),
        "AURALINK_MEDIA_PORT": str(media),
        "AURALINK_MEDIA_TCP_PORT": str(tcp),
        "AURALINK_MEDIA_UDP_PORT": str(udp),
        "AURALINK_MEDIA_GATEWAY_URL": f"http://127.0.0.1:{gateway}",
    }
    with (directory / "media.log").open("ab") as output:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "auralink.cli", "serve", "media"),
            env=os.environ | environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=directory,
        )
    try:
        await _alive(media, process)
        await control.start()
        yield control
    finally:
        with contextlib.suppress(AssertionError):
            await control.stop()
        process.terminate()
        await asyncio.wait_for(process.wait(), 30)


async def _alive(port: int, process: asyncio.subprocess.Process) -> None:
    async with asyncio.timeout(60), httpx.AsyncClient() as client:
        while True:
            assert process.returncode is None, "the media server did not start"
            try:
                await client.get(f"http://127.0.0.1:{port}/livez")
            except httpx.TransportError:
                await asyncio.sleep(0.1)
            else:
                return


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rooms", type=int, default=20)
    parser.add_argument("--seconds", type=float, default=600.0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        asyncio.run(outage(Path(directory), chosen.rooms, chosen.seconds, lambda line: print(line, flush=True)))


if __name__ == "__main__":
    main()
