"""The typed face of the Rust media core. Ids are plain ints handed out by the caller and never reused.

Every method returns at once and never blocks on a shard; answers come as events from `drain`. Event tuples start with
their name; their shapes are the aliases below. The whole contract in prose: crates/media/src/api.rs.
"""

from collections.abc import Sequence
from typing import Literal, TypeAlias, TypedDict

SOURCE_DIGEST: str
"""Digest of the Rust sources the extension was built from; start-up refuses a stale build."""

ChannelLabel: TypeAlias = Literal["_reliable", "_lossy", "_data_track"]
KindName: TypeAlias = Literal["audio", "video"]
QualityName: TypeAlias = Literal["low", "medium", "high"]
SourceName: TypeAlias = Literal["microphone", "camera", "screen_share", "screen_share_audio", "unknown"]
RoleName: TypeAlias = Literal["single", "publisher", "subscriber"]

class OfferedSection(TypedDict):
    mid: str
    kind: KindName
    cid: str
    codecs: list[str]
    rids: list[str]

Event: TypeAlias = (
    tuple[Literal["answer"], int, int, str, dict[str, str], list[OfferedSection]]  # peer, offer_id, sdp, mid->sid, ..
    | tuple[Literal["offer_rejected"], int, int, str]  # peer, offer_id, message
    | tuple[Literal["offer"], int, int, str, dict[str, str]]  # peer, offer_id, sdp, mid -> track sid
    | tuple[Literal["connected"], int]  # peer
    | tuple[Literal["route"], int, Literal["udp", "tcp"], str, int]  # peer, how, where our packets go to
    | tuple[Literal["channel_open"], int, ChannelLabel]  # peer
    | tuple[Literal["peer_closed"], int, str, str]  # peer, reason, message
    | tuple[Literal["sections_needed"], int, int, int]  # peer, audio, video
    | tuple[Literal["offer_needed"], int]  # peer
    | tuple[Literal["section_freed"], int]  # peer
    | tuple[Literal["track_started"], int, str]  # track, mime
    | tuple[Literal["track_ended"], int]  # track
    | tuple[Literal["subscribed"], int, int]  # peer, track
    | tuple[Literal["subscription_failed"], int, int, str]  # peer, track, message
    | tuple[Literal["qualities_wanted"], int, list[QualityName]]  # track
    | tuple[Literal["stream_state"], int, int, bool]  # peer, track, paused
    | tuple[Literal["speakers"], int, list[tuple[int, float, bool]]]  # room, (peer, level 0..1, active)
    | tuple[Literal["quality"], int, float]  # peer, score 1..5, 0 = lost
    | tuple[Literal["data"], int, ChannelLabel, bytes]  # peer
    | tuple[Literal["unlabeled_data"], int, bytes]  # peer
    | tuple[Literal["shard_failed"], int, list[int]]  # shard, its rooms: all peers of them are gone
)

class EngineClosed(RuntimeError): ...
class EngineFull(RuntimeError): ...

