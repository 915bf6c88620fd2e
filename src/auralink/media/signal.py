"""LiveKit's signalling over a WebSocket: `/rtc` (two peer connections) and `/rtc/v1` (one)."""

import asyncio
import contextlib
from dataclasses import dataclass
from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Query, Request, WebSocket, WebSocketDisconnect
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from livekit.protocol.models import DisconnectReason
from livekit.protocol.rtc import JoinRequest, LeaveRequest, SignalRequest, SignalResponse
from starlette.requests import HTTPConnection
from starlette.responses import PlainTextResponse, Response
from starlette.types import Message

from auralink.kit.errors import AuraError
from auralink.media.encoding import Encoder
from auralink.media.join import decode_join_request
from auralink.media.join_query import join_request_of
from auralink.media.joining import PING_TIMEOUT_S, Joining
from auralink.media.participant import Connection
from auralink.media.room import leave
from auralink.media.session import Session
from auralink.media.signal_queue import Pace, SignalQueue
from auralink.media.tokens import Claims, KeyRing, TokenRefused

log = structlog.get_logger(__name__)

DUAL_PATH, SINGLE_PATH = "/rtc", "/rtc/v1"
_SILENCE_S = 3.0 * PING_TIMEOUT_S
"""A client that says nothing for so long has lost its signal connection; it sends a ping every few seconds."""
_GOODBYE_S = 5.0
_COMES_AGAIN_S = 20.0
"""A client told to connect anew closes the signal connection itself. While the Rust SDK resumes, it takes one that is
closed for it for one to be resumed, and forgets what it was told; it waits 15 s for the media before it looks."""
_LAST_WORDS = 100
"""Messages of such a client; after that many it is not coming again."""
_TOO_SLOW, _BAD_MESSAGE, _NORMAL = 1013, 1007, 1000


def signal_router(joining: Joining, keys: KeyRing) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    encoder = Encoder()

    @router.get("/")
    async def alive() -> Response:
        return PlainTextResponse("OK")

    async def validate(
        request: Request,
        access_token: Annotated[str, Query(max_length=65_536)] = "",
        join_request: Annotated[str, Query(max_length=2_000_000)] = "",
        authorization: Annotated[str, Header(max_length=65_536)] = "",
    ) -> Response:
        """The checks of a join without joining: clients ask when a WebSocket fails, to learn why."""
        try:
            wanted = _wanted(keys, request, authorization, access_token, join_request, strict=True)
            joining.check(wanted.claims)
        except AuraError as error:
            return _refusal(error)
        return PlainTextResponse("success")

    async def signal(socket: WebSocket) -> None:
        query = socket.query_params
        token, join = query.get("access_token", ""), query.get("join_request", "")
        try:
            wanted = _wanted(keys, socket, socket.headers.get("authorization", ""), token, join, strict=False)
            joining.check(wanted.claims)
        except AuraError as error:
            await socket.send_denial_response(_refusal(error))
            return
        await socket.accept()
        await SignalConnection(socket, joining, encoder).run(wanted)

    for path in (DUAL_PATH, SINGLE_PATH):
        router.add_api_websocket_route(path, signal)
        router.add_api_route(f"{path}/validate", validate)
    return router


@dataclass(frozen=True)
class Wanted:
    """What a client that may connect asks for."""

    claims: Claims
    request: JoinRequest
    dual: bool


def _wanted(
    keys: KeyRing, connection: HTTPConnection, authorization: str, access_token: str, join_request: str, *, strict: bool
) -> Wanted:
    """Raises what the client is told. A join request says that the client wants one peer connection, on either path."""
    claims = _claims(keys, authorization, access_token)
    query = connection.query_params
    dual = not join_request and str(connection.scope["path"]).removesuffix("/validate").endswith(DUAL_PATH)
    if dual:
        claims = claims.publishing_twin(name) if (name := query.get("publish")) else claims
        request = join_request_of(query, strict=strict)
    else:
        request = decode_join_request(join_request)
    if (request.metadata or request.participant_attributes) and not claims.video.can_update_own_metadata:
        raise TokenRefused("the token does not permit setting one's own metadata")
    return Wanted(claims, request, dual)


def _claims(keys: KeyRing, authorization: str, parameter: str) -> Claims:
    token = authorization.removeprefix("Bearer ").strip() or parameter
    if not token:
        raise TokenRefused("no access token")
    claims = keys.verify(token)
    if not claims.video.room_join or not claims.video.room:
        raise TokenRefused("the token does not permit joining a room")
    return claims


