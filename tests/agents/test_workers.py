"""livekit-agents' own worker: its agents come, hear, answer, and are replaced when it dies."""

import asyncio
import uuid

import pytest
from livekit import api, rtc
from livekit.protocol.agent import Job, JobStatus
from tests.agents.conftest import StartWorker
from tests.compat.clients import holds, joined, told
from tests.compat.conftest import MediaServer
from tests.compat.sound import pitch_hz
from tests.journeys.people import CALL_TIMEOUT_S, Call, Ticket

ANSWER_HZ = 880
"""An octave above the tone that our callers play."""


@pytest.fixture
def agent_name() -> str:
    return f"tone-{uuid.uuid4().hex[:8]}"


async def hears_the_answer(caller: Call, agent: rtc.RemoteParticipant) -> None:
    """The octave, whole and clean, from this agent."""
    async with asyncio.timeout(CALL_TIMEOUT_S):
        while True:
            tracks = [p.track for p in agent.track_publications.values() if p.track]
            if tracks and abs(await pitch_hz(tracks[0]) - ANSWER_HZ) < ANSWER_HZ * 0.05:
                return
            await asyncio.sleep(0.05)


def agents_of(caller: Call) -> list[rtc.RemoteParticipant]:
    return [p for p in caller.room.remote_participants.values() if p.kind == rtc.ParticipantKind.PARTICIPANT_KIND_AGENT]


async def job_of(client: api.LiveKitAPI, room: str, dispatch_id: str) -> Job:
    """The one job of a dispatch."""
    (dispatch,) = [d for d in await client.agent_dispatch.list_dispatch(room) if d.id == dispatch_id]
    (job,) = dispatch.state.jobs
    return job


async def test_an_agent_comes_hears_and_answers(
    server: MediaServer, room: str, agent_name: str, start_worker: StartWorker
) -> None:
    await start_worker(agent_name)
    async with server.api() as client, joined(server, room, "ann") as ann:
        await ann.publish()
        made = await client.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(room=room, agent_name=agent_name, metadata="please")
        )
        await holds("an agent is here", lambda: bool(agents_of(ann)))
        (agent,) = agents_of(ann)
        await holds("it says whose it is", lambda: agent.attributes.get("lk.agent_name") == agent_name)
        await hears_the_answer(ann, agent)
        job = await job_of(client, room, made.id)
        assert (job.state.status, job.state.participant_identity) == (JobStatus.JS_RUNNING, agent.identity)
        assert (job.metadata, job.dispatch_id) == ("please", made.id)
        await client.agent_dispatch.delete_dispatch(made.id, room)
        await holds("the agent is gone", lambda: not agents_of(ann))


async def test_a_token_brings_its_agent_along(
    server: MediaServer, room: str, agent_name: str, start_worker: StartWorker
) -> None:
    await start_worker(agent_name)
    config = api.RoomConfiguration(agents=[api.RoomAgentDispatch(agent_name=agent_name)])
    token = api.AccessToken(server.key, server.secret).with_identity("ann").with_room_config(config)
    token = token.with_grants(api.VideoGrants(room_join=True, room=room))
    async with Call() as ann:
        await ann.join(Ticket(token.to_jwt(), server.url, "ann", room))
        await ann.publish()
        await holds("an agent is here", lambda: bool(agents_of(ann)))
        await hears_the_answer(ann, agents_of(ann)[0])


async def test_another_worker_takes_over_when_one_dies(
    server: MediaServer, room: str, agent_name: str, start_worker: StartWorker
) -> None:
    first = await start_worker(agent_name)
    async with server.api() as client, joined(server, room, "ann") as ann:
        await ann.publish()
        made = await client.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(room=room, agent_name=agent_name)
        )
        await holds("an agent is here", lambda: bool(agents_of(ann)))
        (before,) = agents_of(ann)
        await hears_the_answer(ann, before)
        await start_worker(agent_name)
        first.kill()
        await holds("another agent is here", lambda: [p.sid for p in agents_of(ann)] not in ([], [before.sid]))
        (after,) = agents_of(ann)
        await hears_the_answer(ann, after)
        job = await job_of(client, room, made.id)
        assert (job.state.status, job.state.participant_identity) == (JobStatus.JS_RUNNING, after.identity)


async def test_a_caller_that_connects_anew_hears_its_agent_again(
    server: MediaServer, room: str, agent_name: str, start_worker: StartWorker
) -> None:
    await start_worker(agent_name)
    async with server.api() as client, joined(server, room, "ann") as ann:
        await ann.publish()
        made = await client.agent_dispatch.create_dispatch(
            api.CreateAgentDispatchRequest(room=room, agent_name=agent_name)
        )
        await holds("an agent is here", lambda: bool(agents_of(ann)))
        (agent,) = agents_of(ann)
        await hears_the_answer(ann, agent)
        before = ann.room.local_participant.sid
        back = asyncio.create_task(told(ann.room, "reconnected"))
        await asyncio.sleep(0)
        await ann.room.simulate_scenario(rtc.SimulateScenarioKind.SIMULATE_FULL_RECONNECT)
        await back
        await holds("ann is somebody new", lambda: ann.room.local_participant.sid != before)
        await holds("its agent is here", lambda: [p.sid for p in agents_of(ann)] == [agent.sid])
        await hears_the_answer(ann, agents_of(ann)[0])
        assert (await job_of(client, room, made.id)).state.participant_identity == agent.identity
