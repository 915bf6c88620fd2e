"""Acts on what a participant's client sends over the signal connection.

Every method runs on the event loop and finishes at once; messages out go to the connection's bounded queue.
"""

import time
from collections.abc import Mapping

import structlog
from livekit.protocol.models import DisconnectReason, TrackType, VideoQuality
from livekit.protocol.rtc import (
    AddTrackRequest,
    LeaveRequest,
    Pong,
    RequestResponse,
    SessionDescription,
    SignalRequest,
    SignalResponse,
    SubscriptionPermission,
    SyncState,
    UpdateParticipantMetadata,
    UpdateSubscription,
    UpdateTrackSettings,
)

from auralink.media import blobs, codecs, data, membership, publishing, subscribing
from auralink.media.limits import Limits
from auralink.media.participant import Participant, TrackSettings
from auralink.media.qualities import QUALITY_NAMES
from auralink.media.room import Room, leave
from auralink.media.simulate import simulate
from auralink.media.timers import Later

log = structlog.get_logger(__name__)

_MAX_PENDING_TRACKS = 20
_TOLD_OF_SUCCESS = 15
"""Clients of an older protocol take every RequestResponse for an error."""


class Session:
    """One participant's signalling; `room` and `me` outlive a lost connection."""

    def __init__(self, room: Room, me: Participant, limits: Limits, later: Later) -> None:
        self.room = room
        self.me = me
        self._limits = limits
        self._later = later

    def handle(self, request: SignalRequest) -> None:
        match request.WhichOneof("message"):
            case "offer":
                self.offer(request.offer)
            case "answer":
                self._answer(request.answer)
            case "trickle":
                # ICE-lite: the client's checks tell us its addresses.
                self.me.ways.trickled(request.trickle.candidateInit)
            case "add_track":
                self.add_track(request.add_track)
            case "mute":
                self._mute(request)
            case "subscription":
                self._subscription(request.subscription)
            case "track_setting":
                self._track_setting(request.track_setting)
            case "leave":
                self._leave()
            case "subscription_permission":
                self._subscription_permission(request.subscription_permission)
            case "publish_data_track_request":
                self.room.data_tracks.publish(self.me, request.publish_data_track_request, self._limits)
            case "unpublish_data_track_request":
                self.room.data_tracks.unpublish(self.me, request.unpublish_data_track_request)
            case "update_data_subscription":
                self.room.data_tracks.update(self.me, request.update_data_subscription, self._limits)
            case "store_data_blob_request":
                blobs.store(self.me, request.store_data_blob_request, self._limits)
            case "get_data_blob_request":
                wanted = request.get_data_blob_request
                blobs.fetch(self.me, self.room.participants.get(wanted.participant_identity), wanted)
            case "sync_state":
                self.sync_state(request.sync_state)
            case "simulate":
                simulate(self.room, self.me, request.simulate, self._later)
            case "ping":
                self.me.send(SignalResponse(pong=_now_ms()))
            case "ping_req":
                pong = Pong(last_ping_timestamp=request.ping_req.timestamp, timestamp=_now_ms())
                self.me.send(SignalResponse(pong_resp=pong))
            case "update_metadata":
                self._update_metadata(request.update_metadata)
            case "update_audio_track" | "update_video_track":
                self._update_track(request)
            case other:
                log.debug("media.request_ignored", request=other)

    def offer(self, description: SessionDescription) -> None:
        if self._fits(description):
            if self.me.section_requests:
                self.me.section_requests.offered()
            self.room.engine.offer(self.me.peer, description.id, description.sdp)

    def _answer(self, description: SessionDescription) -> None:
        if self.me.offers and self._fits(description):
            self.me.offers.answered(description)

    def _fits(self, description: SessionDescription) -> bool:
        """One that is too large ends the session."""
        if len(description.sdp) <= self._limits.sdp_bytes:
            return True
        log.info("media.description_refused", room=self.room.name, participant=self.me.sid, reason="too large")
        membership.dismiss(self.room, self.me, DisconnectReason.JOIN_FAILURE)
        return False

    def add_track(self, request: AddTrackRequest) -> None:
        me = self.me
        refusal = self._refusal(request)
        if refusal is not None:
            reason, message = refusal
            # The request is echoed so that the client can tell which; without texts of any length.
            echo = AddTrackRequest(cid=request.cid[: self._limits.name_bytes], type=request.type, source=request.source)
            response = RequestResponse(reason=reason, message=message, add_track=echo)
            me.send(SignalResponse(request_response=response))
            return
        if request.sid:
            publishing.add_codec(self.room, me.tracks[request.sid], request)
        else:
            publishing.add_track(self.room, me, request)
        publishing.match_sections(self.room, me, me.sections)

    def _refusal(self, request: AddTrackRequest) -> "tuple[RequestResponse.Reason, str] | None":
        me = self.me
        pending = [t for t in me.tracks.values() if not t.mid]
        if request.type not in (TrackType.AUDIO, TrackType.VIDEO):
            return RequestResponse.UNSUPPORTED_TYPE, "only audio and video tracks"
        texts = [request.name, request.cid, request.stream, *(codec.cid for codec in request.simulcast_codecs)]
        if problem := self._limits.track_problem(texts):
            return RequestResponse.LIMIT_EXCEEDED, problem
        if max(len(request.layers), len(request.simulcast_codecs)) > self._limits.layers_per_track:
            return RequestResponse.LIMIT_EXCEEDED, "too many layers"
        if not me.grant.may_publish(request.source):
            return RequestResponse.NOT_ALLOWED, "publishing is not allowed"
        if request.sid:
            return None if request.sid in me.tracks else (RequestResponse.NOT_FOUND, "no such track")
        if len(pending) >= _MAX_PENDING_TRACKS or len(me.tracks) >= self._limits.tracks_per_participant:
            return RequestResponse.LIMIT_EXCEEDED, "too many tracks"
        if any(t.cid == request.cid for t in pending):
            return RequestResponse.QUEUED, "this track is waiting already"
        return None

    def _mute(self, request: SignalRequest) -> None:
        if track := self.me.tracks.get(request.mute.sid):
            publishing.set_muted(self.room, track, request.mute.muted)
            return
        response = RequestResponse(reason=RequestResponse.NOT_FOUND, message="no such track", mute=request.mute)
        self.me.send(SignalResponse(request_response=response))

    def _subscription(self, update: UpdateSubscription) -> None:
        sids = [*update.track_sids, *(s for p in update.participant_tracks for s in p.track_sids)]
        if len(self.me.wishes) + len(sids) <= self._limits.wishes_per_participant:
            subscribing.wish(self.room, self.me, sids, update.subscribe)

    def _track_setting(self, update: UpdateTrackSettings) -> None:
        if len(self.me.settings) + len(update.track_sids) > self._limits.wishes_per_participant:
            return
        for sid in update.track_sids:
            off = update.disabled or update.quality == VideoQuality.OFF
            # With a size, the engine picks the smallest layer at least as large.
            quality = "high" if update.width else QUALITY_NAMES.get(update.quality, "high")
            size = min(update.width, 65_535), min(update.height, 65_535)
            fps, priority = min(update.fps, 1_000), min(update.priority, 255)
            subscribing.configure(self.room, self.me, sid, TrackSettings(not off, quality, *size, fps, priority))

    def _leave(self) -> None:
        membership.remove(self.room, self.me, DisconnectReason.CLIENT_INITIATED)
        self.me.disconnect_signal()

    def _subscription_permission(self, permission: SubscriptionPermission) -> None:
        """Who may take my tracks. Per participant; a list of tracks narrows it further."""
        if permission.all_participants:
            self.me.permitted = None
        else:
            self.me.permitted = {
                (p.participant_identity or p.participant_sid): None if p.all_tracks else frozenset(p.track_sids)
                for p in permission.track_permissions[: self._limits.wishes_per_participant]
            }
        subscribing.reconsider(self.room, self.me.tracks.values())
        self.room.data_tracks.reconsider_publisher(self.me)

    def sync_state(self, state: SyncState) -> None:
        """After a resume: what the client believes. A track it publishes and we do not know needs a full reconnect."""
        unknown = any(p.track.sid not in self.me.tracks for p in state.publish_tracks)
        if unknown or any(p.info.sid not in self.me.data_tracks for p in state.publish_data_tracks):
            self.me.send(leave(DisconnectReason.STATE_MISMATCH, LeaveRequest.Action.RECONNECT))
            return
        if state.HasField("subscription"):
            self._subscription(state.subscription)
        reached = {known.publisher_sid: known.last_seq for known in state.datachannel_receive_states}
        data.replay(self.room, self.me, reached)

    def _update_metadata(self, update: UpdateParticipantMetadata) -> None:
        reason, message = RequestResponse.OK, ""
        attributes = {**self.me.attributes, **update.attributes}
        if not self.me.grant.can_update_own_metadata:
            reason, message = RequestResponse.NOT_ALLOWED, "updating one's own metadata is not allowed"
        elif problem := self._limits.metadata_problem(update.name, update.metadata, attributes):
            reason, message = RequestResponse.LIMIT_EXCEEDED, problem
        else:
            apply_metadata(self.me, update.name, update.metadata, update.attributes)
            self.room.broadcast_participant(self.me)
        if reason == RequestResponse.OK and self.me.client.protocol < _TOLD_OF_SUCCESS:
            return
        response = RequestResponse(request_id=update.request_id, reason=reason, message=message, update_metadata=update)
        self.me.send(SignalResponse(request_response=response))

    def _update_track(self, request: SignalRequest) -> None:
        audio = request.HasField("update_audio_track")
        sid = request.update_audio_track.track_sid if audio else request.update_video_track.track_sid
        track = self.me.tracks.get(sid)
        if track is None or audio != (track.kind == "audio"):
            return
        if audio:
            codecs.set_audio_features(track.info, request.update_audio_track.features)
        else:
            track.info.width, track.info.height = request.update_video_track.width, request.update_video_track.height
        if track.announced:
            self.me.touch()
            self.room.broadcast_participant(self.me)


def apply_metadata(me: Participant, name: str, metadata: str, attributes: Mapping[str, str]) -> None:
    """Empty texts leave what is there; an attribute set to the empty text is removed."""
    me.name = name or me.name
    me.metadata = metadata or me.metadata
    merged = {**me.attributes, **attributes}
    me.attributes = {key: value for key, value in merged.items() if value}
    me.touch()


def _now_ms() -> int:
    return int(time.time() * 1000)
