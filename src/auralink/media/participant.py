"""One participant of a room: what it is, what it publishes, what it takes. State only; `session.py` acts on it."""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from livekit.protocol.models import (
    ClientInfo,
    DataBlob,
    DataTrackInfo,
    DisconnectReason,
    ParticipantInfo,
    SimulcastCodecInfo,
    TrackInfo,
    TrackType,
)
from livekit.protocol.rtc import AddTrackRequest, ConnectionQualityInfo, SignalResponse, SignalTarget

from auralink.media.engine import KindName, OfferedSection, QualityName
from auralink.media.missed import Missed
from auralink.media.resume_cuts import ResumeCuts
from auralink.media.section_requests import SectionRequests
from auralink.media.server_offers import ServerOffers
from auralink.media.server_rpc import ServerCalls
from auralink.media.tokens import VideoGrant
from auralink.media.trickle import Candidates
from auralink.media.ways import Ways


@dataclass(eq=False)
class TrackCodec:
    """A track in one codec: an m-line of the publisher's and a track of the engine's."""

    id: int
    """The engine's id."""
    info: SimulcastCodecInfo
    """The one in the track's own info; `mid` is set once an offer names its m-line."""
    wanted: frozenset[str] | None = None
    """Qualities the publisher was last told to send; None: nothing was told."""


@dataclass(eq=False)
class PublishedTrack:
    """A track the server knows, announced by AddTrack."""

    cid: str
    info: TrackInfo
    request: AddTrackRequest
    publisher: "Participant"
    codecs: list[TrackCodec]
    """The one its publisher wants to send, and maybe one for those who cannot have that."""
    announced: bool = False
    regressed: bool = False
    """Everybody takes its backup, as its publisher is not to send two codecs."""

    @property
    def id(self) -> int:
        """The engine's, of its first codec."""
        return self.codecs[0].id

    @property
    def mid(self) -> str:
        return self.info.mid

    @property
    def backup(self) -> TrackCodec | None:
        return self.codecs[1] if len(self.codecs) > 1 else None

    @property
    def bound(self) -> list[TrackCodec]:
        """Those that have an m-line."""
        return [codec for codec in self.codecs if codec.info.mid]

    @property
    def kind(self) -> KindName:
        return "audio" if self.info.type == TrackType.AUDIO else "video"


@dataclass
class DataTrack:
    """Frames of anything from one participant to those who take them."""

    id: int
    """The engine's id."""
    info: DataTrackInfo
    publisher: "Participant"


@dataclass(frozen=True)
class TrackSettings:
    """How a subscriber wants a track."""

    enabled: bool = True
    quality: QualityName = "high"
    width: int = 0
    height: int = 0
    fps: int = 0
    priority: int = 0


@dataclass
class Subscription:
    settings: TrackSettings
    codec: TrackCodec
    """Which of the track's it gets."""
    bound: bool = False
    """It has an m-line."""
    needs_backup: bool = False
    """The subscriber cannot have the first codec."""


@dataclass
class Connection:
    """The signal connection of a participant, from the room's side."""

    send: Callable[[SignalResponse], None]
    close: Callable[[], None]
    refused: Callable[[str], None] = lambda _reason: None
    """Told why an offer was refused, by who can pass that on; a `leave` has no words."""
    silent_s: Callable[[], float] | None = None
    """How long its client has said nothing over it; None: it never does, such as WHIP's."""


