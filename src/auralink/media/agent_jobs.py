"""Sends agents into rooms: which jobs a room needs, which worker does each, and what happens when a worker dies.

A room has dispatches (by CreateRoom, a token's roomConfig or CreateDispatch; without any, one for the agents without a
name). Each makes a job for the room, for every participant, or for every publisher, as the workers of that agent ask.
LiveKit forgets jobs whose worker died; here another worker takes them.
"""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, field
from typing import Any

import structlog
from livekit.protocol.agent import Job, JobState, JobStateReason, JobStatus, JobType, MigrateJobRequest, UpdateJobStatus
from livekit.protocol.agent_dispatch import AgentDispatch, AgentDispatchState, JobRestartPolicy, RoomAgentDispatch
from livekit.protocol.models import DisconnectReason, ParticipantInfo

from auralink.media import membership
from auralink.media.agent_token import agent_token
from auralink.media.agent_workers import EXPECTED_BACK_S, Worker, WorkerGone, WorkerKind, WorkerPool
from auralink.media.participant import Participant
from auralink.media.room import Room, RoomKey, leave
from auralink.media.sids import new_sid
from auralink.media.tokens import KeyRing, UnknownKey

log = structlog.get_logger(__name__)

MAX_RESTARTS = 3
"""How often a job goes to another worker after its worker died."""
MAX_DISPATCHES = 1_000
"""Of one room."""
LOST_S = 3.0
"""How long an agent whose worker is gone may be without a signal connection before another one takes its place."""
POLL_S = 0.5
GOODBYE_S = 3.0
"""How long a terminated agent has to leave the room by itself."""
_ENDED = (JobStatus.JS_SUCCESS, JobStatus.JS_FAILED, JobStatus.JS_CANCELLED)


@dataclass(eq=False)
class RunningJob:
    """A job of a dispatch (or one that a worker simulates, without one)."""

    job: Job
    kind: WorkerKind
    room: Room | None
    restartable: bool = True
    worker: Worker | None = None
    restarts: int = 0

    @property
    def ended(self) -> bool:
        return self.job.state.status in _ENDED

    def set(self, status: "JobStatus", *, error: str = "", reason: "JobStateReason | None" = None) -> None:
        now = time.time_ns()
        state = self.job.state
        state.status, state.error, state.updated_at = status, error, now
        state.reason = reason if reason is not None else JobStateReason.JSR_UNSPECIFIED
        if status == JobStatus.JS_RUNNING and not state.started_at:
            state.started_at = now
        if status in _ENDED:
            state.ended_at = now


@dataclass(eq=False)
class Dispatch:
    """`info` is what it was asked for; the jobs are those a worker took."""

    info: AgentDispatch
    room: Room
    jobs: list[RunningJob] = field(default_factory=list)
    deleted: bool = False

    def shown(self) -> AgentDispatch:
        state = AgentDispatchState(created_at=self.info.state.created_at, jobs=[running.job for running in self.jobs])
        shown = AgentDispatch()
        shown.CopyFrom(self.info)
        shown.state.CopyFrom(state)
        return shown


class TooManyDispatches(Exception):
    """The room has as many as it may have."""