class Engine:
    """The media engine: shard threads, sockets, peers. One per process; unusable after fork."""

    def __init__(
        self,
        *,
        bind_addresses: list[str],
        advertised_addresses: list[str],
        udp_port: int,
        tcp_port: int,
        shards: int = 1,
        limits: dict[str, int] | None = None,
    ) -> None:
        """Bind and start. `udp_port` is the first shard's, the next shards take the following ports; `tcp_port` 0 means
        no ICE-TCP. Port 0 for udp picks a free one. Empty `advertised_addresses` advertises the bound ones (and, for a
        wildcard bind, every interface address). Raises OSError naming the port that is taken, ValueError for an address
        that does not parse."""

    @property
    def udp_ports(self) -> list[int]: ...
    @property
    def tcp_port(self) -> int: ...
    @property
    def warnings(self) -> list[str]:
        """What the operator should know, such as a receive buffer the kernel capped."""

    def fileno(self) -> int:
        """An eventfd, readable when `drain` has something; drain until it returns less than asked for."""

    def drain(self, max_events: int) -> list[Event]: ...
    def stats(self) -> dict[str, int]:
        """Counters summed over shards (names as in `Counters`), plus `events_queued`, `commands_queued`."""

    def close(self, timeout_s: float) -> None:
        """Stop the threads and close the sockets. Idempotent."""

    def inject_fault(self, shard: int, fault: Literal["panic", "stall"], seconds: float = 0.0) -> None:
        """For tests of recovery: the shard's thread panics, or does nothing for `seconds`."""

    def create_room(self, room: int) -> None: ...
    def close_room(self, room: int) -> None: ...
    def create_peer(
        self,
        peer: int,
        room: int,
        role: RoleName,
        *,
        allow_pause: bool = False,
        playout_delay_ms: tuple[int, int] | None = None,
        sync_streams: bool = False,
        shows_tracks_by_packet: bool = False,
        refused_codecs: Sequence[str] = (),
        refused_publish_codecs: Sequence[str] = (),
    ) -> None:
        """`playout_delay_ms`: how long it is to hold pictures back, at least and at most (0 = 10 s).
        `sync_streams`: tracks published with one `stream` name come to it in one media stream.
        `shows_tracks_by_packet`: the client knows of a track when its first packet comes, so one comes anyway.
        `refused_codecs`: mime types it neither gets nor may send; `refused_publish_codecs`: may not send besides."""

    def close_peer(self, peer: int) -> None: ...
    def expect(
        self,
        peer: int,
        *,
        cids: list[str],
        kind: KindName,
        mime: str | None,
        stereo: bool,
        disable_dtx: bool,
        disable_red: bool,
    ) -> None:
        """A track announced by AddTrack, before the offer with its section: the answer asks its encoder for this."""

    def offer(self, peer: int, offer_id: int, sdp: str) -> None: ...
    def make_offer(self, peer: int, *, ice_restart: bool = False) -> None: ...
    def limit_bandwidth(self, peer: int, bps: int) -> None:
        """As if the line to the peer carried no more than this; 0: as it is."""

    def answer(self, peer: int, offer_id: int, sdp: str) -> None: ...
    def publish(
        self,
        peer: int,
        track: int,
        *,
        mid: str,
        sid: str,
        stream_id: str,
        stream: str,
        kind: KindName,
        source: SourceName,
        muted: bool,
        layers: list[tuple[QualityName, int, int, int]],
        sif_trailer: bytes,
        make_red: bool,
    ) -> None:
        """`layers`: (quality, width px, height px, bit rate bps), as announced in AddTrack. `sif_trailer`: of an
        encrypted track, the end of frames that are not its publisher's. `make_red`: who negotiated RED gets it although
        the publisher sends plain Opus."""

    def unpublish(self, track: int) -> None: ...
    def set_muted(self, track: int, muted: bool) -> None: ...
    def subscribe(
        self,
        peer: int,
        track: int,
        *,
        enabled: bool = True,
        quality: QualityName = "high",
        width: int = 0,
        height: int = 0,
        fps: int = 0,
        priority: int = 0,
    ) -> None: ...
    def set_subscription(
        self,
        peer: int,
        track: int,
        *,
        enabled: bool,
        quality: QualityName,
        width: int,
        height: int,
        fps: int,
        priority: int,
    ) -> None: ...
    def unsubscribe(self, peer: int, track: int) -> None: ...
    def move_subscription(self, peer: int, old: int, new: int) -> None:
        """It goes on with another track of its kind, in the section it has: the same picture in another codec."""

    def publish_data(self, peer: int, track: int, handle: int) -> None:
        """A data track: packets of `peer` with this handle (1..65,535) go to its subscribers inside the engine."""

    def unpublish_data(self, track: int) -> None: ...
    def subscribe_data(self, peer: int, track: int, handle: int) -> None:
        """`handle` is what packets of the track say towards this subscriber."""

    def unsubscribe_data(self, peer: int, track: int) -> None: ...
    def send_data(self, peers: list[int], channel: ChannelLabel, payload: bytes, *, sender: int | None = None) -> bool:
        """False: the shard does not keep up, nothing was sent to anybody; EngineFull is never raised. `sender` is
        slowed down while readers of its reliable messages are behind."""

class SignalHub:
    """Signal connections: WebSockets that were accepted, owned by a thread of the core, which answers pings."""

    def __init__(self, *, message_bytes: int, queued_bytes: int, burst: int, per_s: int, silence_s: float) -> None:
        """Bounds: of one message in, of all messages out that wait for one client, of how many messages a client's are
        taken at once and in the long run, and of how long a client may say nothing. Raises OSError."""

    def fileno(self) -> int:
        """Readable while `drain` has something."""

    def drain(self, max_messages: int) -> list[tuple[int, bytes | str | None]]:
        """What clients said, by the id of the socket. None, once: nothing more comes."""

    def adopt(self, fd: int, head: bytes) -> SignalSocket:
        """Takes over the TCP connection of a descriptor, which is duplicated. `head` is sent first: the answer to the
        opening handshake. Raises OSError."""

    def close(self) -> None:
        """Drops all connections."""

class SignalSocket:
    """One of them; dropped, it is closed."""

    @property
    def id(self) -> int: ...
    def send(self, message: bytes | str) -> bool:
        """False: more waits for this client than may."""

    def close(self, code: int) -> None:
        """After what waits was sent. A client that does not read it within seconds loses it."""

    def silent_for_s(self) -> float:
        """How long its client has said nothing, pings included."""
