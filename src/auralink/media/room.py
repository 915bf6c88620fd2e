"""A room: who is in it, what they publish, who takes what. All of it lives on the event loop; nothing here waits.

Commands go to the engine, messages to participants' bounded queues, facts to the event log.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from livekit.protocol.agent import Job
from livekit.protocol.models import (
    Codec,
    DisconnectReason,
    ParticipantInfo,
    RoomEndReason,
    TimedVersion,
    TrackInfo,
    TrackSource,
    VideoQuality,
)
from livekit.protocol.models import Room as RoomInfo
from livekit.protocol.room import RoomConfiguration
from livekit.protocol.rtc import (
    AddTrackRequest,
    ConnectionQualityUpdate,
    LeaveRequest,
    ParticipantUpdate,
    RoomUpdate,
    SignalResponse,
    SubscribedCodec,
    SubscribedQuality,
    SubscribedQualityUpdate,
    SubscriptionPermissionUpdate,
    TrackPublishedResponse,
    TrackSubscribed,
    TrackUnpublishedResponse,
)

from auralink.media import codecs
from auralink.media.candidates import CandidateChoices
from auralink.media.data_tracks import DataTracks
from auralink.media.engine import Engine, OfferedSection, QualityName, SourceName
from auralink.media.lingering import Lingering
from auralink.media.nonces import Nonces
from auralink.media.participant import Participant, PublishedTrack, Subscription
from auralink.media.replay import ReliableHistory
from auralink.media.sids import new_sid, track_sid
from auralink.media.speakers import Speakers

QUALITIES: dict[QualityName, "VideoQuality"] = {
    "low": VideoQuality.LOW,
    "medium": VideoQuality.MEDIUM,
    "high": VideoQuality.HIGH,
}
QUALITY_NAMES: dict[int, QualityName] = {quality: name for name, quality in QUALITIES.items()}
SOURCES: dict[int, SourceName] = {
    TrackSource.MICROPHONE: "microphone",
    TrackSource.CAMERA: "camera",
    TrackSource.SCREEN_SHARE: "screen_share",
    TrackSource.SCREEN_SHARE_AUDIO: "screen_share_audio",
}
STREAMS: dict[int, str] = {
    TrackSource.MICROPHONE: "camera",
    TrackSource.CAMERA: "camera",
    TrackSource.SCREEN_SHARE: "screen",
    TrackSource.SCREEN_SHARE_AUDIO: "screen",
}
"""Which tracks clients play in step, unless the publisher says it."""

DEPARTED_KEPT = 100
ENABLED_CODECS = [
    Codec(mime=mime)
    for mime in (
        "audio/opus",
        "audio/red",
        "video/AV1",
        "video/H264",
        "video/VP8",
        "video/VP9",
        "video/rtx",
    )
]


class EventLog(Protocol):
    """Where facts go (the webhook journal)."""

    def record(
        self,
        event: str,
        room: RoomInfo,
        participant: ParticipantInfo | None = None,
        track: TrackInfo | None = None,
        *,
        end: "RoomEndReason | None" = None,
        job: Job | None = None,
    ) -> None: ...


class TenantLogs(Protocol):
    def of(self, tenant: str) -> EventLog:
        """Where the facts of one tenant's rooms go."""


class RoomKey(NamedTuple):
    """What tells rooms apart: two tenants may use the same name and never meet."""

    tenant: str
    """Of the API key a token was signed with, see `tokens.KeyRing`."""
    name: str


class Ids(Protocol):
    def next(self) -> int:
        """An engine id, never given before."""


@dataclass
class RoomLimits:
    empty_timeout_s: int = 300
    departure_timeout_s: int = 20
    max_participants: int = 0
    metadata: str = ""