@dataclass
class Participant:
    """Owner: the room it is in; changed only on the event loop."""

    sid: str
    identity: str
    name: str
    kind: "ParticipantInfo.Kind"
    grant: VideoGrant
    metadata: str
    attributes: dict[str, str]
    api_key: str
    claims: Mapping[str, Any]
    """The token's body, to sign a fresh one from."""
    client: ClientInfo
    peer: int
    """The engine's id of the connection it publishes on; on the single path it also receives there."""
    connection: Connection | None
    """None while the client is between two signal connections."""
    offers: ServerOffers | None = None
    """Of the connection it receives on, where that is another one (the dual path, `/rtc`)."""
    section_requests: SectionRequests | None = None
    """On the single path, where the client offers."""
    candidates: Candidates = field(default_factory=lambda: Candidates(SignalTarget.PUBLISHER))
    """Of the connection it publishes on."""
    ways: Ways = field(default_factory=Ways)
    missed: Missed = field(default_factory=Missed)
    resume_cuts: ResumeCuts = field(default_factory=ResumeCuts)
    refused: set[str] = field(default_factory=set)
    """Sids of the tracks it wants and was told it may not have."""
    scores: dict[int, float] = field(default_factory=dict)
    """Quality of its connections by the engine's id, 1 (bad) to 5."""
    quality: ConnectionQualityInfo | None = None
    """What was told of it last."""
    subscriber_primary: bool = False
    """On the dual path: the connection it receives on is the one that makes it active and carries our data."""
    auto_subscribe: bool = True
    adaptive_stream: bool = False
    auto_subscribe_data: bool = False
    """Take every data track without being asked."""
    joined_at_ms: int = field(default_factory=lambda: int(time.time() * 1000))
    state: "ParticipantInfo.State" = ParticipantInfo.State.JOINING
    version: int = 0
    tracks: dict[str, PublishedTrack] = field(default_factory=dict)
    """By sid: announced by AddTrack, whether or not media came yet."""
    sections: list[OfferedSection] = field(default_factory=list)
    """The m-lines of the newest applied offer on which the client sends."""
    used_mids: set[str] = field(default_factory=set)
    """Of `sections`, those that had a track. One that lost it does not carry the next one, unless it names it."""
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    """By track sid, of tracks that exist."""
    wishes: dict[str, bool] = field(default_factory=dict)
    """Explicit (un)subscriptions by track sid, also for tracks that are not there yet."""
    settings: dict[str, TrackSettings] = field(default_factory=dict)
    """UpdateTrackSettings by track sid, kept for tracks that are not there yet."""
    permitted: dict[str, frozenset[str] | None] | None = None
    """Who may take our tracks, by identity or sid, and which (None: all); None: everybody everything."""
    disconnect_reason: "DisconnectReason" = DisconnectReason.UNKNOWN_REASON
    reliable_seen: int = 0
    """Highest reliable sequence number received from it."""
    data_tracks: dict[str, DataTrack] = field(default_factory=dict)
    """By sid."""
    data_handles: dict[str, int] = field(default_factory=dict)
    """Of the data tracks it takes, by sid: what their packets say towards it."""
    data_wishes: dict[str, bool] = field(default_factory=dict)
    """Explicit (un)subscriptions of data tracks by sid, also of those that are not there yet."""
    last_data_handle: int = 0
    blobs: dict[bytes, DataBlob] = field(default_factory=dict)
    """By serialized key."""
    calls: ServerCalls = field(default_factory=ServerCalls)

    @property
    def active(self) -> bool:
        return self.state == ParticipantInfo.State.ACTIVE

    @property
    def receiver(self) -> int:
        """The engine's id of the connection it receives on."""
        return self.offers.peer if self.offers else self.peer

    @property
    def primary(self) -> int:
        return self.receiver if self.subscriber_primary else self.peer

    @property
    def peers(self) -> tuple[int, ...]:
        return (self.peer, self.offers.peer) if self.offers else (self.peer,)

    @property
    def is_agent(self) -> bool:
        return self.grant.agent or self.kind == ParticipantInfo.Kind.AGENT

    @property
    def is_publisher(self) -> bool:
        return bool(self.announced_tracks() or self.data_tracks)

    @property
    def dependent(self) -> bool:
        """Agents, recorders and the like do not count as somebody being there."""
        return self.grant.recorder or self.kind in (ParticipantInfo.Kind.AGENT, ParticipantInfo.Kind.EGRESS)

    def send(self, message: SignalResponse) -> None:
        if self.connection:
            self.connection.send(message)
        else:
            self.missed.keep(message)

    def disconnect_signal(self) -> None:
        if self.connection:
            self.connection.close()

    def offered(self, sections: Iterable[OfferedSection]) -> None:
        """An offer was applied. An m-line that rests in between may carry another track."""
        self.sections = list(sections)
        self.used_mids &= {section["mid"] for section in self.sections}

    def sent_less(self) -> None:
        """An m-line carries nothing any more: the client learns it from the next offer, the server's or its own."""
        if self.offers:
            self.offers.changed()
        if self.section_requests:
            self.section_requests.freed()

    def takes(self, other: "Participant") -> bool:
        """Is it subscribed to anything of `other`?"""
        return not self.subscriptions.keys().isdisjoint(other.tracks)

    def permits(self, other: "Participant", sid: str) -> bool:
        """May `other` take our track?"""
        if self.permitted is None:
            return True
        for name in (other.identity, other.sid):
            if name in self.permitted:
                tracks = self.permitted[name]
                return tracks is None or sid in tracks
        return False

    def announced_tracks(self) -> list[PublishedTrack]:
        return [t for t in self.tracks.values() if t.announced]

    def touch(self) -> None:
        """Clients ignore an update whose version is not higher than the last."""
        self.version += 1

    def info(self) -> ParticipantInfo:
        return ParticipantInfo(
            sid=self.sid,
            identity=self.identity,
            name=self.name,
            state=self.state,
            kind=self.kind,
            metadata=self.metadata,
            attributes=self.attributes,
            joined_at=self.joined_at_ms // 1000,
            joined_at_ms=self.joined_at_ms,
            version=self.version,
            permission=self.grant.permission(),
            is_publisher=self.is_publisher,
            disconnect_reason=self.disconnect_reason,
            tracks=[t.info for t in self.announced_tracks()],
            data_tracks=[t.info for t in self.data_tracks.values()],
            client_protocol=self.client.client_protocol,
            capabilities=self.client.capabilities,
        )
