"""Which worker gets which job, and what happens when it refuses, ends, or dies. Workers and the engine are scripted."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from livekit.protocol.agent import (
    AvailabilityResponse,
    Job,
    JobStatus,
    JobType,
    MigrateJobRequest,
    ServerMessage,
    UpdateJobStatus,
    WorkerStatus,
)
from livekit.protocol.agent_dispatch import JobRestartPolicy, RoomAgentDispatch
from livekit.protocol.models import ParticipantInfo, ParticipantPermission, TrackSource, TrackType
from livekit.protocol.room import RoomConfiguration
from livekit.protocol.rtc import AddTrackRequest, LeaveRequest, SignalRequest
from tests.media.scripted import KEY, RememberedEvents, Server

from auralink.media import agent_jobs
from auralink.media.agent_events import AgentEvents
from auralink.media.agent_jobs import AgentJobs, Dispatch
from auralink.media.agent_workers import Worker, WorkerKind, WorkerPool
from auralink.media.room import Room, RoomKey
from auralink.media.rooms import RoomDefaults

LOBBY = RoomKey("", "lobby")


class ScriptedWorker:
    """Takes every job unless told otherwise."""

    def __init__(self, agent_name: str = "", job_type: "JobType" = JobType.JT_ROOM, **kind: str) -> None:
        self.takes: bool | None = True
        """None: it never answers."""
        self.messages: list[ServerMessage] = []
        self.closed = False
        self.worker = Worker(
            WorkerKind("", agent_name, job_type, **kind),
            KEY,
            ParticipantPermission(can_publish=True, can_subscribe=True),
            self._told,
            self._close,
        )

    def _close(self) -> None:
        self.closed = True

    def _told(self, message: ServerMessage) -> None:
        self.messages.append(message)
        if message.HasField("availability") and self.takes is not None:
            job = message.availability.job
            answer = AvailabilityResponse(
                job_id=job.id, available=self.takes, participant_identity=f"agent-{len(self.jobs)}"
            )
            asyncio.get_running_loop().call_soon(self.worker.answered, answer)

    @property
    def asked(self) -> list[Job]:
        return [m.availability.job for m in self.messages if m.HasField("availability")]

    @property
    def jobs(self) -> list[Job]:
        return [m.assignment.job for m in self.messages if m.HasField("assignment")]

    @property
    def tokens(self) -> list[str]:
        return [m.assignment.token for m in self.messages if m.HasField("assignment")]

    @property
    def terminated(self) -> list[str]:
        return [m.termination.job_id for m in self.messages if m.HasField("termination")]


class AgentServer(Server):
    def __init__(self) -> None:
        super().__init__()
        self.pool = WorkerPool(choose=random.Random(1))  # noqa: S311
        self.jobs = AgentJobs(self.pool, self.keys)
        self.events = RememberedEvents()
        events = AgentEvents(self.events, self.jobs, lambda key: self.rooms.find(key.name, tenant=key.tenant))
        self.host(events, RoomDefaults(300, 20, True), self.rooms.limits)

    def worker(self, *arguments: Any, **options: Any) -> ScriptedWorker:
        scripted = ScriptedWorker(*arguments, **options)
        self.jobs.worker_came(scripted.worker)
        return scripted

    def dies(self, scripted: ScriptedWorker) -> None:
        self.pool.remove(scripted.worker)
        self.jobs.worker_lost(scripted.worker)

    def open(self, *agents: RoomAgentDispatch) -> Room:
        return self.rooms.open("lobby", RoomConfiguration(agents=agents), tenant="")

    def dispatches(self) -> list[Dispatch]:
        return self.jobs.dispatches(LOBBY)

    def agent_joins(self, scripted: ScriptedWorker) -> Any:
        """As the token of its last assignment says."""
        claims = self.keys.verify(scripted.tokens[-1])
        session, _ = self.join(claims.identity, claims.video.room, **{**claims.raw, "video": claims.raw["video"]})
        return session


async def settled(until: Callable[[], bool] = lambda: True, within_s: float = 10.0) -> None:
    """Lets tasks run until it holds."""
    async with asyncio.timeout(within_s):
        for _ in range(20):
            await asyncio.sleep(0)
        while not until():  # noqa: ASYNC110 (it is a state, not an event)
            await asyncio.sleep(0.01)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Waits of seconds become waits of a moment."""
    monkeypatch.setattr(agent_jobs, "LOST_S", 0.05)
    monkeypatch.setattr(agent_jobs, "POLL_S", 0.01)
    monkeypatch.setattr(agent_jobs, "GOODBYE_S", 0.05)


