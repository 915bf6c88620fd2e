"""The engine's peers of participants who have left, kept until their clients had time to read why.

A client whose media connection ends before its Leave arrives takes it for a fault. They carry nothing any more.
"""

from collections.abc import Callable
from dataclasses import dataclass

from auralink.media.engine import Engine
from auralink.media.timers import Later, Timer

LINGER_S = 1.5


@dataclass(eq=False)
class _Kept:
    room: int
    peers: tuple[int, ...]
    timer: Timer | None = None


class Lingering:
    """Owner of peers after the end of their participant's session: each is closed once, a room after its last one."""

    def __init__(self, engine_of: Callable[[int], Engine], later: Later) -> None:
        """`engine_of`: for the commands of a room."""
        self._engine_of = engine_of
        self._later = later
        self._kept: set[_Kept] = set()
        self._ended_rooms: set[int] = set()

    def __len__(self) -> int:
        return len(self._kept)

    def keep(self, room: int, peers: tuple[int, ...]) -> None:
        kept = _Kept(room, peers)
        kept.timer = self._later(LINGER_S, lambda: self._close(kept))
        self._kept.add(kept)

    def end_room(self, room: int) -> None:
        """Close the engine's room with its last peer."""
        self._ended_rooms.add(room)
        self._end(room)

    def close(self) -> None:
        """The engine is about to end all of them."""
        for kept in self._kept:
            if kept.timer is not None:
                kept.timer.cancel()
        self._kept.clear()

    def _close(self, kept: _Kept) -> None:
        self._kept.discard(kept)
        for peer in kept.peers:
            self._engine_of(kept.room).close_peer(peer)
        self._end(kept.room)

    def _end(self, room: int) -> None:
        if room in self._ended_rooms and all(kept.room != room for kept in self._kept):
            self._ended_rooms.discard(room)
            self._engine_of(room).close_room(room)
