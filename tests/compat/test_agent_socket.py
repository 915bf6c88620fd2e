"""The door of agent workers: who is let in, what is answered, and what ends the connection."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta

import aiohttp
import jwt
import pytest
from livekit import api
from livekit.protocol.agent import (
    AvailabilityResponse,
    JobType,
    RegisterWorkerRequest,
    ServerMessage,
    SimulateJobRequest,
    UpdateWorkerStatus,
    WorkerMessage,
    WorkerPing,
)
from livekit.protocol.models import Room
from tests.compat.conftest import MediaServer


def token(server: MediaServer, **grants: bool) -> str:
    video = api.VideoGrants(**grants)  # type: ignore[arg-type]
    return api.AccessToken(server.key, server.secret).with_grants(video).with_ttl(timedelta(minutes=5)).to_jwt()


@asynccontextmanager
async def connected(server: MediaServer) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    headers = {"Authorization": f"Bearer {token(server, agent=True)}"}
    async with aiohttp.ClientSession() as client, client.ws_connect(f"{server.url}/agent", headers=headers) as socket:
        yield socket


async def says(socket: aiohttp.ClientWebSocketResponse, message: WorkerMessage) -> None:
    await socket.send_bytes(message.SerializeToString())


async def hears(socket: aiohttp.ClientWebSocketResponse) -> ServerMessage:
    return ServerMessage.FromString(await socket.receive_bytes(timeout=15))


async def registered(socket: aiohttp.ClientWebSocketResponse, agent_name: str = "door") -> ServerMessage:
    await says(socket, WorkerMessage(register=RegisterWorkerRequest(type=JobType.JT_ROOM, agent_name=agent_name)))
    return await hears(socket)


@pytest.mark.parametrize("grants", [None, {"room_create": True}], ids=["no token", "another grant"])
async def test_without_the_agent_grant_nobody_comes_in(server: MediaServer, grants: dict[str, bool] | None) -> None:
    headers = {} if grants is None else {"Authorization": f"Bearer {token(server, **grants)}"}
    async with aiohttp.ClientSession() as client:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await client.ws_connect(f"{server.url}/agent", headers=headers)
    assert refused.value.status == 401


async def test_a_request_that_is_no_websocket_finds_nothing(server: MediaServer) -> None:
    url = f"{server.url.replace('ws', 'http', 1)}/agent"
    async with aiohttp.ClientSession() as client, client.get(url) as answer:
        assert answer.status == 404


async def test_a_worker_registers_and_is_answered(server: MediaServer) -> None:
    async with connected(server) as socket:
        answer = (await registered(socket)).register
        assert answer.worker_id.startswith("AW_")
        assert (answer.server_info.agent_protocol, answer.server_info.version) == (1, "1.13.5")
        await says(socket, WorkerMessage(ping=WorkerPing(timestamp=77)))
        pong = (await hears(socket)).pong
        assert pong.last_timestamp == 77
        assert pong.timestamp > 1_700_000_000_000


async def test_a_simulated_job_is_offered_and_assigned_with_a_token(server: MediaServer, room: str) -> None:
    async with connected(server) as socket:
        worker_id = (await registered(socket)).register.worker_id
        await says(socket, WorkerMessage(simulate_job=SimulateJobRequest(room=Room(name=room))))
        job = (await hears(socket)).availability.job
        assert (job.room.name, job.state.worker_id) == (room, worker_id)
        answer = AvailabilityResponse(
            job_id=job.id, available=True, participant_identity="helper", participant_attributes={"a": "b"}
        )
        await says(socket, WorkerMessage(availability=answer))
        assignment = (await hears(socket)).assignment
    assert assignment.job.id == job.id
    claims = jwt.decode(assignment.token, server.secret, algorithms=["HS256"])
    assert (claims["sub"], claims["kind"], claims["video"]["room"]) == ("helper", "agent", room)
    assert claims["attributes"] == {"a": "b", "lk.agent_name": "door"}


@pytest.mark.parametrize(
    "first",
    [
        b"\xff\xff\xff",
        WorkerMessage(update_worker=UpdateWorkerStatus(load=0.5)).SerializeToString(),
        WorkerMessage(register=RegisterWorkerRequest(deployment="with_underscore")).SerializeToString(),
        WorkerMessage(register=RegisterWorkerRequest(agent_name="n" * 1_000)).SerializeToString(),
    ],
    ids=["garbage", "not a registration", "a bad deployment", "a name too long"],
)
async def test_who_begins_badly_is_sent_away(server: MediaServer, first: bytes) -> None:
    async with connected(server) as socket:
        await socket.send_bytes(first)
        message = await socket.receive(timeout=15)
        assert message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED)
        assert socket.close_code in (1007, 1008)