async def test_a_room_without_dispatches_gets_the_agents_without_a_name() -> None:
    server = AgentServer()
    nameless, named = server.worker(), server.worker("tutor")
    room = server.open()
    await settled()
    assert [job.room.sid for job in nameless.jobs] == [room.sid]
    assert not named.asked
    claims = server.keys.verify(nameless.tokens[0])
    assert (claims.kind, claims.identity) == (ParticipantInfo.Kind.AGENT, "agent-0")
    assert claims.attributes["lk.agent_name"] == ""
    assert claims.video.room_join
    assert claims.video.agent
    assert not claims.video.can_publish_data, "only what the worker allows its agents"


async def test_a_named_dispatch_carries_its_metadata_and_attributes() -> None:
    server = AgentServer()
    nameless, tutor = server.worker(), server.worker("tutor")
    server.open(RoomAgentDispatch(agent_name="tutor", metadata="in French", attributes={"level": "A2"}))
    await settled()
    (job,) = tutor.jobs
    assert (job.metadata, dict(job.attributes), job.agent_name) == ("in French", {"level": "A2"}, "tutor")
    assert not nameless.asked
    (dispatch,) = server.dispatches()
    assert [j.id for j in dispatch.shown().state.jobs] == [job.id]
    assert dispatch.shown().state.jobs[0].state.status == JobStatus.JS_RUNNING


async def test_a_deployment_is_served_only_by_its_own_workers() -> None:
    server = AgentServer()
    stable, canary = server.worker("tutor"), server.worker("tutor", deployment="canary")
    server.open(RoomAgentDispatch(agent_name="tutor", deployment="canary"))
    await settled()
    assert canary.jobs
    assert not stable.asked


async def test_each_namespace_gets_a_job() -> None:
    server = AgentServer()
    first, second = server.worker(namespace="a"), server.worker(namespace="b")
    server.open()
    await settled()
    assert [job.namespace for job in (*first.jobs, *second.jobs)] == ["a", "b"]


async def test_the_first_worker_of_a_kind_gets_what_began_just_before_it_came() -> None:
    server = AgentServer()
    early = server.worker()
    room = server.open()
    session, _ = server.join("ann")
    await settled()
    late, named, second = server.worker(namespace="late"), server.worker("tutor"), server.worker()
    each = server.worker(job_type=JobType.JT_PARTICIPANT)
    publishers = server.worker(job_type=JobType.JT_PUBLISHER)
    await settled()
    assert [job.room.sid for job in late.jobs] == [room.sid]
    assert [job.participant.sid for job in each.jobs] == [session.me.sid]
    assert (len(early.asked), second.asked, named.asked, publishers.asked) == (1, [], [], [])


