"""Coming into a room, and coming back after a signal connection broke. Lives on the event loop."""

from typing import TypedDict

from livekit.protocol.models import (
    ClientConfiguration,
    ClientInfo,
    DisabledCodecs,
    DisconnectReason,
    ParticipantInfo,
    ReconnectReason,
    ServerInfo,
)
from livekit.protocol.room import RoomConfiguration
from livekit.protocol.rtc import (
    JoinRequest,
    JoinResponse,
    LeaveRequest,
    ParticipantUpdate,
    ReconnectResponse,
    RoomUpdate,
    SignalResponse,
)

from auralink.kit.errors import AuraError, InvalidInput, NotFound
from auralink.media import codecs, devices, dynacast, membership, moving
from auralink.media.fallback import Preference
from auralink.media.ice_servers import IceServers
from auralink.media.limits import Limits
from auralink.media.participant import Connection, Participant
from auralink.media.room import Room
from auralink.media.rooms import Rooms
from auralink.media.section_requests import SectionRequests
from auralink.media.server_offers import ServerOffers
from auralink.media.session import Session
from auralink.media.sids import new_sid
from auralink.media.timers import Later, on_the_loop
from auralink.media.token_refresh import refresh_token
from auralink.media.tokens import Claims, KeyRing

SUBSCRIBER_PRIMARY = 3
"""Clients of this protocol and newer take the connection they receive on as the one that must be up."""
_SYNC_STREAMS = 10
"""Clients of this protocol and newer know tracks by their own ids."""
PING_INTERVAL_S = 5
PING_TIMEOUT_S = 15


class RoomMissing(NotFound):
    code = "room_missing"
    title = "requested room does not exist"


class RoomFull(AuraError):
    code = "room_full"
    status = 429
    title = "The room has as many participants as it may have"


class Joining:
    def __init__(
        self,
        rooms: Rooms,
        keys: KeyRing,
        ice: IceServers,
        server: ServerInfo,
        *,
        later: Later = on_the_loop,
    ) -> None:
        self._rooms = rooms
        self._keys = keys
        self._ice = ice
        self._server = server
        self._later = later

    @property
    def limits(self) -> Limits:
        return self._rooms.limits

    def check(self, claims: Claims) -> None:
        """What must hold before a connection is accepted. Raises what the client is told."""
        if not claims.identity or len(claims.identity.encode()) > self._rooms.limits.name_bytes:
            raise InvalidInput("The identity is empty or too long.")
        self._rooms.revocations.check(claims)
        room = self._rooms.find(claims.video.room, tenant=claims.tenant)
        if room is None:
            if not self._rooms.defaults.auto_create and not claims.video.room_create:
                raise RoomMissing
            if not claims.video.room or len(claims.video.room.encode()) > self._rooms.limits.name_bytes:
                raise InvalidInput("The room's name is empty or too long.")
        elif room.is_full and claims.identity not in room.participants:
            raise RoomFull

    def join(self, claims: Claims, request: JoinRequest, connection: Connection, *, dual: bool = False) -> Session:
        """A new participant; the one of the same identity, if any, has to go. `dual`: it has two peer connections."""
        self.check(claims)
        me = self._participant(claims, request, connection)
        room = self._rooms.open(claims.video.room, claims.room_config, tenant=claims.tenant)
        if present := room.participants.get(claims.identity):
            membership.dismiss(room, present, DisconnectReason.DUPLICATE_IDENTITY, tell_others=False)
        me.ways.preference = room.fallbacks.preference(room.who(me))
        if dual:
            me.offers = self._server_offers(room, me)
            me.subscriber_primary = me.grant.can_subscribe and me.client.protocol >= SUBSCRIBER_PRIMARY
            room.engine.create_peer(me.peer, room.id, "publisher", **_refused(room, me))
        else:
            me.section_requests = SectionRequests(self._later, me.send)
        room.engine.create_peer(
            me.receiver,
            room.id,
            "subscriber" if dual else "single",
            **_refused(room, me),
            allow_pause=_may_pause(request),
            playout_delay_ms=_playout_delay(room.config),
            sync_streams=room.config.sync_streams and _finds_tracks_in_shared_streams(me.client),
            shows_tracks_by_packet=me.client.sdk == ClientInfo.GO,
        )
        self._rooms.by_peer.update(dict.fromkeys(me.peers, room))
        me.send(SignalResponse(join=self._join_response(room, me)))
        refresh_token(self._keys, me)
        membership.add(room, me)
        if me.offers and me.subscriber_primary:
            me.offers.start()
        session = Session(room, me, self._rooms.limits, self._later)
        for track in request.add_track_requests:
            session.add_track(track)
        if request.HasField("publisher_offer"):
            session.offer(request.publisher_offer)
        return session

    def _server_offers(self, room: Room, me: Participant) -> ServerOffers:
        def unanswered() -> None:
            # Without a signal connection it could not answer; when it is back it gets another offer.
            if me.connection:
                membership.dismiss(room, me, DisconnectReason.STATE_MISMATCH, LeaveRequest.Action.RECONNECT)

        return ServerOffers(room.engine, self._rooms.ids.next(), self._later, send=me.send, give_up=unanswered)

    def _participant(self, claims: Claims, request: JoinRequest, connection: Connection) -> Participant:
        own = claims.video.can_update_own_metadata
        problem = self._rooms.limits.metadata_problem(claims.name, request.metadata, request.participant_attributes)
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
            peer=self._rooms.ids.next(),
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
            ice_servers=self._ice.of(me.sid, me.ways.preference),
            client_configuration=_configuration(self._ice.configuration(me.ways.preference), me),
            server_version=self._server.version,
            server_region=self._server.region,
            server_info=self._server,
            subscriber_primary=me.subscriber_primary,
            ping_interval=PING_INTERVAL_S,
            ping_timeout=PING_TIMEOUT_S,
            sif_trailer=room.sif_trailer,
            enabled_publish_codecs=codecs.publishable(room.codecs, frozenset().union(*devices.refused(me.client))),
            fast_publish=me.grant.can_publish and not self._ice.force_relay and me.ways.preference is Preference.ALL,
        )

    def resume(self, claims: Claims, request: JoinRequest, connection: Connection) -> Session | None:
        """A participant whose signal connection broke is back; None when we know nothing of it any more."""
        room = self._rooms.find(claims.video.room, tenant=claims.tenant)
        me = room.participants.get(claims.identity) if room else None
        if room is None or me is None or me.sid != request.participant_sid:
            return None
        me.disconnect_signal()
        me.connection = connection
        session = Session(room, me, self._rooms.limits, self._later)
        if me.resume_cuts.silently():
            me.disconnect_signal()
            return session
        moving.renegotiate(room, me, lost=_failed_connection(request, me))
        me.send(
            SignalResponse(
                reconnect=ReconnectResponse(
                    ice_servers=self._ice.of(me.sid, me.ways.preference),
                    client_configuration=_configuration(self._ice.configuration(me.ways.preference), me),
                    server_info=self._server,
                    last_message_seq=me.reliable_seen,
                )
            )
        )
        everybody = [*room.departed, me.info(), *room.others_visible_to(me)]
        me.send(SignalResponse(update=ParticipantUpdate(participants=everybody)))
        for message in me.missed.take():
            me.send(message)
        dynacast.repeat(me)
        room.data_tracks.tell_handles(me)
        me.send(SignalResponse(room_update=RoomUpdate(room=room.info())))
        refresh_token(self._keys, me)
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
            membership.remove(room, me, DisconnectReason.SIGNAL_CLOSE)