class AgentJobs:
    """Owner of all dispatches and jobs of this server."""

    def __init__(self, pool: WorkerPool, keys: KeyRing) -> None:
        self.pool = pool
        self._keys = keys
        self._dispatches: dict[RoomKey, dict[str, Dispatch]] = {}
        self._jobs: dict[str, RunningJob] = {}
        """By id, those that have not ended."""
        self._published: set[str] = set()
        """Sids of participants whose first track has been told."""
        self._tasks: set[asyncio.Task[None]] = set()
        self._stopped = False

    # --- dispatches ----------------------------------------------------------------------------------------------

    def room_opened(self, room: Room) -> None:
        self._dispatches[room.key] = {}
        for wanted in room.config.agents or [RoomAgentDispatch()]:
            self.dispatch(room, wanted)

    def dispatch(self, room: Room, wanted: RoomAgentDispatch) -> Dispatch:
        """Raises TooManyDispatches."""
        known = self._dispatches.setdefault(room.key, {})
        if len(known) >= MAX_DISPATCHES:
            raise TooManyDispatches
        info = AgentDispatch(
            id=new_sid("AD_"),
            agent_name=wanted.agent_name,
            room=room.name,
            metadata=wanted.metadata,
            attributes=wanted.attributes,
            restart_policy=wanted.restart_policy,
            deployment=wanted.deployment,
            state=AgentDispatchState(created_at=time.time_ns()),
        )
        dispatch = known[info.id] = Dispatch(info, room)
        self._launch(dispatch, JobType.JT_ROOM)
        for participant in room.participants.values():
            if participant.active:
                self._launch(dispatch, JobType.JT_PARTICIPANT, participant)
            if participant.is_publisher:
                self._launch(dispatch, JobType.JT_PUBLISHER, participant)
        return dispatch

    def dispatches(self, key: RoomKey, dispatch_id: str = "") -> list[Dispatch]:
        """All of a room, or the one of that id."""
        return [d for d in self._dispatches.get(key, {}).values() if dispatch_id in ("", d.info.id)]

    def delete(self, key: RoomKey, dispatch_id: str) -> Dispatch | None:
        """Its jobs are terminated, and agents that do not leave are removed."""
        dispatch = self._dispatches.get(key, {}).pop(dispatch_id, None)
        if dispatch:
            dispatch.deleted = True
            for running in dispatch.jobs:
                self._terminate(running, JobStateReason.JSR_DISPATCH_DELETED)
                self._spawn(self._see_off(running))
        return dispatch

    # --- what happens in rooms -----------------------------------------------------------------------------------

    def joined(self, room: Room, identity: str) -> None:
        self._for_participant(room, identity, JobType.JT_PARTICIPANT)

    def published(self, room: Room, identity: str) -> None:
        participant = room.participants.get(identity)
        if participant and participant.sid not in self._published:
            self._published.add(participant.sid)
            self._for_participant(room, identity, JobType.JT_PUBLISHER)

    def left(self, room: Room, participant: ParticipantInfo) -> None:
        """An agent that goes has done its job, or its worker lost it; the worker's own word comes first or never."""
        self._published.discard(participant.sid)
        for dispatch in self.dispatches(room.key):
            for running in dispatch.jobs:
                if running.ended or running.job.state.participant_identity != participant.identity:
                    continue
                by_itself = participant.disconnect_reason == DisconnectReason.CLIENT_INITIATED
                if running.worker:
                    running.worker.terminate(running.job.id)
                elif not by_itself:
                    continue  # It went down with its worker; see _replace.
                self._end(running, by_itself, error="" if by_itself else "agent worker left the room")

    def room_closed(self, key: RoomKey) -> None:
        for dispatch in self._dispatches.pop(key, {}).values():
            dispatch.deleted = True
            for running in dispatch.jobs:
                self._terminate(running, JobStateReason.JSR_ROOM_CLOSED)

    def _for_participant(self, room: Room, identity: str, job_type: "JobType") -> None:
        participant = room.participants.get(identity)
        if participant is not None:
            for dispatch in self.dispatches(room.key):
                self._launch(dispatch, job_type, participant)

    # --- what workers say ----------------------------------------------------------------------------------------

    def worker_came(self, worker: Worker) -> None:
        """Raises Unavailable. What began shortly before the first worker of its kind came has a job for it, too."""
        if self.pool.add(worker):
            for dispatch in [d for dispatches in self._dispatches.values() for d in dispatches.values()]:
                self._catch_up(dispatch, worker.kind)

    def _catch_up(self, dispatch: Dispatch, kind: WorkerKind) -> None:
        if not kind.serves(dispatch.room.tenant, dispatch.info.agent_name, kind.job_type, dispatch.info.deployment):
            return
        since_ms = (time.time() - EXPECTED_BACK_S) * 1_000
        if kind.job_type == JobType.JT_ROOM:
            if dispatch.info.state.created_at / 1_000_000 > since_ms:
                self._launch_for(kind, dispatch)
            return
        for participant in dispatch.room.participants.values():
            due = participant.is_publisher if kind.job_type == JobType.JT_PUBLISHER else participant.active
            if due and participant.joined_at_ms > since_ms:
                self._launch_for(kind, dispatch, participant)

    def updated(self, worker: Worker, update: UpdateJobStatus) -> None:
        running = self._jobs.get(update.job_id)
        if running is None or running.worker is not worker:
            return  # Its room closed first, or it is another worker's by now.
        if update.status in _ENDED:
            worker.jobs.discard(update.job_id)
            self._end(running, update.status == JobStatus.JS_SUCCESS, error=update.error)
        else:
            running.set(update.status, error=update.error)

    def adopted(self, worker: Worker, request: MigrateJobRequest) -> None:
        """A worker is back after its connection broke and says which jobs it still does."""
        for job_id in request.job_ids[:MAX_DISPATCHES]:
            running = self._jobs.get(job_id)
            if running and running.kind == worker.kind and running.worker is None:
                running.worker = worker
                running.job.state.worker_id = worker.id
                running.set(JobStatus.JS_RUNNING)
                worker.jobs.add(job_id)

    def worker_lost(self, worker: Worker) -> None:
        for job_id in worker.jobs:
            running = self._jobs.get(job_id)
            if running and running.worker is worker:
                running.worker = None
                self._spawn(self._replace(running))

    def simulate(self, worker: Worker, job: Job) -> None:
        """A job that a worker asks for itself, to test."""
        running = RunningJob(job, worker.kind, None, restartable=False)
        self._spawn(self._offer(running, worker))

    # --- giving jobs out -----------------------------------------------------------------------------------------

    def _launch(self, dispatch: Dispatch, job_type: "JobType", participant: Participant | None = None) -> None:
        info = dispatch.info
        for kind in self.pool.kinds(dispatch.room.tenant, info.agent_name, job_type, info.deployment):
            self._launch_for(kind, dispatch, participant)

    def _launch_for(self, kind: WorkerKind, dispatch: Dispatch, participant: Participant | None = None) -> None:
        if self._stopped or (participant is not None and (participant.dependent or participant.is_agent)):
            return
        info = dispatch.info
        job = Job(
            id=new_sid("AJ_"),
            dispatch_id=info.id,
            type=kind.job_type,
            room=dispatch.room.info(),
            participant=participant.info() if participant else None,
            namespace=kind.namespace,
            agent_name=info.agent_name,
            metadata=info.metadata,
            attributes=info.attributes,
            deployment=info.deployment,
            state=JobState(),
        )
        restartable = info.restart_policy != JobRestartPolicy.JRP_NEVER
        self._spawn(self._place(RunningJob(job, kind, dispatch.room, restartable), dispatch))

    async def _place(self, running: RunningJob, dispatch: Dispatch) -> None:
        """Finds it a first worker; until then nobody is told of it."""
        if await self._find_worker(running, lambda: dispatch.deleted):
            if dispatch.deleted:
                self._terminate(running, JobStateReason.JSR_DISPATCH_DELETED)
                return
            if running.job not in [known.job for known in dispatch.jobs]:
                dispatch.jobs.append(running)
            self._record("agent_job_started", running)
        elif not dispatch.deleted:
            log.warning("media.agent_job_unplaced", room=dispatch.info.room, agent=running.kind.agent_name)

    async def _find_worker(self, running: RunningJob, cancelled: Callable[[], bool]) -> bool:
        """True when one took it. Asks every worker that has room, then waits for a change, for a bounded time."""
        give_up = time.monotonic() + EXPECTED_BACK_S
        while not cancelled() and not self._stopped:
            tried: list[Worker] = []
            while (worker := self.pool.choose(running.kind, tried)) and not cancelled():
                tried.append(worker)
                if await self._offer(running, worker):
                    return True
                if running.ended:
                    return False
            remaining = give_up - time.monotonic()
            if remaining <= 0:
                return False
            await self.pool.changed(remaining)
        return False

    async def _offer(self, running: RunningJob, worker: Worker) -> bool:
        """True when this worker took it."""
        job = running.job
        job.state.worker_id = worker.id
        running.set(JobStatus.JS_RUNNING)
        try:
            answer = await worker.ask(job)
        except (TimeoutError, WorkerGone) as error:
            log.info("media.agent_job_unanswered", job=job.id, worker=worker.id, reason=type(error).__name__)
            running.set(JobStatus.JS_PENDING, reason=JobStateReason.JSR_RETRYING)
            return False
        if answer.terminate:
            running.set(JobStatus.JS_SUCCESS)
            return False
        if not answer.available:
            running.set(JobStatus.JS_PENDING, reason=JobStateReason.JSR_RETRYING)
            return False
        answer.participant_identity = answer.participant_identity or f"agent-{job.id}"
        try:
            token = agent_token(self._keys, worker, job.room.name, answer)
        except UnknownKey:  # its key was revoked while it was connected
            worker.close()
            return False
        job.state.participant_identity = answer.participant_identity
        running.worker = worker
        self._jobs[job.id] = running
        worker.assign(job, token)
        return True

    # --- the end of jobs -----------------------------------------------------------------------------------------

    async def _replace(self, running: RunningJob) -> None:
        """Its worker is gone. The agent itself may live on, and the worker may be back; else another one takes over."""
        room, last_seen, agent = running.room, time.monotonic(), None
        while time.monotonic() - last_seen < LOST_S:
            await asyncio.sleep(POLL_S)
            if running.ended or running.worker is not None or room is None or room.closed:
                return
            agent = room.participants.get(running.job.state.participant_identity)
            if agent and agent.connection:
                last_seen = time.monotonic()
        if room is None:
            return
        if agent:
            agent.send(leave(DisconnectReason.AGENT_ERROR))
            membership.remove(room, agent, DisconnectReason.AGENT_ERROR)
        if not running.restartable or running.restarts >= MAX_RESTARTS:
            self._end(running, False, error="the agent worker died")
            return
        running.restarts += 1
        running.set(JobStatus.JS_PENDING, reason=JobStateReason.JSR_RETRYING)
        running.job.room.CopyFrom(room.info())
        log.info("media.agent_job_moves", job=running.job.id, room=room.name, restarts=running.restarts)
        if not await self._find_worker(running, lambda: running.ended or room.closed) and not running.ended:
            self._end(running, False, error="no agent worker took it", reason=JobStateReason.JSR_NO_CAPACITY)

    def _terminate(self, running: RunningJob, reason: "JobStateReason") -> None:
        if running.worker:
            running.worker.terminate(running.job.id)
        self._end(running, True, reason=reason)

    def _end(
        self, running: RunningJob, success: bool, *, error: str = "", reason: "JobStateReason | None" = None
    ) -> None:
        self._jobs.pop(running.job.id, None)
        if running.ended:
            return
        running.set(JobStatus.JS_SUCCESS if success else JobStatus.JS_FAILED, error=error, reason=reason)
        self._record("agent_job_ended", running)

    async def _see_off(self, running: RunningJob) -> None:
        room, identity = running.room, running.job.state.participant_identity
        until = time.monotonic() + GOODBYE_S
        while room and not room.closed and (agent := room.participants.get(identity)):
            if time.monotonic() >= until:
                agent.send(leave(DisconnectReason.PARTICIPANT_REMOVED))
                membership.remove(room, agent, DisconnectReason.PARTICIPANT_REMOVED)
                agent.disconnect_signal()
            await asyncio.sleep(POLL_S)

    def _record(self, event: str, running: RunningJob) -> None:
        if running.room and not running.room.closed:
            running.room.events.record(event, running.room.info(), job=running.job)

    # --- the server's life ---------------------------------------------------------------------------------------

    async def drain(self) -> None:
        """No new jobs; workers are sent away and look for another server."""
        self._stopped = True
        for worker in self.pool.all():
            worker.close()
        self.pool.wake()
        await _ended(self._tasks)

    def _spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="agent-job")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


async def _ended(tasks: Iterable["asyncio.Task[None]"]) -> None:
    pending = list(tasks)
    for task in pending:
        task.cancel()
    await asyncio.gather(*pending, return_exceptions=True)
