"""What the engine reports, brought to the room, participant and track it is about. Lives on the event loop."""

from typing import TYPE_CHECKING

import structlog
from livekit.protocol.models import DisconnectReason, RoomEndReason, SubscriptionError
from livekit.protocol.rtc import (
    LeaveRequest,
    SessionDescription,
    SignalResponse,
    StreamState,
    StreamStateInfo,
    StreamStateUpdate,
    SubscriptionResponse,
)

from auralink.media import backup, connection_quality, data, dynacast, membership, moving, publishing, subscribing
from auralink.media.participant import Participant, PublishedTrack
from auralink.media.room import Room
from auralink.media.rooms import Rooms

if TYPE_CHECKING:
    from auralink._native import Event

log = structlog.get_logger(__name__)

_UNHEARD = ("ice_timeout", "connect_timeout")


class EngineReports:
    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    def handle(self, event: "Event") -> None:
        match event:
            case ("speakers", room_id, levels):
                if room := self._rooms.by_id.get(room_id):
                    room.spoke(levels)
            case ("track_started" | "track_ended" | "qualities_wanted", track_id, *_):
                if (room := self._rooms.by_track.get(track_id)) and (track := room.tracks.get(track_id)):
                    _track_event(event, room, track)
            case ("shard_failed", _, room_ids):
                for room_id in room_ids:
                    self._shard_failed(room_id)
            case (_, int(peer), *_):
                self._peer_event(event, peer)

    def _peer_event(self, event: "Event", peer: int) -> None:
        room = self._rooms.by_peer.get(peer)
        me = room.by_peer.get(peer) if room else None
        if room is None or me is None:
            self._rooms.by_peer.pop(peer, None)
            return
        match event:
            case ("answer", _, offer_id, sdp, mid_to_track, sections):
                sdp = moving.described(room, me, peer, sdp)
                me.offered(sections)
                answer = SessionDescription(type="answer", sdp=sdp, id=offer_id, mid_to_track_id=mid_to_track)
                me.send(SignalResponse(answer=answer))
                if me.section_requests:
                    me.section_requests.answered()
                if me.offers:
                    for candidate in me.candidates.new_in(sdp):
                        me.send(candidate)
                publishing.match_sections(room, me, me.sections)
            case ("offer_rejected", _, _, message):
                log.info("media.offer_refused", room=room.name, participant=me.sid, reason=message)
                if me.connection:
                    me.connection.refused(message)
                membership.dismiss(room, me, DisconnectReason.JOIN_FAILURE)
            case ("connected", _):
                if peer == me.primary:
                    membership.activate(room, me)
            case ("route", _, proto, host, port):
                me.ways.takes(peer, proto, (host, port), room.fallbacks.now())
            case ("offer_needed", _) if me.offers:
                me.offers.needed()
            case ("offer", _, offer_id, sdp, mid_to_track) if me.offers:
                me.offers.made(offer_id, moving.described(room, me, peer, sdp), mid_to_track)
            case ("sections_needed", _, audio, video):
                if me.section_requests:
                    me.section_requests.needed(audio, video)
            case ("section_freed", _):
                me.sent_less()
            case ("subscribed", _, track_id):
                if track := room.tracks.get(track_id):
                    subscribing.bound(room, me, track)
            case ("subscription_failed", _, track_id, message):
                track = room.tracks.get(track_id)
                if track and not backup.unsupported(room, me, track, track_id):
                    log.info("media.subscription_failed", room=room.name, participant=me.sid, reason=message)
                    failed = SubscriptionResponse(track_sid=track.info.sid, err=SubscriptionError.SE_CODEC_UNSUPPORTED)
                    me.send(SignalResponse(subscription_response=failed))
                    me.sent_less()
            case ("stream_state", _, track_id, paused):
                _stream_state(room, me, track_id, paused)
            case ("quality", _, score):
                connection_quality.reported(room, me, peer, score)
            case ("data", _, channel, payload):
                data.forward(room, me, channel, payload, self._rooms.limits)
            case ("unlabeled_data", _, payload):
                data.forward_unlabeled(room, me, payload, self._rooms.limits)
            case ("peer_closed", _, reason, message):
                log.info("media.peer_closed", room=room.name, participant=me.sid, reason=reason, message=message)
                if reason in _UNHEARD:
                    moving.lost(room, me, peer)
                _closed(room, me, reason)

    def _shard_failed(self, room_id: int) -> None:
        """Its peers are gone; clients build new ones, into a new room of the same name."""
        if (room := self._rooms.by_id.get(room_id)) is None:
            return
        membership.close(
            room, DisconnectReason.MIGRATION, RoomEndReason.ROOM_END_SUPERSEDED, LeaveRequest.Action.RECONNECT
        )


def _track_event(event: "Event", room: Room, track: PublishedTrack) -> None:
    codec = next(codec for codec in track.codecs if codec.id == event[1])
    match event:
        case ("track_started", _, mime):
            publishing.started(room, track, codec, mime)
        case ("track_ended", _):
            publishing.section_ended(room, track, codec)
        case ("qualities_wanted", _, qualities):
            dynacast.wanted(track, codec, qualities)


def _closed(room: Room, me: Participant, reason: str) -> None:
    """The peer connection ended by itself: the client may come back with a new one, except after its own fault."""
    if reason in ("protocol_error", "limit_exceeded"):
        membership.dismiss(room, me, DisconnectReason.JOIN_FAILURE)
        return
    membership.dismiss(room, me, DisconnectReason.CONNECTION_TIMEOUT, LeaveRequest.Action.RECONNECT)


def _stream_state(room: Room, me: Participant, track_id: int, paused: bool) -> None:
    if track := room.tracks.get(track_id):
        state = StreamState.PAUSED if paused else StreamState.ACTIVE
        info = StreamStateInfo(participant_sid=track.publisher.sid, track_sid=track.info.sid, state=state)
        me.send(SignalResponse(stream_state_update=StreamStateUpdate(stream_states=[info])))