def _failed_connection(request: JoinRequest, me: Participant) -> int | None:
    """Because of which the client resumes."""
    match request.reconnect_reason:
        case ReconnectReason.RR_PUBLISHER_FAILED:
            return me.peer
        case ReconnectReason.RR_SUBSCRIBER_FAILED:
            return me.receiver
    return None


def _given(request: JoinRequest) -> dict[str, str]:
    """Attributes of a join. Empty ones take nothing away from what the token says."""
    return {key: value for key, value in request.participant_attributes.items() if value}


def _playout_delay(config: RoomConfiguration) -> tuple[int, int] | None:
    """In milliseconds, at least and at most; none where the room leaves it to the players."""
    delay = config.min_playout_delay, config.max_playout_delay
    return delay if any(delay) else None


class _RefusedCodecs(TypedDict):
    refused_codecs: list[str]
    refused_publish_codecs: list[str]


def _refused(room: Room, me: Participant) -> _RefusedCodecs:
    """What is not negotiated with it: by the server's settings, and because of what its client is."""
    device = devices.refused(me.client)
    off = {mime for mime in codecs.ENABLED if mime not in room.codecs}
    if not devices.takes_red(me.client):
        off |= {"audio/red"}
    return {"refused_codecs": sorted(off | device.codecs), "refused_publish_codecs": sorted(device.publish)}


def _configuration(common: ClientConfiguration | None, me: Participant) -> ClientConfiguration | None:
    device = devices.refused(me.client)
    if not any(device):
        return common
    disabled = DisabledCodecs(codecs=codecs.named(sorted(device.codecs)), publish=codecs.named(sorted(device.publish)))
    configuration = ClientConfiguration(disabled_codecs=disabled)
    configuration.MergeFrom(common or ClientConfiguration())
    return configuration


def _may_pause(request: JoinRequest) -> bool:
    settings = request.connection_settings
    return settings.subscriber_allow_pause if settings.HasField("subscriber_allow_pause") else False


def _finds_tracks_in_shared_streams(client: ClientInfo) -> bool:
    """Firefox makes up its own track ids, so there only the stream says which track it is."""
    return client.protocol >= _SYNC_STREAMS and "firefox" not in client.browser.lower()
