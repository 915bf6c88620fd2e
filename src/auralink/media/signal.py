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

from auralink.kit.errors import AuraError
from auralink.kit.http.handover import hand_over
from auralink.media.encoding import Encoder
from auralink.media.join import decode_join_request
from auralink.media.join_query import join_request_of
from auralink.media.joining import Joining
from auralink.media.participant import Connection
from auralink.media.room import leave
from auralink.media.session import Session
from auralink.media.signal_sockets import SignalSocket, SignalSockets
from auralink.media.tokens import Claims, KeyRing, TokenRefused

log = structlog.get_logger(__name__)

DUAL_PATH, SINGLE_PATH = "/rtc", "/rtc/v1"
_COMES_AGAIN_S = 20.0
"""A client told to connect anew closes the signal connection itself. While the Rust SDK resumes, it takes one that is
closed for it for one to be resumed, and forgets what it was told; it waits 15 s for the media before it looks."""
_NORMAL, _BAD_MESSAGE, _FAILED, _TOO_SLOW = 1000, 1007, 1011, 1013


def signal_router(joining: Joining, keys: KeyRing, sockets: SignalSockets) -> APIRouter:
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
        connection = SignalConnection(joining, encoder)
        try:
            adopted = hand_over(socket, lambda fd, head: sockets.adopt(fd, head, connection.received))
        except WebSocketDisconnect:
            return
        try:
            await connection.run(adopted, wanted)
        finally:
            sockets.forget(adopted)

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
    """What one client says and is told over its WebSocket, which it closes."""

    def __init__(self, joining: Joining, encoder: Encoder) -> None:
        self._joining = joining
        self._encoder = encoder
        self._session: Session | None = None
        self._over = asyncio.Event()
        """The connection is, for the client or for us."""
        self._gone = asyncio.Event()
        """Its client is."""
        self._closed = False
        self._code = _NORMAL
        self._json = False
        self._comes_again = False

    async def run(self, socket: SignalSocket, wanted: Wanted) -> None:
        """Until the connection is over, whoever ends it."""
        self._socket = socket
        connection = Connection(send=self._send, close=self._close, silent_s=socket.silent_for_s)
        try:
            self._session = self._enter(wanted, connection)
            if self._session is not None:
                await self._over.wait()
                self._leave(connection)
                if self._comes_again:
                    await self._until_gone()
        finally:
            self._leave(connection)
            socket.close(self._code)

    def received(self, message: bytes | str | None) -> None:
        if message is None:
            self._gone.set()
            self._close()
        if message is None or self._closed or self._session is None:
            return
        try:
            self._session.handle(self._parse(message))
        except (DecodeError, json_format.ParseError) as error:
            log.info("media.signal_malformed", reason=type(error).__name__)
            self._code = _BAD_MESSAGE
            self._close()
        except Exception:
            log.exception("media.signal_failed")
            self._code = _FAILED
            self._close()

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

    def _leave(self, connection: Connection) -> None:
        self._closed = True
        if self._session is not None:
            self._joining.signal_lost(self._session, connection)
            self._session = None

    def _send(self, message: SignalResponse) -> None:
        if self._closed:
            return
        self._comes_again = message.leave.action == LeaveRequest.Action.RECONNECT
        encoded = json_format.MessageToJson(message, indent=None) if self._json else self._encoder.encode(message)
        if not self._socket.send(encoded):
            log.warning("media.signal_slow_reader")
            self._code = _TOO_SLOW
            self._close()

    def _close(self) -> None:
        """After what is queued has been sent."""
        self._closed = True
        self._over.set()

    async def _until_gone(self) -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._gone.wait(), _COMES_AGAIN_S)

    def _parse(self, message: bytes | str) -> SignalRequest:
        if isinstance(message, bytes):
            return SignalRequest.FromString(message)
        self._json = True
        return json_format.Parse(message, SignalRequest(), ignore_unknown_fields=True)
