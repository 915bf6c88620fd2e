"""The media engine as the signal plane sees it, and the bridge from its eventfd to the event loop."""

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypedDict

import structlog

if TYPE_CHECKING:
    from auralink._native import Event

# As in `auralink._native`, whose aliases exist for the type checker only.
ChannelLabel = Literal["_reliable", "_lossy", "_data_track"]
KindName = Literal["audio", "video"]
QualityName = Literal["low", "medium", "high"]
SourceName = Literal["microphone", "camera", "screen_share", "screen_share_audio", "unknown"]
RoleName = Literal["single", "publisher", "subscriber"]

log = structlog.get_logger(__name__)

_BATCH = 256


class OfferedSection(TypedDict):
    mid: str
    kind: KindName
    cid: str
    codecs: list[str]
    rids: list[str]


class Engine(Protocol):
    """What `auralink._native.Engine` offers; see there. Tests put a scripted one in its place."""

    def fileno(self) -> int: ...
    def drain(self, max_events: int) -> "list[Event]": ...
    def stats(self) -> dict[str, int]: ...
    def close(self, timeout_s: float) -> None: ...
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
    ) -> None: ...
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
    ) -> None: ...
    def offer(self, peer: int, offer_id: int, sdp: str) -> None: ...
    def make_offer(self, peer: int, *, ice_restart: bool = False) -> None: ...
    def limit_bandwidth(self, peer: int, bps: int) -> None: ...
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
    ) -> None: ...
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
    def move_subscription(self, peer: int, old: int, new: int) -> None: ...
    def publish_data(self, peer: int, track: int, handle: int) -> None: ...
    def unpublish_data(self, track: int) -> None: ...
    def subscribe_data(self, peer: int, track: int, handle: int) -> None: ...
    def unsubscribe_data(self, peer: int, track: int) -> None: ...
    def send_data(
        self, peers: list[int], channel: ChannelLabel, payload: bytes, *, sender: int | None = None
    ) -> bool: ...


class EngineEvents:
    """Hands each event to `handle` on the event loop, in order. A handler that raises costs that event only."""

    def __init__(self, engine: Engine, handle: "Callable[[Event], None]") -> None:
        self._engine = engine
        self._handle = handle

    def start(self) -> None:
        asyncio.get_running_loop().add_reader(self._engine.fileno(), self._drain)

    def stop(self) -> None:
        asyncio.get_running_loop().remove_reader(self._engine.fileno())

    def _drain(self) -> None:
        events = self._engine.drain(_BATCH)
        for event in events:
            try:
                self._handle(event)
            except Exception:
                log.exception("media.event_failed", event_name=event[0])
        if len(events) == _BATCH:
            # More is there; let the loop breathe before the next batch.
            asyncio.get_running_loop().call_soon(self._drain)
