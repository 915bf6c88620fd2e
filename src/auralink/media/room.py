"""A room: what it knows, and telling those in it. Owner of its state; all of it lives on the event loop.

What happens to it: `membership`, `publishing`, `subscribing`, `dynacast`. Nothing there waits: commands go to the
engine, messages to participants' bounded queues, facts to the event log.
"""

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from livekit.protocol.agent import Job
from livekit.protocol.models import (
    DisconnectReason,
    ParticipantInfo,
    RoomEndReason,
    TrackInfo,
)
from livekit.protocol.models import Room as RoomInfo
from livekit.protocol.room import RoomConfiguration
from livekit.protocol.rtc import (
    LeaveRequest,
    ParticipantUpdate,
    RoomUpdate,
    SignalResponse,
)

from auralink.media import codecs
from auralink.media.data_out import DataOut
from auralink.media.data_tracks import DataTracks
from auralink.media.engine import Engine
from auralink.media.fallback import Fallbacks, Who
from auralink.media.lingering import Lingering
from auralink.media.nonces import Nonces
from auralink.media.participant import Participant, PublishedTrack
from auralink.media.replay import ReliableHistory
from auralink.media.sids import new_sid
from auralink.media.speakers import Speakers

DEPARTED_KEPT = 100


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
    """That takes every command of this room, in order; see `engine_commands`."""
    events: EventLog
    ids: Ids
    limits: RoomLimits
    data_out: DataOut
    lingering: Lingering
    """Where the peers of those who leave go."""
    fallbacks: Fallbacks
    tenant: str = ""
    """Never told to clients: within its tenant a room goes by its plain name."""
    sid: str = field(default_factory=lambda: new_sid("RM_"))
    created_ms: int = field(default_factory=lambda: int(time.time() * 1000))
    participants: dict[str, Participant] = field(default_factory=dict)
    """By identity."""
    by_peer: dict[int, Participant] = field(default_factory=dict)
    tracks: dict[int, PublishedTrack] = field(default_factory=dict)
    """By the engine's id of each of its codecs that has an m-line."""
    by_track: "dict[int, Room]" = field(default_factory=dict)
    """The rooms of all tracks of this server, by the engine's id."""
    codecs: tuple[str, ...] = codecs.ENABLED
    """Mime types of those that may be used in it."""
    makes_red: bool = False
    """Plain Opus goes as RED to who negotiated that."""
    sif_trailer: bytes = b""
    config: RoomConfiguration = field(default_factory=RoomConfiguration)
    """What CreateRoom or the first token asked for."""
    ever_joined: bool = False
    closed: bool = False
    departed: deque[ParticipantInfo] = field(default_factory=lambda: deque(maxlen=DEPARTED_KEPT))
    """The last who left, for those who were between two signal connections and did not hear of it."""
    history: ReliableHistory = field(default_factory=ReliableHistory)
    nonces: Nonces = field(default_factory=Nonces)
    data_tracks: DataTracks = field(init=False)
    speakers: Speakers = field(default_factory=Speakers)
    gone_peers: list[int] = field(default_factory=list)
    """Engine ids of peers that left, until the owner takes them."""
    on_change: Callable[["Room"], None] = lambda _room: None
    """Told after somebody joined or left, so that the owner can time the room out."""

    @property
    def key(self) -> RoomKey:
        return RoomKey(self.tenant, self.name)

    def __post_init__(self) -> None:
        self.data_tracks = DataTracks(self.engine, self.ids.next, self.participants, self._data_tracks_changed)

    def who(self, me: Participant) -> Who:
        return Who(self.tenant, self.name, me.identity)

    def _data_tracks_changed(self, me: Participant) -> None:
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
            enabled_codecs=codecs.named(self.codecs),
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

    def find_track(self, sid: str) -> PublishedTrack | None:
        for participant in self.participants.values():
            if track := participant.tracks.get(sid):
                return track
        return None

    def announced_tracks(self) -> list[PublishedTrack]:
        return [track for participant in self.participants.values() for track in participant.announced_tracks()]

    def spoke(self, levels: Iterable[tuple[int, float, bool]]) -> None:
        """The engine's report: peer, level, whether it speaks."""
        known = [(me, level, active) for peer, level, active in levels if (me := self.by_peer.get(peer))]
        self.speakers.changed(self.participants.values(), known)

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
        self.tell_changed()

    def tell_changed(self) -> None:
        self.broadcast(SignalResponse(room_update=RoomUpdate(room=self.info())))


def leave(reason: "DisconnectReason", action: "LeaveRequest.Action" = LeaveRequest.Action.DISCONNECT) -> SignalResponse:
    return SignalResponse(
        leave=LeaveRequest(reason=reason, action=action, can_reconnect=action != LeaveRequest.Action.DISCONNECT)
    )
