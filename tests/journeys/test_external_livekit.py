"""The control plane with a LiveKit server in the place of our media role: only settings change.

`make test` looks for the binary in LIVEKIT_SERVER_BINARY and as `livekit-server`. Where there is none, the file has no
tests, and the report's header says so.
"""

import asyncio
import os
import secrets
import shutil
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
from tests.journeys.people import Call, Person
from tests.platform import free_ports, listening, running_platform

BINARY = os.environ.get("LIVEKIT_SERVER_BINARY") or shutil.which("livekit-server")
KEY = "journeykey"

if BINARY is not None:
    SERVER = Path(BINARY)

    async def test_the_programs_journey_runs_against_a_livekit_server(state: Path) -> None:
        gateway_port = free_ports(1)[0]
        secret = secrets.token_hex(24)
        async with (
            livekit_server(SERVER, secret, gateway_port, state.parent) as url,
            running_platform(
                state,
                AURALINK_LIVEKIT_URL=url,
                AURALINK_LIVEKIT_API_KEY=KEY,
                AURALINK_LIVEKIT_API_SECRET=secret,
                AURALINK_GATEWAY_PORT=str(gateway_port),
            ) as platform,
            await Person.sign_up(platform.url) as person,
        ):
            assert not listening(platform.media_port), "our own media server runs beside the named one"
            room = await person.create_room()
            host, guest = await room.host(), await room.guest()
            assert host.url == url
            async with Call() as alice, Call() as bob:
                await alice.join(host)
                await bob.join(guest)
                await alice.publish()
                await bob.publish()
                await alice.sees_more()
                await bob.sees_more()
                await alice.say(b"hello")
                await bob.hears(b"hello")
                listed = await person.client.get(f"/rooms/{room.id}/participants")
                assert {one["identity"] for one in listed.json()["items"]} >= {host.identity, guest.identity}
            await person.event(room.id, "participant.joined", count=2)
            await person.event(room.id, "participant.left", count=2)


@asynccontextmanager
async def livekit_server(binary: Path, secret: str, gateway_port: int, directory: Path) -> AsyncIterator[str]:
    """A LiveKit server on loopback that reports to the gateway's webhook; yields its address."""
    http, tcp, udp = free_ports(3)
    config = (
        f"port: {http}\nbind_addresses: [127.0.0.1]\nkeys: {{{KEY}: {secret}}}\nlogging: {{level: warn}}\n"
        f"rtc: {{tcp_port: {tcp}, udp_port: {udp}, use_external_ip: false, node_ip: 127.0.0.1, "
        "enable_loopback_candidate: true}\n"
        f"webhook: {{api_key: {KEY}, urls: ['http://127.0.0.1:{gateway_port}/api/v1/livekit/webhook']}}\n"
    )
    environment = os.environ | {"LIVEKIT_CONFIG": config}  # not on the command line, where everybody could read it
    with (directory / "livekit.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            str(binary), env=environment, stdout=log, stderr=subprocess.STDOUT, cwd=directory
        )
    try:
        await _answers(http)
        yield f"ws://127.0.0.1:{http}"
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), 20)


async def _answers(port: int) -> None:
    async with asyncio.timeout(30), httpx.AsyncClient() as client:
        while True:
            try:
                await client.get(f"http://127.0.0.1:{port}/")
            except httpx.TransportError:
                await asyncio.sleep(0.1)
            else:
                return
