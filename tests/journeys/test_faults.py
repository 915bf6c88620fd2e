"""What must survive: a database that stops, clients that vanish, noise on the media port, many joins, a sudden end."""

import asyncio
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import psutil
import pytest
import pytest_asyncio
from tests.journeys.people import Call, OpenRoom, Person, Ticket
from tests.platform import Platform, eventually, running_platform, signal_all

DATABASE_AWAY_S = 30.0
RANDOM_DATAGRAMS = 100_000
THREAD_POOL = min(32, (os.cpu_count() or 1) + 4)
"""asyncio's own pool makes its threads when first needed, so it may still be growing; it ends here."""


@pytest_asyncio.fixture
async def own_platform(state: Path) -> AsyncIterator[Platform]:
    """One that the test may break."""
    async with running_platform(state) as running:
        yield running


@pytest.mark.timeout(240)
async def test_a_call_goes_on_and_joins_work_while_the_database_is_away(own_platform: Platform) -> None:
    async with await Person.sign_up(own_platform.url) as person, Call() as alice, Call() as bob, Call() as carol:
        room = await person.create_room()
        late = await room.guest()
        await alice.join(await room.host())
        await bob.join(await room.guest())
        await alice.publish()
        await bob.sees_more()
        async with database_away(own_platform) as gone:
            assert await _unready_because(own_platform) == {"database"}
            await carol.join(late)
            await carol.sees_more()
            await bob.close()
            await gone
            await carol.sees_more()
        await _until_ready(own_platform)
        await person.event(room.id, "participant.joined", count=3)
        await person.event(room.id, "participant.left")
        events = await person.events(room.id)
        assert [event["sequence"] for event in events] == list(range(1, len(events) + 1))
        await carol.sees_more()


async def test_a_client_that_vanishes_is_seen_leaving(person: Person) -> None:
    room = await person.create_room()
    async with Call() as stays:
        await stays.join(await room.host())
        ticket = await room.guest()
        vanishing = await _join_elsewhere(ticket)
        await person.event(room.id, "participant.joined", count=2)
        vanishing.kill()
        await vanishing.wait()
        assert await asyncio.wait_for(stays.left.get(), 60) == ticket.identity
        await person.event(room.id, "participant.left")


async def test_random_datagrams_do_not_disturb_a_call(platform: Platform, person: Person) -> None:
    room = await person.create_room()
    async with Call() as alice, Call() as bob:
        await alice.join(await room.host())
        await bob.join(await room.guest())
        await alice.publish()
        await bob.sees_more()
        await asyncio.to_thread(_send_noise, platform.media_udp_port)
        await bob.sees_more()
        await alice.say(b"still here")
        await bob.hears(b"still here")
        assert not alice.disconnected.is_set()
        assert not bob.disconnected.is_set()


async def test_many_joins_and_leaves_leave_nothing_behind(platform: Platform, person: Person) -> None:
    room = await person.create_room()
    for _ in range(5):
        await _come_and_go(room)  # whatever is made once is made now
    server = psutil.Process(platform.pid)
    threads, descriptors = server.num_threads(), server.num_fds()
    for _ in range(50):
        await _come_and_go(room)
    await eventually("no thread is left by a participant", lambda: server.num_threads() <= threads + THREAD_POOL)
    await eventually("no more descriptors than before", lambda: server.num_fds() <= descriptors)
    await person.event(room.id, "participant.left", count=55)


@pytest.mark.timeout(240)
async def test_a_killed_platform_recovers_with_everything_committed(own_platform: Platform) -> None:
    async with await Person.sign_up(own_platform.url) as person:
        room = await person.create_room()
        async with Call() as call:
            await call.join(await room.host())
            await person.event(room.id, "participant.joined")
            await own_platform.kill()
        await own_platform.start()
        kept = await person.client.get(f"/rooms/{room.id}")
        assert kept.status_code == httpx.codes.OK
        async with Call() as alice, Call() as bob:
            await alice.join(await room.host())
            await bob.join(await room.guest())
            await alice.publish()
            await bob.sees_more()


@pytest.mark.timeout(240)
async def test_two_copies_run_side_by_side(platform: Platform, own_platform: Platform) -> None:
    for copy in (platform, own_platform):
        async with await Person.sign_up(copy.url) as person, Call() as call:
            room = await person.create_room()
            await call.join(await room.host())
            await person.event(room.id, "participant.joined")


class database_away:  # noqa: N801 (used as a verb)
    """Stops PostgreSQL's processes in their tracks and lets them go on at the end. Its value can be awaited: the time
    the database stays away has passed."""

    def __init__(self, platform: Platform) -> None:
        self._platform = platform
        self._stopped: list[psutil.Process] = []

    async def __aenter__(self) -> asyncio.Task[None]:
        self._stopped = self._platform.postgres()
        assert self._stopped, "the platform has no PostgreSQL of its own"
        signal_all(self._stopped, signal.SIGSTOP)
        return asyncio.create_task(asyncio.sleep(DATABASE_AWAY_S))

    async def __aexit__(self, *_: object) -> None:
        signal_all(self._stopped, signal.SIGCONT)


async def _unready_because(platform: Platform) -> set[str]:
    """The checks that /readyz says fail, once it says so."""
    async with asyncio.timeout(DATABASE_AWAY_S):
        answer = await _readiness(platform, httpx.codes.SERVICE_UNAVAILABLE)
    return {name for name, check in answer.json()["checks"].items() if not check["ok"]}


async def _until_ready(platform: Platform) -> None:
    async with asyncio.timeout(60):
        await _readiness(platform, httpx.codes.OK)


async def _readiness(platform: Platform, wanted: int) -> httpx.Response:
    while True:
        answer = await platform.readiness()
        if answer.status_code == wanted:
            return answer
        await asyncio.sleep(0.2)


async def _come_and_go(room: OpenRoom) -> None:
    async with Call() as call:
        await call.join(await room.guest())


async def _join_elsewhere(ticket: Ticket) -> asyncio.subprocess.Process:
    """A client in a process of its own, connected, that can be killed."""
    program = (
        "import asyncio, os\n"
        "from livekit import rtc\n"
        "async def main():\n"
        "    room = rtc.Room()\n"
        "    await room.connect(os.environ['URL'], os.environ['TOKEN'])\n"
        "    print('connected', flush=True)\n"
        "    await asyncio.Event().wait()\n"
        "asyncio.run(main())\n"
    )
    environment = os.environ | {"URL": ticket.url, "TOKEN": ticket.token}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, env=environment, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await asyncio.wait_for(process.stdout.readline(), 30) == b"connected\n"
    return process


def _send_noise(port: int) -> None:
    """Seeded, of every first byte the port tells apart: STUN, DTLS, RTP and RTCP, and nothing at all."""
    source = random.Random(20261123)  # noqa: S311 (noise, not secrets)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("127.0.0.1", port))
        for number in range(RANDOM_DATAGRAMS):
            length = source.randrange(0, 200) if number % 100 else source.randrange(0, 1500)
            sender.send(source.randbytes(length))
