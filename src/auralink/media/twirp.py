"""LiveKit's RoomService: what servers ask of rooms."""

from collections.abc import Mapping

import structlog
from google.protobuf.message import Message
from livekit.protocol.models import DataPacket, DisconnectReason, ParticipantInfo, UserPacket
from livekit.protocol.models import Room as RoomInfo
from livekit.protocol.room import (
    CreateRoomRequest,
    DeleteRoomRequest,
    DeleteRoomResponse,
    ForwardParticipantRequest,
    ListParticipantsRequest,
    ListParticipantsResponse,
    ListRoomsRequest,
    ListRoomsResponse,
    MoveParticipantRequest,
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

from auralink.media import data, membership, publishing, subscribing
from auralink.media.participant import Participant
from auralink.media.room import Room, leave
from auralink.media.rooms import Rooms
from auralink.media.server_rpc import RpcFailed
from auralink.media.session import apply_metadata
from auralink.media.token_refresh import refresh_token
from auralink.media.tokens import Claims, KeyRing
from auralink.media.twirp_server import Method, TwirpError, bounded, permit

log = structlog.get_logger(__name__)

METADATA_TOO_LARGE = "metadata size exceeds limits"
ATTRIBUTES_TOO_LARGE = "attribute size exceeds limits"


class RoomService:
    """Each method checks what the token grants, then acts at once on the event loop."""

    def __init__(self, rooms: Rooms, keys: KeyRing) -> None:
        self._rooms = rooms
        self._keys = keys

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
            "ForwardParticipant": Method(ForwardParticipantRequest, self._to_another_room),
            "MoveParticipant": Method(MoveParticipantRequest, self._to_another_room),
        }

    def _create(self, request: CreateRoomRequest, claims: Claims) -> RoomInfo:
        """Idempotent: a room that exists is answered as it is."""
        permit(claims.video.room_create, "roomCreate")
        limits = self._rooms.limits
        if len(request.name.encode()) > limits.name_bytes:
            raise TwirpError("invalid_argument", f"room name length exceeds limits: max length {limits.name_bytes}")
        bounded(len(request.metadata.encode()), limits.metadata_bytes, METADATA_TOO_LARGE)
        for agent in request.agents:
            bounded(len(agent.metadata.encode()), limits.metadata_bytes, METADATA_TOO_LARGE)
            bounded(size_of(agent.attributes), limits.attributes_bytes, ATTRIBUTES_TOO_LARGE)
        if request.room_preset:
            raise TwirpError("invalid_argument", "unknown room configuration in create room request")
        if request.HasField("egress"):
            # Better no room than one that is believed to be recorded.
            raise TwirpError("unimplemented", "This server has no Egress service, so it cannot record the room.")
        config = RoomConfiguration(
            empty_timeout=request.empty_timeout,
            departure_timeout=request.departure_timeout,
            max_participants=request.max_participants,
            metadata=request.metadata,
            min_playout_delay=request.min_playout_delay,
            max_playout_delay=request.max_playout_delay,
            sync_streams=request.sync_streams,
            agents=request.agents,
            tags=request.tags,
        )
        return self._rooms.open(request.name, config, tenant=claims.tenant).info()

    def _list(self, request: ListRoomsRequest, claims: Claims) -> ListRoomsResponse:
        permit(claims.video.room_list, "roomList")
        names = set(request.names)
        found = [room.info() for room in self._rooms.of(claims.tenant) if not names or room.name in names]
        return ListRoomsResponse(rooms=found)

    def _delete(self, request: DeleteRoomRequest, claims: Claims) -> DeleteRoomResponse:
        permit(claims.video.room_create, "roomCreate")
        membership.close(self._existing(request.room, claims), DisconnectReason.ROOM_DELETED)
        return DeleteRoomResponse()

    def _list_participants(self, request: ListParticipantsRequest, claims: Claims) -> ListParticipantsResponse:
        _administers(request.room, claims)
        room = self._rooms.find(request.room, tenant=claims.tenant)
        return ListParticipantsResponse(participants=[p.info() for p in room.participants.values()] if room else [])

    def _get_participant(self, request: RoomParticipantIdentity, claims: Claims) -> ParticipantInfo:
        _, me = self._somebody(request.room, request.identity, claims)
        return me.info()

    def _remove_participant(self, request: RoomParticipantIdentity, claims: Claims) -> RemoveParticipantResponse:
        room, me = self._somebody(request.room, request.identity, claims)
        if request.revoke_token_ts:
            self._rooms.revocations.revoke(claims.tenant, room.name, me.identity, request.revoke_token_ts)
        me.send(leave(DisconnectReason.PARTICIPANT_REMOVED))
        membership.remove(room, me, DisconnectReason.PARTICIPANT_REMOVED)
        me.disconnect_signal()
        return RemoveParticipantResponse()

    def _mute(self, request: MuteRoomTrackRequest, claims: Claims) -> MuteRoomTrackResponse:
        room, me = self._somebody(request.room, request.identity, claims)
        if not request.muted and not self._rooms.defaults.remote_unmute:
            # As LiveKit's default: nobody's microphone is opened from afar.
            raise TwirpError("failed_precondition", "remote unmute not enabled")
        track = me.tracks.get(request.track_sid)
        me.send(SignalResponse(mute=MuteTrackRequest(sid=request.track_sid, muted=request.muted)))
        if track is None:
            return MuteRoomTrackResponse()
        publishing.set_muted(room, track, request.muted)
        return MuteRoomTrackResponse(track=track.info)

    def _update_participant(self, request: UpdateParticipantRequest, claims: Claims) -> ParticipantInfo:
        """Empty texts and no attributes leave what is there; an attribute with an empty text is removed."""
        limits = self._rooms.limits
        bounded(len(request.name.encode()), limits.name_bytes, "name length exceeds limits")
        bounded(len(request.metadata.encode()), limits.metadata_bytes, METADATA_TOO_LARGE)
        bounded(size_of(request.attributes), limits.attributes_bytes, ATTRIBUTES_TOO_LARGE)
        room, me = self._somebody(request.room, request.identity, claims)
        bounded(size_of({**me.attributes, **request.attributes}), limits.attributes_bytes, ATTRIBUTES_TOO_LARGE)
        if request.name or request.metadata or request.attributes:
            apply_metadata(me, request.name, request.metadata, request.attributes)
            if not request.HasField("permission"):
                room.broadcast_participant(me)
        if request.HasField("permission"):
            membership.change_permission(room, me, request.permission)
            refresh_token(self._keys, me)
        return me.info()

    def _to_another_room(self, request: ForwardParticipantRequest | MoveParticipantRequest, claims: Claims) -> Message:
        """As in LiveKit's open-source server: the request is judged, and then not carried out."""
        video = claims.raw.get("video") or {}
        _administers(request.room, claims)
        permit((video.get("destinationRoom") or "") == request.destination_room, "this destination room")
        if request.room == request.destination_room:
            raise TwirpError("invalid_argument", "destination room cannot be the same as source room")
        raise TwirpError("unimplemented", "not implemented: this server keeps participants in the room they joined.")

    def _update_subscriptions(self, request: UpdateSubscriptionsRequest, claims: Claims) -> UpdateSubscriptionsResponse:
        room, me = self._somebody(request.room, request.identity, claims)
        sids = [*request.track_sids, *(sid for p in request.participant_tracks for sid in p.track_sids)]
        if len(me.wishes) + len(sids) > self._rooms.limits.wishes_per_participant:
            raise TwirpError("resource_exhausted", "too many subscriptions")
        subscribing.wish(room, me, sids, request.subscribe)
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
        permit(claims.video.room_admin and claims.video.room == request.room, "roomAdmin of this room")
        if not request.destination_identity:
            raise TwirpError("invalid_argument", "destination identity is required")
        room = self._rooms.find(request.room, tenant=claims.tenant)
        callee = room.participants.get(request.destination_identity) if room else None
        if room is None or callee is None or not callee.active:
            raise TwirpError("unavailable", "no response from servers")
        try:
            payload = await callee.calls.perform(
                room.data_out, callee.primary, request.method, request.payload, request.response_timeout_ms
            )
        except RpcFailed as failure:
            raise TwirpError(failure.twirp, str(failure)) from failure
        return PerformRpcResponse(payload=payload)

    def _update_metadata(self, request: UpdateRoomMetadataRequest, claims: Claims) -> RoomInfo:
        bounded(len(request.metadata.encode()), self._rooms.limits.metadata_bytes, METADATA_TOO_LARGE)
        room = self._administered(request.room, claims)
        room.set_metadata(request.metadata)
        return room.info()

    def _administered(self, name: str, claims: Claims) -> Room:
        _administers(name, claims)
        return self._existing(name, claims)

    def _somebody(self, name: str, identity: str, claims: Claims) -> tuple[Room, Participant]:
        """A participant of a room; that the room is not there is said in the same words, as LiveKit does."""
        _administers(name, claims)
        room = self._rooms.find(name, tenant=claims.tenant)
        participant = room.participants.get(identity) if room else None
        if room is None or participant is None:
            raise TwirpError("not_found", "participant does not exist")
        return room, participant

    def _existing(self, name: str, claims: Claims) -> Room:
        room = self._rooms.find(name, tenant=claims.tenant)
        if room is None:
            raise TwirpError("not_found", "requested room does not exist")
        return room


def _administers(room: str, claims: Claims) -> None:
    permit(claims.video.room_admin and claims.video.room == room, "roomAdmin of this room")


def size_of(attributes: Mapping[str, str]) -> int:
    return sum(len(key.encode()) + len(value.encode()) for key, value in attributes.items())
