"""LiveKit's RoomService over Twirp: what servers ask of rooms. https://twitchtv.github.io/twirp/docs/spec_v7.html"""

import inspect
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import structlog
from fastapi import APIRouter, Request
from google.protobuf import json_format
from google.protobuf.message import DecodeError, Message
from livekit.protocol.models import DataPacket, DisconnectReason, ParticipantInfo, UserPacket
from livekit.protocol.models import Room as RoomInfo
from livekit.protocol.room import (
    CreateRoomRequest,
    DeleteRoomRequest,
    DeleteRoomResponse,
    ListParticipantsRequest,
    ListParticipantsResponse,
    ListRoomsRequest,
    ListRoomsResponse,
    MuteRoomTrackRequest,
    MuteRoomTrackResponse,
    PerformRpcRequest,
    PerformRpcResponse,
    RemoveParticipantResponse,
    RoomConfiguration,
    RoomParticipantIdentity,
    SendDataRequest,
    SendDataResponse,
    UpdateParticipantRequest,
    UpdateRoomMetadataRequest,
    UpdateSubscriptionsRequest,
    UpdateSubscriptionsResponse,
)
from livekit.protocol.rtc import MuteTrackRequest, SignalResponse
from starlette.responses import Response

from auralink.kit.errors import AuraError
from auralink.media import data
from auralink.media.participant import Participant
from auralink.media.room import Room, leave
from auralink.media.rooms import Rooms
from auralink.media.server_rpc import RpcFailed
from auralink.media.session import apply_metadata
from auralink.media.tokens import Claims, KeyRing

log = structlog.get_logger(__name__)

_STATUS = {
    "malformed": 400,
    "invalid_argument": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "bad_route": 404,
    "failed_precondition": 412,
    "resource_exhausted": 429,
    "internal": 500,
    "unimplemented": 501,
    "unavailable": 503,
    "deadline_exceeded": 408,
    "canceled": 408,
}
_OTHER_METHODS = frozenset({"ForwardParticipant", "MoveParticipant"})
_OTHER_SERVICES = frozenset({"AgentDispatchService", "Egress", "Ingress", "SIP", "Connector"})
"""What LiveKit has and this server has not: answered `unimplemented`, so that callers can tell it from a slip."""


