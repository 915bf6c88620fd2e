"""`/rtc/v1`: LiveKit's signalling over a WebSocket, one peer connection. `/rtc` answers 404 until it is complete, which
sends clients of both paths to the right one."""

import asyncio
import contextlib
from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Query, WebSocket, WebSocketDisconnect
from google.protobuf import json_format
from google.protobuf.message import DecodeError
from livekit.protocol.models import DisconnectReason
from livekit.protocol.rtc import JoinRequest, LeaveRequest, SignalRequest, SignalResponse
from starlette.responses import PlainTextResponse, Response

from auralink.kit.errors import AuraError
from auralink.media.join import decode_join_request
from auralink.media.participant import Connection
from auralink.media.room import leave
from auralink.media.rooms import PING_TIMEOUT_S, Rooms
from auralink.media.session import Session
from auralink.media.tokens import Claims, KeyRing, TokenRefused

log = structlog.get_logger(__name__)

_SILENCE_S = 3.0 * PING_TIMEOUT_S
"""A client that says nothing for so long has lost its signal connection; it sends a ping every few seconds."""
_GOODBYE_S = 5.0
_TOO_SLOW, _BAD_MESSAGE, _NORMAL = 1013, 1007, 1000


def signal_router(rooms: Rooms, keys: KeyRing) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def alive() -> Response:
        return PlainTextResponse("OK")

    @router.get("/rtc/v1/validate")
    async def validate(
        access_token: Annotated[str, Query(max_length=65_536)] = "",
        join_request: Annotated[str, Query(max_length=2_000_000)] = "",
        authorization: Annotated[str, Header(max_length=65_536)] = "",
    ) -> Response:
        """The checks of a join without joining: clients ask when a WebSocket fails, to learn why."""
        try:
            claims = _claims(keys, authorization, access_token)
            if join_request:
                decode_join_request(join_request)
            rooms.check(claims)
        except AuraError as error:
            return _refusal(error)
        return PlainTextResponse("success")

    @router.websocket("/rtc/v1")
    async def signal(socket: WebSocket) -> None:
        query = socket.query_params
        try:
            claims = _claims(keys, socket.headers.get("authorization", ""), query.get("access_token", ""))
            request = decode_join_request(query.get("join_request", ""))
            rooms.check(claims)
        except AuraError as error:
            await socket.send_denial_response(_refusal(error))
            return
        await socket.accept()
        await SignalConnection(socket, rooms).run(claims, request)

    return router


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

    def __init__(self, socket: WebSocket, rooms: Rooms) -> None:
        self._socket = socket
        self._rooms = rooms
        self._queue: asyncio.Queue[SignalResponse | None] = asyncio.Queue(rooms.limits.queued_messages)
        self._closing = asyncio.Event()
        self._code = _NORMAL
        self._json = False

    async def run(self, claims: Claims, request: JoinRequest) -> None:
        connection = Connection(send=self._send, close=self._close)
        session = self._enter(claims, request, connection)
        writer = asyncio.create_task(self._write(), name="signal-writer")
        try:
            if session is not None:
                await self._read(session)
        finally:
            if session is not None:
                self._rooms.signal_lost(session, connection)
            self._close()
            with contextlib.suppress(TimeoutError, WebSocketDisconnect, RuntimeError):
                await asyncio.wait_for(writer, _GOODBYE_S)
            with contextlib.suppress(RuntimeError, WebSocketDisconnect):
                await self._socket.close(self._code)

    def _enter(self, claims: Claims, request: JoinRequest, connection: Connection) -> Session | None:
        if not request.reconnect:
            try:
                return self._rooms.join(claims, request, connection)
            except AuraError as error:
                log.info("media.join_refused", reason=error.title)
                self._send(leave(DisconnectReason.JOIN_FAILURE))
                return None
        session = self._rooms.resume(claims, request, connection)
        if session is None:
            self._send(leave(DisconnectReason.STATE_MISMATCH, LeaveRequest.Action.RECONNECT))
        return session

    def _send(self, message: SignalResponse) -> None:
        if self._closing.is_set():
            return
        try:
            self._queue.put_nowait(message)
        except asyncio.QueueFull:
            log.warning("media.signal_slow_reader")
            self._code = _TOO_SLOW
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

    async def _read(self, session: Session) -> None:
        closing = asyncio.create_task(self._closing.wait(), name="signal-closing")
        try:
            while not self._closing.is_set():
                request = await self._next(closing)
                if request is None:
                    return
                session.handle(request)
        finally:
            closing.cancel()

    async def _next(self, closing: "asyncio.Task[bool]") -> SignalRequest | None:
        """The next request; None when the connection is over, whoever ended it."""
        receive = asyncio.ensure_future(self._socket.receive())
        done, _ = await asyncio.wait({receive, closing}, timeout=_SILENCE_S, return_when=asyncio.FIRST_COMPLETED)
        if receive not in done:
            receive.cancel()
            with contextlib.suppress(asyncio.CancelledError, WebSocketDisconnect, RuntimeError):
                await receive
            return None
        message = receive.result()
        if message["type"] != "websocket.receive":
            return None
        try:
            return self._parse(message.get("bytes"), message.get("text"))
        except (DecodeError, json_format.ParseError) as error:
            log.info("media.signal_malformed", reason=type(error).__name__)
            self._code = _BAD_MESSAGE
            return None

    def _parse(self, binary: bytes | None, text: str | None) -> SignalRequest:
        if len(binary or text or "") > self._rooms.limits.signal_message_bytes:
            raise DecodeError("too large")
        if binary is not None:
            return SignalRequest.FromString(binary)
        self._json = True
        return json_format.Parse(text or "", SignalRequest(), ignore_unknown_fields=True)
