"""All rooms of this server: made by name, found by what the engine says of them, ended when nobody is left.

Owner of the rooms; lives on the event loop.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from itertools import count

from livekit.protocol.models import DisconnectReason, RoomEndReason
from livekit.protocol.room import RoomConfiguration
from livekit.protocol.rtc import LeaveRequest

from auralink.kit.errors import InvalidInput, Unavailable
from auralink.media import codecs, membership, moving
from auralink.media.data_out import DataOut
from auralink.media.engine import Engine
from auralink.media.engine_commands import EngineCommands
from auralink.media.fallback import Fallbacks, Policy
from auralink.media.keys import PLATFORM
from auralink.media.limits import Limits
from auralink.media.lingering import Lingering
from auralink.media.replay import ReliableHistory, ReplayBudget
from auralink.media.revocations import Revocations
from auralink.media.room import Room, RoomKey, RoomLimits, TenantLogs
from auralink.media.timers import Later, on_the_loop

_SWEEP_S = 1.0
_JOIN_LIMIT_S = 60
"""How long a participant may take until its media connection is up."""


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
    sync_streams: bool = False
    """Players get what belongs together in one media stream, also in rooms that do not ask for it."""
    codecs: tuple[str, ...] = codecs.ENABLED
    """Mime types of those that may be used."""
    makes_red: bool = False
    """Plain Opus goes as RED to who negotiated that."""
    fallback: Policy = field(default_factory=Policy)


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
        events: TenantLogs,
        defaults: RoomDefaults,
        limits: Limits,
        *,
        later: Later = on_the_loop,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._engine = engine
        self._events = events
        self.defaults = defaults
        self.limits = limits
        self.revocations = Revocations()
        self._fallbacks = Fallbacks(defaults.fallback, clock)
        self._later = later
        self._commands = EngineCommands(engine, later, self._engine_too_slow)
        self._lingering = Lingering(self._commands.of, later)
        self.ids = _Ids()
        self._replay_budget = ReplayBudget()
        self._rooms: dict[RoomKey, Room] = {}
        self.by_id: dict[int, Room] = {}
        self.by_peer: dict[int, Room] = {}
        self.by_track: dict[int, Room] = {}
        self._empty_since: dict[RoomKey, float] = {}

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
        wanted = RoomConfiguration()
        wanted.CopyFrom(config or wanted)
        wanted.sync_streams |= self.defaults.sync_streams
        limits = RoomLimits(
            empty_timeout_s=wanted.empty_timeout or self.defaults.empty_timeout_s,
            departure_timeout_s=wanted.departure_timeout or self.defaults.departure_timeout_s,
            max_participants=wanted.max_participants or self.defaults.max_participants,
            metadata=wanted.metadata[: self.limits.metadata_bytes],
        )
        room_id = self.ids.next()
        room = Room(
            name=name,
            tenant=tenant,
            id=room_id,
            engine=self._commands.of(room_id),
            events=self._events.of(tenant),
            ids=self.ids,
            limits=limits,
            data_out=DataOut(self._engine, self._later, self._cannot_keep_up),
            lingering=self._lingering,
            fallbacks=self._fallbacks,
            by_track=self.by_track,
            codecs=self.defaults.codecs,
            makes_red=self.defaults.makes_red,
            sif_trailer=secrets.token_bytes(8),
            config=wanted,
            history=ReliableHistory(budget=self._replay_budget),
            on_change=self._changed,
        )
        room.engine.create_room(room.id)
        self._rooms[key] = self.by_id[room.id] = room
        self._empty_since[key] = time.monotonic()
        room.events.record("room_started", room.info())
        return room

    def _cannot_keep_up(self, peers: Iterable[int]) -> None:
        """A reliable message would be lost on the way to these peers: they build their connections anew."""
        for peer in peers:
            room = self.by_peer.get(peer)
            if room and (me := room.by_peer.get(peer)):
                membership.dismiss(room, me, DisconnectReason.CONNECTION_TIMEOUT, LeaveRequest.Action.RECONNECT)

    def _engine_too_slow(self, room_id: int) -> None:
        """What the room asked of the engine is lost: its clients build their connections anew, into a new room."""
        if room := self.by_id.get(room_id):
            end = RoomEndReason.ROOM_END_SUPERSEDED
            membership.close(room, DisconnectReason.MEDIA_FAILURE, end, LeaveRequest.Action.RECONNECT)

    def _changed(self, room: Room) -> None:
        for peer in room.gone_peers:
            self.by_peer.pop(peer, None)
        room.gone_peers.clear()
        if room.closed:
            self._rooms.pop(room.key, None)
            self.by_id.pop(room.id, None)
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
                membership.close(room, DisconnectReason.ROOM_CLOSED, RoomEndReason.ROOM_END_IDLE_TIMEOUT)

    def give_up_on(self, joined_before_ms: float) -> None:
        """Ends those whose media connection never came up."""
        for room in self.all():
            for participant in list(room.participants.values()):
                if not participant.active and participant.joined_at_ms < joined_before_ms:
                    membership.dismiss(room, participant, DisconnectReason.JOIN_FAILURE)

    def move_stuck(self) -> None:
        """Those who were told of a few ways only, none of which came up, come anew."""
        for room in self.all():
            for participant in list(room.participants.values()):
                if moving.is_stuck(room, participant):
                    moving.stuck(room, participant)
                    reconnect = LeaveRequest.Action.RECONNECT
                    membership.dismiss(room, participant, DisconnectReason.CONNECTION_TIMEOUT, reconnect)

    async def watch(self) -> None:
        """Ends what nobody needs; runs as long as the server does."""
        while True:
            await asyncio.sleep(_SWEEP_S)
            self.close_idle(time.monotonic())
            self.move_stuck()
            self.give_up_on(time.time() * 1000 - _JOIN_LIMIT_S * 1000)
            for room in self.all():
                room.history.forget_before(time.monotonic())

    def shut_down(self) -> None:
        for room in self.all():
            membership.close(room, DisconnectReason.SERVER_SHUTDOWN, RoomEndReason.ROOM_END_SERVER_SHUTDOWN)

    def close(self) -> None:
        """Before the engine ends: nothing is asked of it any more."""
        self.shut_down()
        self._lingering.close()
        self._commands.close()