class TwirpError(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Method:
    request: Callable[[], Any]
    run: Callable[[Any, Claims], Message | Awaitable[Message]]


def room_service_router(rooms: Rooms, keys: KeyRing) -> APIRouter:
    router = APIRouter(include_in_schema=False)
    methods = RoomService(rooms).methods()

    @router.post("/twirp/livekit.RoomService/{name}")
    async def call(name: str, request: Request) -> Response:
        try:
            method = methods.get(name)
            if method is None and name in _OTHER_METHODS:
                raise TwirpError("unimplemented", f"{name} is not supported by this server.")
            if method is None:
                raise TwirpError("bad_route", f"no such method: {name}")
            claims = _claims(keys, request)
            as_json = request.headers.get("content-type", "").partition(";")[0].strip() == "application/json"
            message = _parse(await request.body(), method.request(), as_json)
            result = method.run(message, claims)
            return _answer(await result if inspect.isawaitable(result) else result, as_json)
        except TwirpError as error:
            return _error(error.code, str(error))
        except AuraError as error:
            return _error(error.twirp, error.detail or error.title)

    @router.post("/twirp/livekit.{service}/{name}")
    async def elsewhere(service: str, name: str) -> Response:
        if service in _OTHER_SERVICES:
            return _error("unimplemented", f"{service} is not part of this server.")
        return _error("bad_route", f"no such method: livekit.{service}/{name}")

    return router


def _claims(keys: KeyRing, request: Request) -> Claims:
    token = request.headers.get("authorization", "").removeprefix("Bearer ").strip()
    if not token:
        raise TwirpError("unauthenticated", "no access token")
    return keys.verify(token)


def _parse(body: bytes, message: Any, as_json: bool) -> Any:
    try:
        if as_json:
            return json_format.Parse(body or b"{}", message, ignore_unknown_fields=True)
        message.ParseFromString(body)
    except (DecodeError, json_format.ParseError, UnicodeDecodeError) as error:
        raise TwirpError("malformed", "the request cannot be read") from error
    return message


def _answer(message: Message, as_json: bool) -> Response:
    if as_json:
        text = json_format.MessageToJson(
            message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True, indent=None
        )
        return Response(text, media_type="application/json")
    return Response(message.SerializeToString(), media_type="application/protobuf")


def _error(code: str, message: str) -> Response:
    content = json.dumps({"code": code, "msg": message})
    return Response(content, _STATUS.get(code, 500), media_type="application/json")


class RoomService:
    """Each method checks what the token grants, then acts at once on the event loop."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def methods(self) -> dict[str, Method]:
        return {
            "CreateRoom": Method(CreateRoomRequest, self._create),
            "ListRooms": Method(ListRoomsRequest, self._list),
            "DeleteRoom": Method(DeleteRoomRequest, self._delete),
            "ListParticipants": Method(ListParticipantsRequest, self._list_participants),
            "GetParticipant": Method(RoomParticipantIdentity, self._get_participant),
            "RemoveParticipant": Method(RoomParticipantIdentity, self._remove_participant),
            "MutePublishedTrack": Method(MuteRoomTrackRequest, self._mute),
            "UpdateParticipant": Method(UpdateParticipantRequest, self._update_participant),
            "UpdateSubscriptions": Method(UpdateSubscriptionsRequest, self._update_subscriptions),
            "SendData": Method(SendDataRequest, self._send_data),
            "PerformRpc": Method(PerformRpcRequest, self._perform_rpc),
            "UpdateRoomMetadata": Method(UpdateRoomMetadataRequest, self._update_metadata),
        }

    def _create(self, request: CreateRoomRequest, claims: Claims) -> RoomInfo:
        _permit(claims.video.room_create, "roomCreate")
        if len(request.metadata.encode()) > self._rooms.limits.metadata_bytes:
            raise TwirpError("invalid_argument", "metadata is too large")
        known = self._rooms.find(request.name, tenant=claims.tenant)
        config = RoomConfiguration(
            empty_timeout=request.empty_timeout,
            departure_timeout=request.departure_timeout,
            max_participants=request.max_participants,
            metadata=request.metadata,
        )
        room = known or self._rooms.open(request.name, config, tenant=claims.tenant)
        return room.info()

    def _list(self, request: ListRoomsRequest, claims: Claims) -> ListRoomsResponse:
        _permit(claims.video.room_list, "roomList")
        names = set(request.names)
        found = [room.info() for room in self._rooms.of(claims.tenant) if not names or room.name in names]
        return ListRoomsResponse(rooms=found)

    def _delete(self, request: DeleteRoomRequest, claims: Claims) -> DeleteRoomResponse:
        _permit(claims.video.room_create, "roomCreate")
        self._existing(request.room, claims).close(DisconnectReason.ROOM_DELETED)
        return DeleteRoomResponse()

    def _list_participants(self, request: ListParticipantsRequest, claims: Claims) -> ListParticipantsResponse:
        room = self._administered(request.room, claims)
        return ListParticipantsResponse(participants=[p.info() for p in room.participants.values()])

    def _get_participant(self, request: RoomParticipantIdentity, claims: Claims) -> ParticipantInfo:
        return _present(self._administered(request.room, claims), request.identity).info()

    def _remove_participant(self, request: RoomParticipantIdentity, claims: Claims) -> RemoveParticipantResponse:
        room = self._administered(request.room, claims)
        me = _present(room, request.identity)
        me.send(leave(DisconnectReason.PARTICIPANT_REMOVED))
        room.remove(me, DisconnectReason.PARTICIPANT_REMOVED)
        me.disconnect_signal()
        return RemoveParticipantResponse()

    def _mute(self, request: MuteRoomTrackRequest, claims: Claims) -> MuteRoomTrackResponse:
        room = self._administered(request.room, claims)
        me = _present(room, request.identity)
        track = me.tracks.get(request.track_sid)
        if track is None:
            raise TwirpError("not_found", "track does not exist")
        if track.info.muted and not request.muted and not self._rooms.defaults.remote_unmute:
            # As LiveKit's default: nobody's microphone is opened from afar.
            raise TwirpError("failed_precondition", "remote unmute is not enabled")
        room.set_muted(track, request.muted)
        me.send(SignalResponse(mute=MuteTrackRequest(sid=request.track_sid, muted=request.muted)))
        return MuteRoomTrackResponse(track=track.info)

    def _update_participant(self, request: UpdateParticipantRequest, claims: Claims) -> ParticipantInfo:
        room = self._administered(request.room, claims)
        me = _present(room, request.identity)
        problem = self._rooms.limits.metadata_problem(
            request.name, request.metadata, {**me.attributes, **request.attributes}
        )
        if problem:
            raise TwirpError("invalid_argument", problem)
        apply_metadata(me, request.name, request.metadata, request.attributes)
        if request.HasField("permission"):
            self._rooms.set_permission(room, me, request.permission)
        else:
            room.broadcast_participant(me)
        return me.info()

    def _update_subscriptions(self, request: UpdateSubscriptionsRequest, claims: Claims) -> UpdateSubscriptionsResponse:
        room = self._administered(request.room, claims)
        sids = [*request.track_sids, *(sid for p in request.participant_tracks for sid in p.track_sids)]
        room.wish(_present(room, request.identity), sids, request.subscribe)
        return UpdateSubscriptionsResponse()

    def _send_data(self, request: SendDataRequest, claims: Claims) -> SendDataResponse:
        room = self._administered(request.room, claims)
        if len(request.data) > self._rooms.limits.data_bytes:
            raise TwirpError("invalid_argument", "the message is too large")
        if len(request.nonce) not in (0, 16):
            message = f"nonce should be 16-bytes or not present, got: {len(request.nonce)} bytes"
            raise TwirpError("invalid_argument", message)
        user = UserPacket(payload=request.data, destination_sids=request.destination_sids, nonce=request.nonce)
        if request.HasField("topic"):
            user.topic = request.topic
        packet = DataPacket(kind=request.kind, user=user, destination_identities=request.destination_identities)
        data.send(room, packet)
        return SendDataResponse()

    async def _perform_rpc(self, request: PerformRpcRequest, claims: Claims) -> PerformRpcResponse:
        """The server is the caller. Who is not there does not answer, as LiveKit puts it."""
        _permit(claims.video.room_admin and claims.video.room == request.room, "roomAdmin of this room")
        if not request.destination_identity:
            raise TwirpError("invalid_argument", "destination identity is required")
        room = self._rooms.find(request.room, tenant=claims.tenant)
        callee = room.participants.get(request.destination_identity) if room else None
        if room is None or callee is None or not callee.active:
            raise TwirpError("unavailable", "no response from servers")
        try:
            payload = await callee.calls.perform(
                room.engine, callee.peer, request.method, request.payload, request.response_timeout_ms
            )
        except RpcFailed as failure:
            raise TwirpError(failure.twirp, str(failure)) from failure
        return PerformRpcResponse(payload=payload)

    def _update_metadata(self, request: UpdateRoomMetadataRequest, claims: Claims) -> RoomInfo:
        room = self._administered(request.room, claims)
        if len(request.metadata.encode()) > self._rooms.limits.metadata_bytes:
            raise TwirpError("invalid_argument", "metadata is too large")
        room.set_metadata(request.metadata)
        return room.info()

    def _administered(self, name: str, claims: Claims) -> Room:
        _permit(claims.video.room_admin and claims.video.room == name, "roomAdmin of this room")
        return self._existing(name, claims)

    def _existing(self, name: str, claims: Claims) -> Room:
        room = self._rooms.find(name, tenant=claims.tenant)
        if room is None:
            raise TwirpError("not_found", "requested room does not exist")
        return room


def _permit(granted: bool, what: str) -> None:
    if not granted:
        # LiveKit answers unauthenticated, not permission_denied, and clients' tests rely on it.
        raise TwirpError("unauthenticated", f"permissions denied: the token does not grant {what}")


def _present(room: Room, identity: str) -> Participant:
    participant = room.participants.get(identity)
    if participant is None:
        raise TwirpError("not_found", "participant does not exist")
    return participant
