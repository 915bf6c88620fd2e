"""All rooms of this server: who comes in, what the engine reports, when a room ends. Lives on the event loop."""

import asyncio
import secrets
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import TYPE_CHECKING

import structlog
from livekit.protocol.models import (
    ClientInfo,
    ConnectionQuality,
    DisconnectReason,
    ParticipantInfo,
    ParticipantPermission,
    RoomEndReason,
    ServerInfo,
    SubscriptionError,
)
from livekit.protocol.room import RoomConfiguration
from livekit.protocol.rtc import (
    ConnectionQualityInfo,
    ConnectionQualityUpdate,
    JoinRequest,
    JoinResponse,
    LeaveRequest,
    MediaSectionsRequirement,
    ParticipantUpdate,
    ReconnectResponse,
    RoomUpdate,
    SessionDescription,
    SignalResponse,
    StreamState,
    StreamStateInfo,
    StreamStateUpdate,
    SubscriptionResponse,
)

from auralink.kit.errors import AuraError, InvalidInput, NotFound, Unavailable
from auralink.media import codecs, data
from auralink.media.encoding import Encoder
from auralink.media.engine import Engine
from auralink.media.ice_servers import IceServers
from auralink.media.keys import PLATFORM
from auralink.media.limits import Limits
from auralink.media.lingering import Lingering
from auralink.media.participant import Connection, Participant
from auralink.media.replay import ReliableHistory, ReplayBudget
from auralink.media.revocations import Revocations
from auralink.media.room import Room, RoomKey, RoomLimits, TenantLogs, leave
from auralink.media.server_offers import ServerOffers
from auralink.media.session import Session
from auralink.media.sids import new_sid
from auralink.media.timers import Later, on_the_loop
from auralink.media.tokens import SOURCE_NAMES, Claims, KeyRing

if TYPE_CHECKING:
    from auralink._native import Event

log = structlog.get_logger(__name__)

SERVER_VERSION = "1.13.5"
"""The LiveKit release whose behaviour we follow; clients choose what they use by it."""
PROTOCOL = 17
SUBSCRIBER_PRIMARY = 3
"""Clients of this protocol and newer take the connection they receive on as the one that must be up."""
PING_INTERVAL_S = 5
PING_TIMEOUT_S = 15
TOKEN_REFRESH_S = 300.0
_REFRESHED_LIFE = timedelta(minutes=10)
_SWEEP_S = 1.0
_JOIN_LIMIT_S = 60
"""How long a participant may take until its media connection is up."""
_GOOD_SCORE, _EXCELLENT_SCORE = 2.5, 4.0


class RoomMissing(NotFound):
    code = "room_missing"
    title = "requested room does not exist"


class RoomFull(AuraError):
    code = "room_full"
    status = 429
    title = "The room has as many participants as it may have"


@dataclass(frozen=True)
class RoomDefaults:
    empty_timeout_s: int
    departure_timeout_s: int
    auto_create: bool
    max_participants: int = 0
    """0: no limit."""
    remote_unmute: bool = False
    """Whether the server API may unmute."""
    region: str = ""


class _Ids:
    """Ids for the engine, never given twice."""

    def __init__(self) -> None:
        self._count = count(1)

    def next(self) -> int:
        return next(self._count)