async def test_what_began_long_before_the_first_worker_came_is_not_its_business(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    server = AgentServer()
    server.open()
    server.join("ann")
    monkeypatch.setattr(agent_jobs, "EXPECTED_BACK_S", 0.0)
    workers = [server.worker(), server.worker(job_type=JobType.JT_PARTICIPANT)]
    await settled()
    assert [worker.asked for worker in workers] == [[], []]


async def test_another_tenants_workers_hear_of_nothing() -> None:
    server = AgentServer()
    server.worker()
    early, late = ScriptedWorker(), ScriptedWorker()
    for stranger in (early, late):
        stranger.worker.kind = WorkerKind("another", "", JobType.JT_ROOM)
    server.jobs.worker_came(early.worker)
    server.open()
    server.dies(early)
    server.jobs.worker_came(late.worker)
    await settled()
    assert not early.asked + late.asked


async def test_participants_and_publishers_get_agents_of_their_own_and_agents_none() -> None:
    server = AgentServer()
    each = server.worker(job_type=JobType.JT_PARTICIPANT)
    publishers = server.worker(job_type=JobType.JT_PUBLISHER)
    session, _ = server.join("ann")
    await settled()
    assert [job.participant.identity for job in each.jobs] == ["ann"]
    assert not publishers.asked
    for cid in ("camera", "screen"):
        session.handle(
            SignalRequest(add_track=AddTrackRequest(cid=cid, type=TrackType.VIDEO, source=TrackSource.CAMERA))
        )
        mid = str(len(session.me.tracks))
        section = {"mid": mid, "kind": "video", "cid": cid, "codecs": ["video/VP8"], "rids": []}
        server.reports.handle(("answer", session.me.peer, 1, "v=0", {}, [*session.me.sections, section]))
    await settled()
    assert [job.participant.identity for job in publishers.jobs] == ["ann"], "once, at the first track"
    server.agent_joins(each)
    await settled()
    assert len(each.asked) == 1, "agents need no agents"


async def test_who_refuses_or_keeps_silent_is_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("auralink.media.agent_workers.ANSWER_S", 0.05)
    server = AgentServer()
    refuses, silent, takes = server.worker("x"), server.worker("x"), server.worker("x")
    refuses.takes, silent.takes = False, None
    takes.worker.load = 0.9
    server.open(RoomAgentDispatch(agent_name="x"))
    await settled(lambda: bool(takes.jobs))
    assert len(takes.jobs) == 1
    assert not refuses.jobs
    assert not silent.jobs


async def test_a_worker_that_dies_while_asked_is_passed_over() -> None:
    server = AgentServer()
    dying = server.worker("x")
    dying.takes = None
    server.open(RoomAgentDispatch(agent_name="x"))
    await settled(lambda: bool(dying.asked))
    takes = server.worker("x")
    server.dies(dying)
    await settled(lambda: bool(takes.jobs))


async def test_a_full_worker_gets_the_job_when_it_has_room_again() -> None:
    server = AgentServer()
    worker = server.worker("x")
    worker.worker.report(WorkerStatus.WS_FULL, 0.5)
    server.open(RoomAgentDispatch(agent_name="x"))
    await settled()
    assert not worker.asked
    worker.worker.report(WorkerStatus.WS_AVAILABLE, 0.5)
    server.pool.wake()
    await settled(lambda: bool(worker.jobs))


def test_the_less_loaded_worker_is_chosen_more_often() -> None:
    pool = WorkerPool(choose=random.Random(7))  # noqa: S311
    idle, busy, full = ScriptedWorker(), ScriptedWorker(), ScriptedWorker()
    idle.worker.load, busy.worker.load = 0.1, 0.7
    full.worker.report(WorkerStatus.WS_FULL, 0.0)
    for scripted in (idle, busy, full):
        pool.add(scripted.worker)
    chosen = Counter(pool.choose(idle.worker.kind, []) for _ in range(1_000))
    assert chosen[full.worker] == 0
    assert 2.0 < chosen[idle.worker] / chosen[busy.worker] < 4.5, "0.9 to 0.3"


def test_a_load_that_is_no_number_is_a_full_one() -> None:
    worker = ScriptedWorker().worker
    worker.report(None, float("nan"))
    assert worker.capacity == 0
    worker.report(None, -3.0)
    assert worker.capacity > 0


async def test_when_a_worker_dies_another_one_takes_its_job(quick: None) -> None:
    server = AgentServer()
    first = server.worker("x")
    room = server.open(RoomAgentDispatch(agent_name="x"))
    await settled(lambda: bool(first.jobs))
    agent = server.agent_joins(first)
    second = server.worker("x")
    second_before = len(second.asked)
    server.dies(first)
    agent.me.connection = None  # its process died too
    await settled(lambda: bool(second.jobs))
    assert second_before == 0
    assert second.jobs[0].id == first.jobs[0].id
    assert agent.me.identity not in room.participants, "what is left of the first one is removed"
    (shown,) = server.dispatches()[0].shown().state.jobs
    assert (shown.state.status, shown.state.worker_id) == (JobStatus.JS_RUNNING, second.worker.id)


async def test_a_lone_worker_that_restarts_gets_its_job_back(quick: None) -> None:
    server = AgentServer()
    first = server.worker("x")
    server.open(RoomAgentDispatch(agent_name="x"))
    await settled(lambda: bool(first.jobs))
    server.dies(first)
    await asyncio.sleep(0.2)
    again = server.worker("x")
    await settled(lambda: bool(again.jobs))
    assert again.jobs[0].id == first.jobs[0].id


async def test_an_agent_that_outlives_its_workers_connection_is_not_doubled(quick: None) -> None:
    server = AgentServer()
    first, other = server.worker("x"), None
    server.open(RoomAgentDispatch(agent_name="x"))
    await settled(lambda: bool(first.jobs))
    server.agent_joins(first)
    other = server.worker("x")
    server.dies(first)
    await asyncio.sleep(0.3)
    assert not other.asked
    back = server.worker("x")
    server.jobs.adopted(back.worker, MigrateJobRequest(job_ids=[first.jobs[0].id]))
    (shown,) = server.dispatches()[0].shown().state.jobs
    assert shown.state.worker_id == back.worker.id
    server.jobs.updated(back.worker, UpdateJobStatus(job_id=shown.id, status=JobStatus.JS_SUCCESS))
    (shown,) = server.dispatches()[0].shown().state.jobs
    assert shown.state.status == JobStatus.JS_SUCCESS


async def test_a_job_that_kills_its_workers_is_given_up(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agent_jobs, "MAX_RESTARTS", 2)
    server = AgentServer()
    workers = [server.worker("x")]
    server.open(RoomAgentDispatch(agent_name="x"))
    for _ in range(3):
        await settled(lambda: bool(workers[-1].jobs))
        server.dies(workers[-1])
        workers.append(server.worker("x"))
    (running,) = server.dispatches()[0].jobs
    await settled(lambda: running.ended)
    assert running.job.state.status == JobStatus.JS_FAILED
    assert not workers[-1].asked


async def test_a_job_that_must_not_restart_does_not(quick: None) -> None:
    server = AgentServer()
    first = server.worker("x")
    server.open(RoomAgentDispatch(agent_name="x", restart_policy=JobRestartPolicy.JRP_NEVER))
    await settled(lambda: bool(first.jobs))
    second = server.worker("x")
    server.dies(first)
    (running,) = server.dispatches()[0].jobs
    await settled(lambda: running.ended)
    assert not second.asked


async def test_deleting_a_dispatch_ends_its_jobs_and_removes_an_agent_that_stays(quick: None) -> None:
    server = AgentServer()
    worker = server.worker("x")
    room = server.open(RoomAgentDispatch(agent_name="x"))
    await settled(lambda: bool(worker.jobs))
    agent = server.agent_joins(worker)
    dispatch = server.jobs.delete(LOBBY, server.dispatches()[0].info.id)
    assert dispatch is not None
    assert worker.terminated == [worker.jobs[0].id]
    await settled(lambda: agent.me.identity not in room.participants)
    assert not server.dispatches()


async def test_the_end_of_a_room_ends_its_jobs() -> None:
    server = AgentServer()
    worker = server.worker()
    session, _ = server.join("ann")
    await settled(lambda: bool(worker.jobs))
    (running,) = server.dispatches()[0].jobs
    server.rooms.shut_down()
    assert worker.terminated == [running.job.id]
    assert running.job.state.status == JobStatus.JS_SUCCESS
    assert not server.dispatches()
    assert session.room.closed


async def test_an_agent_that_leaves_has_done_its_job() -> None:
    server = AgentServer()
    worker = server.worker()
    server.join("ann")
    await settled(lambda: bool(worker.jobs))
    agent = server.agent_joins(worker)
    agent.handle(SignalRequest(leave=LeaveRequest()))
    (running,) = server.dispatches()[0].jobs
    assert running.job.state.status == JobStatus.JS_SUCCESS
    assert server.events.names.count("agent_job_started") == 1
    assert server.events.names.count("agent_job_ended") == 1


async def test_a_dispatch_made_later_finds_who_is_there_already() -> None:
    server = AgentServer()
    each = server.worker("x", JobType.JT_PARTICIPANT)
    server.join("ann")
    room = server.rooms.find("lobby", tenant="")
    assert room is not None
    server.jobs.dispatch(room, RoomAgentDispatch(agent_name="x"))
    await settled(lambda: bool(each.jobs))
    assert each.jobs[0].participant.identity == "ann"


async def test_draining_sends_the_workers_away_and_gives_nothing_out() -> None:
    server = AgentServer()
    worker = server.worker()
    await server.jobs.drain()
    assert worker.closed
    server.open()
    await settled()
    assert not worker.asked
