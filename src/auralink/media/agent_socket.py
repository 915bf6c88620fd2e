"""`/agent`: the WebSocket over which agent workers wait for jobs. LiveKit's agent protocol, version 1."""

import asyncio
import contextlib
import time

import structlog
from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from livekit.protocol.agent import (
    Job,
    JobState,
    JobType,
    RegisterWorkerRequest,
    RegisterWorkerResponse,
    ServerMessage,
    SimulateJobRequest,
    WorkerMessage,
    WorkerPong,
)
from livekit.protocol.models import ParticipantPermission, ServerInfo
from starlette.responses import PlainTextResponse

from auralink.kit.errors import AuraError
from auralink.media.agent_jobs import AgentJobs
from auralink.media.agent_workers import Worker, WorkerKind
from auralink.media.limits import Limits
from auralink.media.sids import new_sid
from auralink.media.tokens import Claims, KeyRing, TokenRefused

log = structlog.get_logger(__name__)

REGISTER_S = 10.0
SILENCE_S = 60.0
"""A worker reports its load every few seconds; one that says nothing for so long is gone."""
_QUEUED = 1_000
"""Messages waiting for one worker; one that reads slower is disconnected."""
_GOODBYE_S = 5.0
MAX_DEPLOYMENT_BYTES = 64
_NORMAL, _GOING_AWAY, _BAD_MESSAGE, _REFUSED, _TOO_SLOW = 1000, 1001, 1007, 1008, 1013


class BadRegistration(Exception):
    """What is wrong with it."""


def agent_router(jobs: AgentJobs, keys: KeyRing, limits: Limits, server_info: ServerInfo) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.websocket("/agent")
    async def worker(socket: WebSocket) -> None:
        try:
            claims = _claims(keys, socket)
        except AuraError as error:
            await socket.send_denial_response(PlainTextResponse(error.detail or error.title, error.status))
            return
        await socket.accept()
        await AgentSocket(socket, jobs, limits, server_info).run(claims)

    return router


def _claims(keys: KeyRing, socket: WebSocket) -> Claims:
    given = socket.headers.get("authorization", "")
    token = given.removeprefix("Bearer ").strip() or socket.query_params.get("access_token", "")
    if not token:
        raise TokenRefused("permissions denied: no access token")
    claims = keys.verify(token)
    if not claims.video.agent:
        raise TokenRefused("permissions denied: the token does not grant agent")
    return claims


def deployment_problem(deployment: str) -> str | None:
    """What is wrong with a deployment's name, if anything."""
    if len(deployment.encode()) > MAX_DEPLOYMENT_BYTES:
        return f"deployment exceeds {MAX_DEPLOYMENT_BYTES} bytes"
    if "_" in deployment:
        return "deployment contains reserved character '_'"
    if any(character <= " " or character == "\x7f" for character in deployment):
        return "deployment contains whitespace or control characters"
    return None


