"""Agent workers that are connected: what each can do, how loaded it is, and which may take a job.

A worker is a program that waits for jobs over a WebSocket (`agent_socket.py`); a job makes it send an agent into a
room (`agent_jobs.py`). Everything lives on the event loop.
"""

import asyncio
import math
import random
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass, field

from livekit.protocol.agent import (
    AvailabilityRequest,
    AvailabilityResponse,
    Job,
    JobAssignment,
    JobTermination,
    JobType,
    ServerMessage,
    WorkerStatus,
)
from livekit.protocol.models import ParticipantPermission

from auralink.kit.errors import Unavailable
from auralink.media.sids import new_sid

ANSWER_S = 10.0
"""How long a worker may take to say whether it takes a job."""
EXPECTED_BACK_S = 60.0
"""How long jobs wait for a worker: for another one of its kind after the last one's connection ended, and for the first
one after a room began, since after a restart of this server clients are often back before the workers are."""
MAX_WORKERS = 10_000


class WorkerGone(Exception):
    """The connection ended before it answered."""


@dataclass(frozen=True)
class WorkerKind:
    """What a worker must be to take a job, exactly."""

    tenant: str
    """Of the API key: the only rooms it hears of."""
    agent_name: str
    job_type: "JobType"
    namespace: str = ""
    deployment: str = ""

    def serves(self, tenant: str, agent_name: str, job_type: "JobType", deployment: str) -> bool:
        return (self.tenant, self.agent_name, self.job_type, self.deployment) == (
            tenant,
            agent_name,
            job_type,
            deployment,
        )


@dataclass(eq=False)
class Worker:
    """One connected worker. `send` never blocks; `close` ends the connection."""

    kind: WorkerKind
    api_key: str
    permissions: ParticipantPermission
    send: Callable[[ServerMessage], None]
    close: Callable[[], None]
    version: str = ""
    id: str = field(default_factory=lambda: new_sid("AW_"))
    full: bool = False
    load: float = 0.0
    """0 to 1, by its own measure."""
    jobs: set[str] = field(default_factory=set)
    """Ids of the jobs it was given and has not ended."""
    gone: bool = False
    _answers: dict[str, "asyncio.Future[AvailabilityResponse]"] = field(default_factory=dict)

    @property
    def capacity(self) -> float:
        """The weight with which it is chosen; 0 is never."""
        return 0.0 if self.full else max(0.0, 1.0 - self.load)

    def report(self, status: "WorkerStatus | None", load: float) -> None:
        if status is not None:
            self.full = status == WorkerStatus.WS_FULL
        self.load = load if math.isfinite(load) else 1.0

    async def ask(self, job: Job) -> AvailabilityResponse:
        """Will it take the job? Raises WorkerGone, TimeoutError."""
        answer: asyncio.Future[AvailabilityResponse] = asyncio.get_running_loop().create_future()
        self._answers[job.id] = answer
        try:
            self.send(ServerMessage(availability=AvailabilityRequest(job=job)))
            async with asyncio.timeout(ANSWER_S):
                answered = await answer
            if self.gone:
                raise WorkerGone
            return answered
        finally:
            self._answers.pop(job.id, None)

    def answered(self, answer: AvailabilityResponse) -> None:
        """Answers to what was not asked, or asked too long ago, are nobody's."""
        waiting = self._answers.get(answer.job_id)
        if waiting and not waiting.done():
            waiting.set_result(answer)

    def assign(self, job: Job, token: str) -> None:
        self.jobs.add(job.id)
        self.send(ServerMessage(assignment=JobAssignment(job=job, token=token)))

    def terminate(self, job_id: str) -> None:
        self.jobs.discard(job_id)
        self.send(ServerMessage(termination=JobTermination(job_id=job_id)))

    def lost(self) -> None:
        """Its connection ended."""
        self.gone = True
        for waiting in self._answers.values():
            if not waiting.done():
                waiting.set_exception(WorkerGone())


class WorkerPool:
    """All workers, by kind."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic, choose: random.Random | None = None) -> None:
        self._workers: dict[WorkerKind, list[Worker]] = {}
        self._left: dict[WorkerKind, float] = {}
        """When the last worker of a kind that has none now went, on `clock`."""
        self._clock = clock
        self._random = choose or random.Random()  # noqa: S311 (spreads load, guards nothing)
        self._changed = asyncio.Event()

    def all(self) -> list[Worker]:
        return [worker for workers in self._workers.values() for worker in workers]

    def add(self, worker: Worker) -> bool:
        """True when no job of its kind was waited with before: it is the first, or all others went long ago. Raises
        Unavailable."""
        if sum(map(len, self._workers.values())) >= MAX_WORKERS:
            raise Unavailable("This server has as many agent workers as it may have.")
        self._forget_old()
        new_kind = worker.kind not in self._workers and worker.kind not in self._left
        self._workers.setdefault(worker.kind, []).append(worker)
        self._left.pop(worker.kind, None)
        self.wake()
        return new_kind

    def remove(self, worker: Worker) -> None:
        workers = self._workers.get(worker.kind, [])
        if worker in workers:
            workers.remove(worker)
        if not workers:
            self._workers.pop(worker.kind, None)
            self._forget_old()
            self._left[worker.kind] = self._clock()
        worker.lost()

    def _forget_old(self) -> None:
        since = self._clock() - EXPECTED_BACK_S
        self._left = {kind: left for kind, left in self._left.items() if left > since}

    def kinds(self, tenant: str, agent_name: str, job_type: "JobType", deployment: str) -> list[WorkerKind]:
        """Those that have workers or lost their last one just now: one for each namespace."""
        self._forget_old()
        known = {*self._workers, *self._left}
        return [kind for kind in known if kind.serves(tenant, agent_name, job_type, deployment)]

    def choose(self, kind: WorkerKind, without: Collection[Worker]) -> Worker | None:
        """One that has room, by chance, the less loaded the likelier."""
        free = [w for w in self._workers.get(kind, []) if w.capacity > 0 and w not in without]
        if not free:
            return None
        return self._random.choices(free, [worker.capacity for worker in free])[0]

    def wake(self) -> None:
        """Somebody came, or has room again."""
        self._changed.set()
        self._changed = asyncio.Event()

    async def changed(self, within_s: float) -> None:
        """Waits for that, at most so long."""
        try:
            await asyncio.wait_for(self._changed.wait(), within_s)
        except TimeoutError:
            return
