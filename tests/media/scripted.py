"""An engine that does nothing but remember what it was asked, and a signal connection that keeps what was sent."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from livekit.protocol.agent import Job
from livekit.protocol.models import ClientInfo, ParticipantInfo, RoomEndReason, TrackInfo
from livekit.protocol.models import Room as RoomInfo
from livekit.protocol.rtc import JoinRequest, SignalResponse

from auralink._native import EngineFull
from auralink.media.engine_reports import EngineReports
from auralink.media.ice_servers import IceServers
from auralink.media.joining import Joining
from auralink.media.limits import Limits
from auralink.media.participant import Connection
from auralink.media.room import TenantLogs
from auralink.media.rooms import RoomDefaults, Rooms
from auralink.media.server_info import server_info
from auralink.media.session import Session
from auralink.media.tokens import KeyRing

SDP = "\r\n".join(
    [
        "v=0",
        "m=audio 9 UDP/TLS/RTP/SAVPF 111",
        "a=ice-ufrag:abcd",
        "a=mid:0",
        "a=candidate:1 1 udp 2130706431 127.0.0.1 7882 typ host",
        "a=candidate:2 1 TCP 1671430143 127.0.0.1 7881 typ host tcptype passive",
        "",
    ]
)
"""A description of the engine's."""

KEY, SECRET = "APItest", "a secret that only tests know, long enough"


class ScriptedEngine:
    """Every command becomes (name, arguments, options)."""

    def __init__(self) -> None:
        self.commands: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = []
        self.full = False
        """It takes nothing now but to close peers and rooms."""
        self.takes = 0
        """Of commands, how many it takes although it is full."""
        self.breaks: Exception | None = None
        """What its next command raises."""

    def send_data(self, *arguments: Any, sender: int | None = None) -> bool:
        if not self.full:
            self.commands.append(("send_data", arguments, {}))
        return not self.full

    def __getattr__(self, name: str) -> Any:
        def command(*arguments: Any, **options: Any) -> None:
            if self.full and not self.takes and name not in ("close_peer", "close_room"):
                raise EngineFull
            self.takes = max(self.takes - 1, 0)
            if error := self.breaks:
                self.breaks = None
                raise error
            self.commands.append((name, arguments, options))

        return command

    def named(self, name: str) -> list[tuple[tuple[Any, ...], dict[str, Any]]]:
        return [(arguments, options) for command, arguments, options in self.commands if command == name]


class RememberedEvents:
    def __init__(self) -> None:
        self.names: list[str] = []

    def of(self, tenant: str) -> "RememberedEvents":
        return self

    def record(
        self,
        event: str,
        room: RoomInfo,
        participant: ParticipantInfo | None = None,
        track: TrackInfo | None = None,
        *,
        end: RoomEndReason | None = None,
        job: Job | None = None,
    ) -> None:
        self.names.append(event)


class ScriptedClock:
    """Time passes only when a test says so."""

    def __init__(self) -> None:
        self._now = 0.0
        self._timers: list[ScriptedTimer] = []

    def now(self) -> float:
        return self._now

    def later(self, delay_s: float, what: Callable[[], None]) -> "ScriptedTimer":
        timer = ScriptedTimer(self._now + delay_s, what)
        self._timers.append(timer)
        return timer

    def advance(self, seconds: float) -> None:
        end = self._now + seconds
        while due := [t for t in self._timers if t.at <= end]:
            timer = min(due, key=lambda t: t.at)
            self._timers.remove(timer)
            self._now = timer.at
            if not timer.cancelled:
                timer.what()
        self._now = end


@dataclass
class ScriptedTimer:
    at: float
    what: Callable[[], None]
    cancelled: bool = False

    def cancel(self) -> None:
        self.cancelled = True


class Client:
    """One participant as its signal connection sees it."""

    def __init__(self) -> None:
        self.received: list[SignalResponse] = []
        self.closed = False
        self.silent_s = 0.0
        self.connection = Connection(self.received.append, self._close, silent_s=lambda: self.silent_s)

    def _close(self) -> None:
        self.closed = True

    def of(self, kind: str) -> list[Any]:
        return [getattr(m, kind) for m in self.received if m.WhichOneof("message") == kind]


class Server:
    def __init__(self, limits: Limits | None = None, **defaults: Any) -> None:
        self.engine = ScriptedEngine()
        self.events = RememberedEvents()
        self.keys = KeyRing({KEY: SECRET})
        settings = RoomDefaults(**{"empty_timeout_s": 300, "departure_timeout_s": 20, "auto_create": True} | defaults)
        self.clock = ScriptedClock()
        self.host(self.events, settings, limits or Limits())

    def host(self, events: TenantLogs, defaults: RoomDefaults, limits: Limits, ice: IceServers | None = None) -> None:
        """Rooms of this engine, and the way into them."""
        later = self.clock.later
        self.rooms = Rooms(self.engine, events, defaults, limits, later=later, clock=self.clock.now)
        about = server_info(defaults.region)
        self.joining = Joining(self.rooms, self.keys, ice or IceServers(time.time), about, later=later)
        self.reports = EngineReports(self.rooms)

    def token(self, identity: str, room: str = "lobby", *, key: str = KEY, **claims: Any) -> str:
        video = {"room": room, "roomJoin": True, **claims.pop("video", {})}
        return self.keys.sign(key, {"sub": identity, "exp": 4_000_000_000, "video": video, **claims})

    def join(
        self,
        identity: str,
        room: str = "lobby",
        *,
        connect: bool = True,
        all_data: bool = False,
        dual: bool = False,
        protocol: int = 17,
        about: ClientInfo | None = None,
        **claims: Any,
    ) -> tuple[Session, Client]:
        client = Client()
        request = JoinRequest(client_info=about)
        request.connection_settings.auto_subscribe = True
        request.connection_settings.auto_subscribe_data_track = all_data
        request.client_info.protocol = protocol
        verified = self.keys.verify(self.token(identity, room, **claims))
        session = self.joining.join(verified, request, client.connection, dual=dual)
        if connect:
            for peer in session.me.peers:
                self.reports.handle(("connected", peer))
        return session, client


class ScriptedSocket:
    """What the native core's socket is to a signal connection."""

    def __init__(self, number: int = 1, *, room_for: int = 1_000_000) -> None:
        self.id = number
        self.sent: list[bytes | str] = []
        self.codes: list[int] = []
        self._room_for = room_for

    def send(self, message: bytes | str) -> bool:
        if len(self.sent) == self._room_for:
            return False
        self.sent.append(message)
        return True

    def close(self, code: int) -> None:
        self.codes.append(code)

    def silent_for_s(self) -> float:
        return 0.0