class AgentSocket:
    """Owner of one worker's WebSocket and its queue of messages to send."""

    def __init__(self, socket: WebSocket, jobs: AgentJobs, limits: Limits, server_info: ServerInfo) -> None:
        self._socket = socket
        self._jobs = jobs
        self._limits = limits
        self._server_info = server_info
        self._queue: asyncio.Queue[ServerMessage | None] = asyncio.Queue(_QUEUED)
        self._closing = asyncio.Event()
        self._code = _NORMAL
        self._json = False

    async def run(self, claims: Claims) -> None:
        writer = asyncio.create_task(self._write(), name="agent-writer")
        try:
            await self._serve(claims)
        except (DecodeError, json_format.ParseError):
            self._code = _BAD_MESSAGE
        except BadRegistration as error:
            log.info("media.agent_worker_refused", reason=str(error))
            self._code = _REFUSED
        except (TimeoutError, WebSocketDisconnect) as error:
            log.info("media.agent_worker_silent", reason=type(error).__name__)
        finally:
            self._close()
            with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
                await asyncio.wait_for(writer, _GOODBYE_S)
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await self._socket.close(self._code)

    async def _serve(self, claims: Claims) -> None:
        async with asyncio.timeout(REGISTER_S):
            worker = await self._registered(claims)
        if worker is None:
            return
        pool = self._jobs.pool
        try:
            self._jobs.worker_came(worker)
        except AuraError as error:
            raise BadRegistration(str(error)) from error
        answer = RegisterWorkerResponse(worker_id=worker.id, server_info=self._server_info)
        self._send(ServerMessage(register=answer))
        log.info("media.agent_worker_registered", worker=worker.id, agent=worker.kind.agent_name)
        try:
            while (message := await self._next(SILENCE_S)) is not None:
                self._handle(worker, message)
        finally:
            pool.remove(worker)
            self._jobs.worker_lost(worker)
            log.info("media.agent_worker_gone", worker=worker.id, jobs=len(worker.jobs))

    async def _registered(self, claims: Claims) -> Worker | None:
        while (message := await self._next(REGISTER_S)) is not None:
            if message.HasField("ping"):
                self._pong(message.ping.timestamp)
            elif message.HasField("register"):
                return self._worker(claims, message.register)
            else:
                raise BadRegistration("the first message must register the worker")
        return None

    def _worker(self, claims: Claims, request: RegisterWorkerRequest) -> Worker:
        if request.type not in (JobType.JT_ROOM, JobType.JT_PUBLISHER, JobType.JT_PARTICIPANT):
            raise BadRegistration("unknown job type")
        if problem := deployment_problem(request.deployment):
            raise BadRegistration(problem)
        texts = (request.agent_name, request.namespace, request.version)
        if any(len(text.encode()) > self._limits.name_bytes for text in texts):
            raise BadRegistration("a name is too long")
        permissions = ParticipantPermission(
            can_subscribe=True, can_publish=True, can_publish_data=True, can_update_metadata=True
        )
        if request.HasField("allowed_permissions"):
            permissions = request.allowed_permissions
        kind = WorkerKind(claims.tenant, request.agent_name, request.type, request.namespace, request.deployment)
        return Worker(kind, claims.api_key, permissions, self._send, self._send_away, version=request.version)

    def _handle(self, worker: Worker, message: WorkerMessage) -> None:
        match message.WhichOneof("message"):
            case "availability":
                worker.answered(message.availability)
            case "update_worker":
                update = message.update_worker
                worker.report(update.status if update.HasField("status") else None, update.load)
                if update.draining:
                    worker.full = True
                if worker.capacity:
                    self._jobs.pool.wake()
            case "update_job":
                self._jobs.updated(worker, message.update_job)
            case "ping":
                self._pong(message.ping.timestamp)
            case "simulate_job":
                self._jobs.simulate(worker, _simulated(worker, message.simulate_job))
            case "migrate_job":
                self._jobs.adopted(worker, message.migrate_job)
            case other:
                log.debug("media.agent_message_ignored", message=other)

    def _pong(self, last: int) -> None:
        self._send(ServerMessage(pong=WorkerPong(last_timestamp=last, timestamp=time.time_ns() // 1_000_000)))

    def _send(self, message: ServerMessage) -> None:
        if self._closing.is_set():
            return
        try:
            self._queue.put_nowait(message)
        except asyncio.QueueFull:
            log.warning("media.agent_worker_slow_reader")
            self._code = _TOO_SLOW
            self._close()

    def _send_away(self) -> None:
        self._code = _GOING_AWAY
        self._close()

    def _close(self) -> None:
        """After what is queued has been sent."""
        if not self._closing.is_set():
            self._closing.set()
            with contextlib.suppress(asyncio.QueueFull):
                self._queue.put_nowait(None)

    async def _write(self) -> None:
        while (message := await self._queue.get()) is not None:
            if self._json:
                await self._socket.send_text(json_format.MessageToJson(message, indent=None))
            else:
                await self._socket.send_bytes(message.SerializeToString())

    async def _next(self, within_s: float) -> WorkerMessage | None:
        """The next message; None when the connection is over, whoever ended it. Raises DecodeError, ParseError."""
        receive = asyncio.ensure_future(self._socket.receive())
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait({receive, closing}, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
            if not receive.done():
                return None
        finally:
            closing.cancel()
            if not receive.done():
                receive.cancel()
                with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                    await receive
        message = receive.result()
        if message["type"] != "websocket.receive":
            return None
        return self._parse(message.get("bytes"), message.get("text"))

    def _parse(self, binary: bytes | None, text: str | None) -> WorkerMessage:
        if len(binary or text or "") > self._limits.signal_message_bytes:
            raise DecodeError("too large")
        if binary is not None:
            return WorkerMessage.FromString(binary)
        self._json = True
        return json_format.Parse(text or "", WorkerMessage(), ignore_unknown_fields=True)


def _simulated(worker: Worker, request: SimulateJobRequest) -> Job:
    publisher = request.HasField("participant")
    return Job(
        id=new_sid("AJ_"),
        type=JobType.JT_PUBLISHER if publisher else JobType.JT_ROOM,
        room=request.room,
        participant=request.participant if publisher else None,
        namespace=worker.kind.namespace,
        agent_name=worker.kind.agent_name,
        state=JobState(),
    )