@dataclass
class Room:
    name: str
    id: int
    engine: Engine
    events: EventLog
    ids: Ids
    limits: RoomLimits
    lingering: Lingering
    """Where the peers of those who leave go."""
    tenant: str = ""
    """Never told to clients: within its tenant a room goes by its plain name."""
    sid: str = field(default_factory=lambda: new_sid("RM_"))
    created_ms: int = field(default_factory=lambda: int(time.time() * 1000))
    participants: dict[str, Participant] = field(default_factory=dict)
    """By identity."""
    by_peer: dict[int, Participant] = field(default_factory=dict)
    tracks: dict[int, PublishedTrack] = field(default_factory=dict)
    """By the engine's id."""
    by_track: "dict[int, Room]" = field(default_factory=dict)
    """The rooms of all tracks of this server, by the engine's id."""
    sif_trailer: bytes = b""
    config: RoomConfiguration = field(default_factory=RoomConfiguration)
    """What CreateRoom or the first token asked for."""
    ever_joined: bool = False
    closed: bool = False
    departed: deque[ParticipantInfo] = field(default_factory=lambda: deque(maxlen=DEPARTED_KEPT))
    """The last who left, for those who were between two signal connections and did not hear of it."""
    history: ReliableHistory = field(default_factory=ReliableHistory)
    nonces: Nonces = field(default_factory=Nonces)
    candidate_choices: CandidateChoices = field(default_factory=CandidateChoices)
    data_tracks: DataTracks = field(init=False)
    speakers: Speakers = field(default_factory=Speakers)
    _gone_peers: list[int] = field(default_factory=list)
    on_change: Callable[["Room"], None] = lambda _room: None
    """Told after somebody joined or left, so that the owner can time the room out."""

    @property
    def key(self) -> RoomKey:
        return RoomKey(self.tenant, self.name)

    def __post_init__(self) -> None:
        self.data_tracks = DataTracks(self.engine, self.ids.next, self.participants, self._tell_changed)

    def _tell_changed(self, me: Participant) -> None:
        me.touch()
        self.broadcast_participant(me, to_self=False)

    # --- who is here ---------------------------------------------------------------------------------------------

    def info(self) -> RoomInfo:
        present = self.participants.values()
        return RoomInfo(
            sid=self.sid,
            name=self.name,
            empty_timeout=self.limits.empty_timeout_s,
            departure_timeout=self.limits.departure_timeout_s,
            max_participants=self.limits.max_participants,
            creation_time=self.created_ms // 1000,
            creation_time_ms=self.created_ms,
            metadata=self.limits.metadata,
            num_participants=sum(1 for p in present if not p.dependent),
            num_publishers=sum(1 for p in present if p.is_publisher),
            active_recording=any(p.grant.recorder for p in present),
            enabled_codecs=ENABLED_CODECS,
        )

    @property
    def is_full(self) -> bool:
        """Agents and recorders neither count nor are refused."""
        limit = self.limits.max_participants
        return bool(limit) and sum(1 for p in self.participants.values() if not p.dependent) >= limit

    @property
    def is_empty(self) -> bool:
        return all(p.dependent for p in self.participants.values())

    def others_visible_to(self, me: Participant) -> list[ParticipantInfo]:
        return [p.info() for p in self.participants.values() if p is not me and not p.grant.hidden]

    def add(self, me: Participant) -> None:
        self.participants[me.identity] = me
        self.by_peer.update(dict.fromkeys(me.peers, me))
        self.ever_joined = True
        me.state = ParticipantInfo.State.JOINED
        me.touch()
        self.broadcast_participant(me, to_self=False)
        for track in self._announced():
            self._follow_wishes(me, track)
        self.on_change(self)

    def activate(self, me: Participant) -> None:
        """The peer connection is up."""
        if me.active:
            return
        me.state = ParticipantInfo.State.ACTIVE
        me.touch()
        self.broadcast_participant(me)
        self.events.record("participant_joined", self.info(), me.info())
        for track in list(me.tracks.values()):
            if track.mid:
                self._announce(track)
        self.data_tracks.reconsider_subscriber(me)
        self._room_changed()

    def remove(self, me: Participant, reason: "DisconnectReason", *, tell_others: bool = True) -> None:
        """Idempotent. The caller has told the participant itself."""
        if self.participants.get(me.identity) is not me:
            return
        was_active = me.active
        for track in list(me.tracks.values()):
            self._end(track, tell_publisher=False, update=False)
        del self.participants[me.identity]
        self.speakers.left(me)
        if me.offers:
            me.offers.close()
        for sid in me.subscriptions:
            if taken := self.find_track(sid):
                self.engine.unsubscribe(me.receiver, taken.id)
        for peer in me.peers:
            self.by_peer.pop(peer, None)
            self._gone_peers.append(peer)
        self.lingering.keep(self.id, me.peers)
        self.data_tracks.left(me)
        me.calls.abandon()
        me.state = ParticipantInfo.State.DISCONNECTED
        me.disconnect_reason = reason
        me.touch()
        if not me.grant.hidden:
            self.departed.append(me.info())
        if tell_others:
            self.broadcast_participant(me, to_self=False)
        name = "participant_left" if was_active else "participant_connection_aborted"
        self.events.record(name, self.info(), me.info())
        if not self.closed:
            self._room_changed()
        self.on_change(self)

    def close(
        self,
        reason: "DisconnectReason",
        end: "RoomEndReason" = RoomEndReason.ROOM_END_API_DELETE,
        action: "LeaveRequest.Action" = LeaveRequest.Action.DISCONNECT,
    ) -> None:
        if self.closed:
            return
        self.closed = True
        for participant in list(self.participants.values()):
            participant.send(leave(reason, action))
            self.remove(participant, reason, tell_others=False)
            participant.disconnect_signal()
        self.lingering.end_room(self.id)
        self.history.clear()
        self.events.record("room_finished", self.info(), end=end)
        self.on_change(self)

    def gone_peers(self) -> list[int]:
        """Engine ids of peers that left since this was last asked."""
        gone, self._gone_peers = self._gone_peers, []
        return gone

    # --- publishing ----------------------------------------------------------------------------------------------

    def add_track(self, me: Participant, request: AddTrackRequest) -> PublishedTrack:
        info = TrackInfo(
            sid=track_sid(request.type, request.source),
            type=request.type,
            name=request.name,
            muted=request.muted,
            width=request.width,
            height=request.height,
            simulcast=len(request.layers) > 1 or any(len(c.layers) > 1 for c in request.simulcast_codecs),
            disable_dtx=request.disable_dtx,
            source=request.source,
            layers=codecs.layers(request),
            stereo=request.stereo,
            disable_red=request.disable_red,
            encryption=request.encryption,
            stream=request.stream or STREAMS.get(request.source, "unknown"),
            audio_features=codecs.audio_features(request),
            backup_codec_policy=codecs.backup_policy(request),
            packet_trailer_features=request.packet_trailer_features,
            version=TimedVersion(unix_micro=time.time_ns() // 1_000),
        )
        track = PublishedTrack(self.ids.next(), request.cid, info, request, me)
        me.tracks[info.sid] = track
        self.engine.expect(
            me.peer,
            cids=sorted(_cids(request)),
            kind=track.kind,
            mime=codecs.first_choice(request),
            stereo=request.stereo,
            disable_dtx=request.disable_dtx,
            disable_red=request.disable_red,
        )
        me.send(SignalResponse(track_published=TrackPublishedResponse(cid=request.cid, track=info)))
        return track

    def match_sections(self, me: Participant, sections: Iterable[OfferedSection]) -> None:
        """Give m-lines their tracks: by the cid in the msid, else the first of that kind nobody claims."""
        sections = list(sections)
        bound = {t.mid for t in me.tracks.values() if t.mid}
        free = [s for s in sections if s["mid"] not in bound]
        named = {s["cid"] for s in sections}
        for section in free:
            waiting = [t for t in me.tracks.values() if not t.mid and t.kind == section["kind"]]
            track = next((t for t in waiting if section["cid"] in _cids(t.request)), None)
            if track is None and section["mid"] not in me.used_mids:
                track = next((t for t in waiting if not (_cids(t.request) & named)), None)
            if track:
                self._bind(track, section)

    def _bind(self, track: PublishedTrack, section: OfferedSection) -> None:
        info, me = track.info, track.publisher
        track.mid = info.mid = section["mid"]
        me.used_mids.add(track.mid)
        info.mime_type = codecs.expected_mime(track.request, section["codecs"])
        del info.codecs[:]
        info.codecs.append(codecs.of_track(track.request, info))
        self.tracks[track.id] = track
        self.by_track[track.id] = self
        self.engine.publish(
            me.peer,
            track.id,
            mid=track.mid,
            sid=info.sid,
            stream_id=f"{me.sid}|{info.sid}",
            kind=section["kind"],
            source=SOURCES.get(info.source, "unknown"),
            muted=info.muted,
            layers=[(QUALITY_NAMES.get(v.quality, "high"), v.width, v.height, v.bitrate) for v in info.layers],
        )
        if me.active:
            self._announce(track)

    def _announce(self, track: PublishedTrack) -> None:
        if track.announced:
            return
        track.announced = True
        me = track.publisher
        me.touch()
        self.broadcast_participant(me)
        self.events.record("track_published", self.info(), me.info(), track.info)
        for other in self.participants.values():
            if other is not me:
                self._follow_wishes(other, track)
        self._room_changed()

    def track_started(self, track_id: int, mime: str) -> None:
        track = self.tracks.get(track_id)
        if track is None or track.info.mime_type == mime:
            return
        track.info.mime_type = mime
        track.info.codecs[0].mime_type = mime
        if track.announced:
            track.publisher.touch()
            self.broadcast_participant(track.publisher)

    def track_ended(self, track_id: int) -> None:
        if track := self.tracks.get(track_id):
            self._end(track, tell_publisher=True)

    def end_track(self, track: PublishedTrack) -> None:
        """Its publisher may not send it any more."""
        self._end(track, tell_publisher=True)

    def _end(self, track: PublishedTrack, *, tell_publisher: bool, update: bool = True) -> None:
        me = track.publisher
        me.tracks.pop(track.info.sid, None)
        if self.tracks.pop(track.id, None):
            self.by_track.pop(track.id, None)
            self.engine.unpublish(track.id)
        for other in self.participants.values():
            if taken := track.info.sid in other.subscriptions:
                other.sent_less()
            for kept in (other.subscriptions, other.settings, other.wishes):
                kept.pop(track.info.sid, None)
            other.refused.discard(track.info.sid)
            if taken and update and not other.takes(me):
                self.speakers.unheard(other, me)
        if not track.announced:
            return
        track.announced = False
        if tell_publisher:
            me.send(SignalResponse(track_unpublished=TrackUnpublishedResponse(track_sid=track.info.sid)))
        self.events.record("track_unpublished", self.info(), me.info(), track.info)
        if update:
            me.touch()
            self.broadcast_participant(me)
            self._room_changed()

    def set_muted(self, track: PublishedTrack, muted: bool) -> None:
        if track.info.muted == muted:
            return
        track.info.muted = muted
        if track.mid:
            self.engine.set_muted(track.id, muted)
        if track.announced:
            track.publisher.touch()
            self.broadcast_participant(track.publisher)

    def find_track(self, sid: str) -> PublishedTrack | None:
        for participant in self.participants.values():
            if track := participant.tracks.get(sid):
                return track
        return None

    # --- subscribing ---------------------------------------------------------------------------------------------

    def _announced(self) -> list[PublishedTrack]:
        return [t for t in self.tracks.values() if t.announced]

    def _permitted(self, me: Participant, track: PublishedTrack) -> bool:
        """Does its publisher let `me` have a track that it wants? `me` is told when that changes."""
        sid = track.info.sid
        permitted = track.publisher.permits(me, sid)
        if permitted == (sid in me.refused):
            (me.refused.discard if permitted else me.refused.add)(sid)
            update = SubscriptionPermissionUpdate(participant_sid=track.publisher.sid, track_sid=sid, allowed=permitted)
            me.send(SignalResponse(subscription_permission_update=update))
        return permitted

    def _follow_wishes(self, me: Participant, track: PublishedTrack) -> None:
        """(Un)subscribe so that it matches what `me` wants and may have."""
        sid = track.info.sid
        mine = track.publisher is me
        wished = track.announced and me.grant.can_subscribe and me.wishes.get(sid, me.auto_subscribe) and not mine
        wanted = wished and self._permitted(me, track)
        if wanted and sid not in me.subscriptions:
            settings = me.settings.get(sid) or Subscription(quality="low" if me.adaptive_stream else "high")
            if not me.takes(track.publisher):
                self._first_taken(me, track.publisher)
            me.subscriptions[sid] = settings
            self.engine.subscribe(
                me.receiver,
                track.id,
                enabled=settings.enabled,
                quality=settings.quality,
                width=settings.width,
                height=settings.height,
                fps=settings.fps,
                priority=settings.priority,
            )
        elif not wanted and sid in me.subscriptions:
            del me.subscriptions[sid]
            self.engine.unsubscribe(me.receiver, track.id)
            me.sent_less()
            if not me.takes(track.publisher):
                self.speakers.unheard(me, track.publisher)

    def _first_taken(self, me: Participant, publisher: Participant) -> None:
        """From now on `me` hears of changes; this is what was there before."""
        self.speakers.heard(me, publisher)
        # Before its own first report it knows of nobody; with that come all it takes.
        if me.quality and publisher.quality and not publisher.grant.hidden:
            me.send(SignalResponse(connection_quality=ConnectionQualityUpdate(updates=[publisher.quality])))

    def spoke(self, levels: Iterable[tuple[int, float, bool]]) -> None:
        """The engine's report: peer, level, whether it speaks."""
        known = [(me, level, active) for peer, level, active in levels if (me := self.by_peer.get(peer))]
        self.speakers.changed(self.participants.values(), known)

    def wish(self, me: Participant, sids: Iterable[str], subscribe: bool) -> None:
        """Explicit (un)subscription; kept for tracks that are not there yet."""
        for sid in sids:
            me.wishes[sid] = subscribe
            if (track := self.find_track(sid)) and track.announced:
                self._follow_wishes(me, track)

    def configure(self, me: Participant, sid: str, settings: Subscription) -> None:
        me.settings[sid] = settings
        track = self.find_track(sid)
        if track and sid in me.subscriptions:
            settings.bound = me.subscriptions[sid].bound
            me.subscriptions[sid] = settings
            self.engine.set_subscription(
                me.receiver,
                track.id,
                enabled=settings.enabled,
                quality=settings.quality,
                width=settings.width,
                height=settings.height,
                fps=settings.fps,
                priority=settings.priority,
            )

    def reconsider(self, tracks: Iterable[PublishedTrack]) -> None:
        """Permissions changed."""
        for track in list(tracks):
            for other in self.participants.values():
                if other is not track.publisher:
                    self._follow_wishes(other, track)

    def reconsider_subscriber(self, me: Participant) -> None:
        self.data_tracks.reconsider_subscriber(me)
        for track in self._announced():
            if track.publisher is not me:
                self._follow_wishes(me, track)

    def subscribed(self, peer: int, track_id: int) -> None:
        me, track = self.by_peer.get(peer), self.tracks.get(track_id)
        if me is None or track is None:
            return
        subscription = me.subscriptions.get(track.info.sid)
        if subscription is None or subscription.bound:
            return
        first = not any(
            s.bound for p in self.participants.values() if (s := p.subscriptions.get(track.info.sid)) is not None
        )
        subscription.bound = True
        if first:
            track.publisher.send(SignalResponse(track_subscribed=TrackSubscribed(track_sid=track.info.sid)))

    def qualities_wanted(self, track_id: int, wanted: list[str]) -> None:
        """Dynacast: tell the publisher which layers somebody takes."""
        track = self.tracks.get(track_id)
        if track is None or track.wanted == frozenset(wanted):
            return
        track.wanted = frozenset(wanted)
        self._tell_wanted_qualities(track)

    def repeat_wanted_qualities(self, me: Participant) -> None:
        """After a resume: what was told while nobody listened."""
        for track in me.tracks.values():
            if track.wanted is not None:
                self._tell_wanted_qualities(track)

    def _tell_wanted_qualities(self, track: PublishedTrack) -> None:
        wanted = track.wanted or frozenset()
        qualities = [SubscribedQuality(quality=q, enabled=name in wanted) for name, q in QUALITIES.items()]
        codec = track.info.mime_type.partition("/")[2].lower()
        update = SubscribedQualityUpdate(
            track_sid=track.info.sid,
            subscribed_qualities=qualities,
            subscribed_codecs=[SubscribedCodec(codec=codec, qualities=qualities)],
        )
        track.publisher.send(SignalResponse(subscribed_quality_update=update))

    # --- telling -------------------------------------------------------------------------------------------------

    def broadcast_participant(self, me: Participant, *, to_self: bool = True) -> None:
        message = SignalResponse(update=ParticipantUpdate(participants=[me.info()]))
        for other in self.participants.values():
            if other is me:
                if to_self:
                    other.send(message)
            elif not me.grant.hidden:
                other.send(message)

    def broadcast(self, message: SignalResponse) -> None:
        for participant in self.participants.values():
            participant.send(message)

    def set_metadata(self, metadata: str) -> None:
        self.limits.metadata = metadata
        self._room_changed()

    def _room_changed(self) -> None:
        self.broadcast(SignalResponse(room_update=RoomUpdate(room=self.info())))


def leave(reason: "DisconnectReason", action: "LeaveRequest.Action" = LeaveRequest.Action.DISCONNECT) -> SignalResponse:
    return SignalResponse(
        leave=LeaveRequest(reason=reason, action=action, can_reconnect=action != LeaveRequest.Action.DISCONNECT)
    )


def _cids(request: AddTrackRequest) -> set[str]:
    return {request.cid, *(c.cid for c in request.simulcast_codecs if c.cid)}