def _refusal(error: AuraError) -> Response:
    """LiveKit clients read plain text and decide by the status."""
    status = 400 if error.status == 422 else error.status
    return PlainTextResponse(error.detail or error.title, status)


class SignalConnection:
    """Owner of one WebSocket and its queue of messages to send."""

    def __init__(self, socket: WebSocket, joining: Joining, encoder: Encoder) -> None:
        self._socket = socket
        self._joining = joining
        self._encoder = encoder
        self._queue = SignalQueue(joining.limits)
        self._pace = Pace(joining.limits.requests_burst, joining.limits.requests_per_s)
        self._closed = False
        self._silence: asyncio.Timeout | None = None
        self._code = _NORMAL
        self._json = False
        self._comes_again = False

    async def run(self, wanted: Wanted) -> None:
        connection = Connection(send=self._send, close=self._close)
        session = self._enter(wanted, connection)
        writer = asyncio.create_task(self._write(), name="signal-writer")
        try:
            if session is not None:
                await self._read(session)
        finally:
            self._silence = None
            if session is not None:
                self._joining.signal_lost(session, connection)
            self._close()
            with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
                await asyncio.wait_for(writer, _GOODBYE_S)
                if self._comes_again and session is not None:
                    await self._until_gone()
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await self._socket.close(self._code)

    def _enter(self, wanted: Wanted, connection: Connection) -> Session | None:
        claims, request = wanted.claims, wanted.request
        if not request.reconnect:
            try:
                return self._joining.join(claims, request, connection, dual=wanted.dual)
            except AuraError as error:
                log.info("media.join_refused", reason=error.title)
                self._send(leave(DisconnectReason.JOIN_FAILURE))
                return None
        session = self._joining.resume(claims, request, connection)
        if session is None:
            self._send(leave(DisconnectReason.STATE_MISMATCH, LeaveRequest.Action.RECONNECT))
        return session

    def _send(self, message: SignalResponse) -> None:
        if self._closed:
            return
        self._comes_again = message.leave.action == LeaveRequest.Action.RECONNECT
        encoded = json_format.MessageToJson(message, indent=None) if self._json else self._encoder.encode(message)
        if not self._queue.put(encoded):
            log.warning("media.signal_slow_reader")
            self._code = _TOO_SLOW
            self._close()

    def _close(self) -> None:
        """After what is queued has been sent."""
        if self._closed:
            return
        self._closed = True
        self._queue.end()
        if self._silence and not self._silence.expired():
            self._silence.reschedule(0)  # wakes the reader

    async def _until_gone(self) -> None:
        async with asyncio.timeout(_COMES_AGAIN_S):
            for _ in range(_LAST_WORDS):
                if (await self._socket.receive())["type"] != "websocket.receive":
                    return

    async def _write(self) -> None:
        while (message := await self._queue.get()) is not None:
            if isinstance(message, str):
                await self._socket.send_text(message)
            else:
                await self._socket.send_bytes(message)

    async def _read(self, session: Session) -> None:
        """Until the connection is over, whoever ends it, or the client falls silent."""
        clock = asyncio.get_running_loop().time
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_SILENCE_S) as self._silence:
                while not self._closed:
                    self._silence.reschedule(clock() + _SILENCE_S)
                    request = self._request(await self._socket.receive())
                    if request is None:
                        return
                    session.handle(request)
                    if wait := self._pace.take():
                        await asyncio.sleep(wait)

    def _request(self, message: Message) -> SignalRequest | None:
        """None when nothing more comes, or nothing of use."""
        if message["type"] != "websocket.receive":
            return None
        try:
            return self._parse(message.get("bytes"), message.get("text"))
        except (DecodeError, json_format.ParseError) as error:
            log.info("media.signal_malformed", reason=type(error).__name__)
            self._code = _BAD_MESSAGE
            return None

    def _parse(self, binary: bytes | None, text: str | None) -> SignalRequest:
        if len(binary or text or "") > self._joining.limits.signal_message_bytes:
            raise DecodeError("too large")
        if binary is not None:
            return SignalRequest.FromString(binary)
        self._json = True
        return json_format.Parse(text or "", SignalRequest(), ignore_unknown_fields=True)