class Rooms:
    def __init__(
        self,
        engine: Engine,
        keys: KeyRing,
        events: TenantLogs,
        defaults: RoomDefaults,
        limits: Limits,
        ice: IceServers | None = None,
        *,
        later: Later = on_the_loop,
    ) -> None:
        self._engine = engine
        self._keys = keys
        self._events = events
        self._defaults = defaults
        self._ice = ice or IceServers(time.time)
        self.limits = limits
        self.encoder = Encoder()
        self.revocations = Revocations()
        self._later = later
        self._lingering = Lingering(engine, later)
        self._ids = _Ids()
        self._replay_budget = ReplayBudget()
        self._rooms: dict[RoomKey, Room] = {}
        self._by_id: dict[int, Room] = {}
        self._by_peer: dict[int, Room] = {}
        self._by_track: dict[int, Room] = {}
        self._empty_since: dict[RoomKey, float] = {}
        self._node = new_sid("ND_")

    @property
    def defaults(self) -> RoomDefaults:
        return self._defaults

    # --- rooms ---------------------------------------------------------------------------------------------------

    def all(self) -> list[Room]:
        return list(self._rooms.values())

    def of(self, tenant: str) -> list[Room]:
        """What one tenant may know of."""
        return [room for room in self._rooms.values() if room.tenant == tenant]

    def find(self, name: str, *, tenant: str) -> Room | None:
        return self._rooms.get(RoomKey(tenant, name))

    def open(self, name: str, config: RoomConfiguration | None = None, *, tenant: str) -> Room:
        """The tenant's room of that name, made when there is none. Raises InvalidInput, Unavailable."""
        key = RoomKey(tenant, name)
        if room := self._rooms.get(key):
            return room
        if not name or len(name.encode()) > self.limits.name_bytes:
            raise InvalidInput("The room's name is empty or too long.")
        if len(self._rooms) >= self.limits.rooms:
            raise Unavailable("This server has as many rooms as it may have.")
        if tenant != PLATFORM and len(self.of(tenant)) >= self.limits.rooms_per_tenant:
            raise Unavailable("This organisation has as many rooms as it may have.")
        wanted = config or RoomConfiguration()
        limits = RoomLimits(
            empty_timeout_s=wanted.empty_timeout or self._defaults.empty_timeout_s,
            departure_timeout_s=wanted.departure_timeout or self._defaults.departure_timeout_s,
            max_participants=wanted.max_participants or self._defaults.max_participants,
            metadata=wanted.metadata[: self.limits.metadata_bytes],
        )
        room = Room(
            name=name,
            tenant=tenant,
            id=self._ids.next(),
            engine=self._engine,
            events=self._events.of(tenant),
            ids=self._ids,
            limits=limits,
            lingering=self._lingering,
            by_track=self._by_track,
            sif_trailer=secrets.token_bytes(8),
            config=wanted,
            history=ReliableHistory(budget=self._replay_budget),
            on_change=self._changed,
        )
        self._engine.create_room(room.id)
        self._rooms[key] = self._by_id[room.id] = room
        self._empty_since[key] = time.monotonic()
        room.events.record("room_started", room.info())
        return room

    def _changed(self, room: Room) -> None:
        for peer in room.gone_peers():
            self._by_peer.pop(peer, None)
        if room.closed:
            self._rooms.pop(room.key, None)
            self._by_id.pop(room.id, None)
            self._empty_since.pop(room.key, None)
        elif room.is_empty:
            self._empty_since.setdefault(room.key, time.monotonic())
        else:
            self._empty_since.pop(room.key, None)

    def close_idle(self, now: float) -> None:
        """Ends rooms that have been empty for their time."""
        for key, since in list(self._empty_since.items()):
            room = self._rooms[key]
            limit = room.limits.departure_timeout_s if room.ever_joined else room.limits.empty_timeout_s
            if now - since >= limit:
                room.close(DisconnectReason.ROOM_CLOSED, RoomEndReason.ROOM_END_IDLE_TIMEOUT)

    def give_up_on(self, joined_before_ms: float) -> None:
        """Ends those whose media connection never came up."""
        for room in self.all():
            for participant in list(room.participants.values()):
                if not participant.active and participant.joined_at_ms < joined_before_ms:
                    self._end(room, participant, DisconnectReason.JOIN_FAILURE)

    async def watch(self) -> None:
        """Runs as long as the server does."""
        refresh_at = time.monotonic() + TOKEN_REFRESH_S
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.close_idle(time.monotonic())
            self.give_up_on(time.time() * 1000 - _JOIN_LIMIT_S * 1000)
            for room in self.all():
                room.history.forget_before(time.monotonic())
            if time.monotonic() >= refresh_at:
                refresh_at += TOKEN_REFRESH_S
                for room in self.all():
                    for participant in room.participants.values():
                        self.send_token(participant)

    def shut_down(self) -> None:
        for room in self.all():
            room.close(DisconnectReason.SERVER_SHUTDOWN, RoomEndReason.ROOM_END_SERVER_SHUTDOWN)

    def close(self) -> None:
        """Before the engine ends: nothing is asked of it any more."""
        self.shut_down()
        self._lingering.close()

    # --- coming in -----------------------------------------------------------------------------------------------

    def check(self, claims: Claims) -> None:
        """What must hold before a connection is accepted. Raises what the client is told."""
        if not claims.identity or len(claims.identity.encode()) > self.limits.name_bytes:
            raise InvalidInput("The identity is empty or too long.")
        self.revocations.check(claims)
        room = self.find(claims.video.room, tenant=claims.tenant)
        if room is None:
            if not self._defaults.auto_create and not claims.video.room_create:
                raise RoomMissing
            if not claims.video.room or len(claims.video.room.encode()) > self.limits.name_bytes:
                raise InvalidInput("The room's name is empty or too long.")
        elif room.is_full and claims.identity not in room.participants:
            raise RoomFull

    def join(self, claims: Claims, request: JoinRequest, connection: Connection, *, dual: bool = False) -> Session:
        """A new participant; the one of the same identity, if any, has to go. `dual`: it has two peer connections."""
        self.check(claims)
        me = self._participant(claims, request, connection)
        room = self.open(claims.video.room, claims.room_config, tenant=claims.tenant)
        if present := room.participants.get(claims.identity):
            present.send(leave(DisconnectReason.DUPLICATE_IDENTITY))
            room.remove(present, DisconnectReason.DUPLICATE_IDENTITY, tell_others=False)
            present.disconnect_signal()
        if dual:
            me.offers = self._server_offers(room, me)
            me.subscriber_primary = me.grant.can_subscribe and me.client.protocol >= SUBSCRIBER_PRIMARY
            self._engine.create_peer(me.peer, room.id, "publisher")
        self._engine.create_peer(
            me.receiver, room.id, "subscriber" if dual else "single", allow_pause=_may_pause(request)
        )
        self._by_peer.update(dict.fromkeys(me.peers, room))
        me.send(SignalResponse(join=self._join_response(room, me)))
        self.send_token(me)
        room.add(me)
        if me.offers and me.subscriber_primary:
            me.offers.start()
        session = Session(room, me, self.limits, self._later)
        for track in request.add_track_requests:
            session.add_track(track)
        if request.HasField("publisher_offer"):
            session.offer(request.publisher_offer)
        return session

    def _server_offers(self, room: Room, me: Participant) -> ServerOffers:
        def unanswered() -> None:
            # Without a signal connection it could not answer; when it is back it gets another offer.
            if me.connection:
                self._reconnect(room, me, DisconnectReason.STATE_MISMATCH)

        return ServerOffers(self._engine, self._ids.next(), self._later, send=me.send, give_up=unanswered)

    def _participant(self, claims: Claims, request: JoinRequest, connection: Connection) -> Participant:
        own = claims.video.can_update_own_metadata
        problem = self.limits.metadata_problem(claims.name, request.metadata, request.participant_attributes)
        if problem:
            raise InvalidInput(problem)
        return Participant(
            sid=new_sid("PA_"),
            identity=claims.identity,
            name=claims.name,
            kind=claims.kind,
            grant=claims.video,
            metadata=(request.metadata if own and request.metadata else claims.metadata),
            attributes={**claims.attributes, **(_given(request) if own else {})},
            api_key=claims.api_key,
            claims=claims.raw,
            client=ClientInfo.FromString(request.client_info.SerializeToString()),
            peer=self._ids.next(),
            connection=connection,
            auto_subscribe=request.connection_settings.auto_subscribe,
            adaptive_stream=request.connection_settings.adaptive_stream,
            auto_subscribe_data=request.connection_settings.auto_subscribe_data_track,
        )

    def _join_response(self, room: Room, me: Participant) -> JoinResponse:
        me.state = ParticipantInfo.State.JOINED
        return JoinResponse(
            room=room.info(),
            participant=me.info(),
            other_participants=room.others_visible_to(me),
            ice_servers=self._ice.of(me.sid),
            client_configuration=self._ice.configuration(),
            server_version=SERVER_VERSION,
            server_region=self._defaults.region,
            server_info=self.server_info(),
            subscriber_primary=me.subscriber_primary,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_TIMEOUT_S,
            sif_trailer=room.sif_trailer,
            enabled_publish_codecs=codecs.ENABLED,
            fast_publish=me.grant.can_publish and not self._ice.force_relay,
        )

    def server_info(self) -> ServerInfo:
        return ServerInfo(
            edition=ServerInfo.Edition.Standard,
            version=SERVER_VERSION,
            protocol=PROTOCOL,
            region=self._defaults.region,
            node_id=self._node,
            agent_protocol=1,
        )

    def resume(self, claims: Claims, request: JoinRequest, connection: Connection) -> Session | None:
        """A participant whose signal connection broke is back; None when we know nothing of it any more."""
        room = self.find(claims.video.room, tenant=claims.tenant)
        me = room.participants.get(claims.identity) if room else None
        if room is None or me is None or me.sid != request.participant_sid:
            return None
        me.disconnect_signal()
        me.connection = connection
        session = Session(room, me, self.limits, self._later)
        if me.resume_cuts.silently():
            me.disconnect_signal()
            return session
        me.send(
            SignalResponse(
                reconnect=ReconnectResponse(
                    ice_servers=self._ice.of(me.sid),
                    client_configuration=self._ice.configuration(),
                    server_info=self.server_info(),
                    last_message_seq=me.reliable_seen,
                )
            )
        )
        everybody = [*room.departed, me.info(), *room.others_visible_to(me)]
        me.send(SignalResponse(update=ParticipantUpdate(participants=everybody)))
        for message in me.missed.take():
            me.send(message)
        room.repeat_wanted_qualities(me)
        room.data_tracks.tell_handles(me)
        me.send(SignalResponse(room_update=RoomUpdate(room=room.info())))
        self.send_token(me)
        if me.offers:
            me.offers.restart()
        if request.HasField("sync_state"):
            session.sync_state(request.sync_state)
        if request.HasField("publisher_offer"):
            session.offer(request.publisher_offer)
        if me.resume_cuts.afterwards():
            me.disconnect_signal()
        return session

    def signal_lost(self, session: Session, connection: Connection) -> None:
        """The signal connection is gone. A call that was up goes on and may be resumed."""
        room, me = session.room, session.me
        if me.connection is not connection:
            return
        me.connection = None
        if not me.active:
            room.remove(me, DisconnectReason.SIGNAL_CLOSE)

    def send_token(self, me: Participant) -> None:
        """A fresh token of the same grants, with which the client can resume later."""
        if not self._keys.knows(me.api_key):
            return  # the pair was revoked: the call goes on, but there is no way back into it
        expires = datetime.now(UTC) + _REFRESHED_LIFE
        remaining = datetime.fromtimestamp(float(me.claims["exp"]), UTC)
        video = {**(me.claims.get("video") or {}), **_grant_claims(me)}
        now = {"name": me.name, "metadata": me.metadata, "attributes": me.attributes}
        claims = {**me.claims, **now, "video": video, "exp": int(max(expires, remaining).timestamp())}
        me.send(SignalResponse(refresh_token=self._keys.sign(me.api_key, claims)))

    def set_permission(self, room: Room, me: Participant, permission: ParticipantPermission) -> None:
        me.grant = me.grant.with_permission(permission)
        for track in list(me.tracks.values()):
            if not me.grant.may_publish(track.info.source):
                room.end_track(track)
        room.reconsider_subscriber(me)
        room.data_tracks.reconsider_publisher(me)
        me.touch()
        room.broadcast_participant(me)
        self.send_token(me)

    # --- the engine's events -------------------------------------------------------------------------------------

    def on_event(self, event: "Event") -> None:
        match event:
            case ("speakers", room_id, levels):
                if room := self._by_id.get(room_id):
                    room.spoke(levels)
            case ("track_started", track_id, mime):
                if room := self._room_of_track(track_id):
                    room.track_started(track_id, mime)
            case ("track_ended", track_id):
                if room := self._room_of_track(track_id):
                    room.track_ended(track_id)
            case ("qualities_wanted", track_id, qualities):
                if room := self._room_of_track(track_id):
                    room.qualities_wanted(track_id, list(qualities))
            case ("shard_failed", _, room_ids):
                for room_id in room_ids:
                    self._shard_failed(room_id)
            case (_, int(peer), *_):
                self._peer_event(event, peer)

    def _room_of_track(self, track_id: int) -> Room | None:
        return self._by_track.get(track_id)

    def _peer_event(self, event: "Event", peer: int) -> None:
        room = self._by_peer.get(peer)
        me = room.by_peer.get(peer) if room else None
        if room is None or me is None:
            self._by_peer.pop(peer, None)
            return
        match event:
            case ("answer", _, offer_id, sdp, mid_to_track, sections):
                sdp = room.candidate_choices.apply(me.identity, sdp)
                me.offered(sections)
                answer = SessionDescription(type="answer", sdp=sdp, id=offer_id, mid_to_track_id=mid_to_track)
                me.send(SignalResponse(answer=answer))
                if me.offers:
                    for candidate in me.candidates.new_in(sdp):
                        me.send(candidate)
                room.match_sections(me, me.sections)
            case ("offer_rejected", _, _, message):
                log.info("media.offer_refused", room=room.name, participant=me.sid, reason=message)
                if me.connection:
                    me.connection.refused(message)
                self._end(room, me, DisconnectReason.JOIN_FAILURE)
            case ("connected", _):
                if peer == me.primary:
                    room.activate(me)
            case ("offer_needed", _) if me.offers:
                me.offers.needed()
            case ("offer", _, offer_id, sdp, mid_to_track) if me.offers:
                me.offers.made(offer_id, room.candidate_choices.apply(me.identity, sdp), mid_to_track)
            case ("sections_needed", _, audio, video):
                need = MediaSectionsRequirement(num_audios=audio, num_videos=video)
                me.send(SignalResponse(media_sections_requirement=need))
            case ("subscribed", _, track_id):
                room.subscribed(peer, track_id)
            case ("subscription_failed", _, track_id, message):
                log.info("media.subscription_failed", room=room.name, participant=me.sid, reason=message)
                if track := room.tracks.get(track_id):
                    failed = SubscriptionResponse(track_sid=track.info.sid, err=SubscriptionError.SE_CODEC_UNSUPPORTED)
                    me.send(SignalResponse(subscription_response=failed))
            case ("stream_state", _, track_id, paused):
                self._stream_state(room, me, track_id, paused)
            case ("quality", _, score):
                me.scores[peer] = score
                self._quality(room, me, min(me.scores.values()))
            case ("data", _, channel, payload):
                data.forward(room, me, channel, payload, self.limits)
            case ("peer_closed", _, reason, message):
                log.info("media.peer_closed", room=room.name, participant=me.sid, reason=reason, message=message)
                self._closed(room, me, reason)

    def _closed(self, room: Room, me: Participant, reason: str) -> None:
        """The peer connection ended by itself: the client may come back with a new one, except after its own fault."""
        if reason in ("protocol_error", "limit_exceeded"):
            self._end(room, me, DisconnectReason.JOIN_FAILURE)
            return
        self._reconnect(room, me, DisconnectReason.CONNECTION_TIMEOUT)

    def _reconnect(self, room: Room, me: Participant, reason: DisconnectReason) -> None:
        """The client has to build its connections anew, as another participant of the same identity."""
        me.send(leave(reason, LeaveRequest.Action.RECONNECT))
        room.remove(me, reason)
        me.disconnect_signal()

    def _end(self, room: Room, me: Participant, reason: DisconnectReason) -> None:
        me.send(leave(reason))
        room.remove(me, reason)
        me.disconnect_signal()

    def _shard_failed(self, room_id: int) -> None:
        """Its peers are gone; clients build new ones, into a new room of the same name."""
        if (room := self._by_id.get(room_id)) is None:
            return
        room.close(DisconnectReason.MIGRATION, RoomEndReason.ROOM_END_SUPERSEDED, LeaveRequest.Action.RECONNECT)

    def _quality(self, room: Room, me: Participant, score: float) -> None:
        """Tell `me` and those who take something of it, when its quality became another one (as LiveKit does)."""
        # LOST is never said: browsers reconnect on it while the engine decides by itself when a peer is gone.
        quality = ConnectionQuality.POOR
        if score >= _EXCELLENT_SCORE:
            quality = ConnectionQuality.EXCELLENT
        elif score >= _GOOD_SCORE:
            quality = ConnectionQuality.GOOD
        known = me.quality
        if known is not None and known.quality == quality:
            return
        me.quality = ConnectionQualityInfo(participant_sid=me.sid, quality=quality, score=max(score, 1.0))
        others = [other for other in room.participants.values() if other is not me]
        heard = [] if known else [o.quality for o in others if o.quality and not o.grant.hidden and me.takes(o)]
        me.send(_qualities([me.quality, *heard]))
        if not me.grant.hidden:
            message = _qualities([me.quality])
            for other in others:
                if other.takes(me):
                    other.send(message)

    def _stream_state(self, room: Room, me: Participant, track_id: int, paused: bool) -> None:
        if track := room.tracks.get(track_id):
            state = StreamState.PAUSED if paused else StreamState.ACTIVE
            info = StreamStateInfo(participant_sid=track.publisher.sid, track_sid=track.info.sid, state=state)
            me.send(SignalResponse(stream_state_update=StreamStateUpdate(stream_states=[info])))


def _qualities(infos: list[ConnectionQualityInfo]) -> SignalResponse:
    return SignalResponse(connection_quality=ConnectionQualityUpdate(updates=infos))


def _given(request: JoinRequest) -> dict[str, str]:
    """Attributes of a join. Empty ones take nothing away from what the token says."""
    return {key: value for key, value in request.participant_attributes.items() if value}


def _may_pause(request: JoinRequest) -> bool:
    settings = request.connection_settings
    return settings.subscriber_allow_pause if settings.HasField("subscriber_allow_pause") else False


def _grant_claims(me: Participant) -> dict[str, object]:
    """Permissions as they are now, in a token's words."""
    grant = me.grant
    return {
        "canPublishSources": [SOURCE_NAMES[source] for source in grant.can_publish_sources],
        "canPublish": grant.can_publish,
        "canSubscribe": grant.can_subscribe,
        "canPublishData": grant.can_publish_data,
        "canUpdateOwnMetadata": grant.can_update_own_metadata,
        "canSubscribeMetrics": grant.can_subscribe_metrics,
        "hidden": grant.hidden,
    }
