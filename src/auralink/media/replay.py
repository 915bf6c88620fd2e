"""Reliable messages a room sent lately, for those who were away when they were sent.

A peer connection outlives its signal connection, so what was handed to it still arrives; this is for clients whose end
of it did not survive. They say how far they got (`datachannel_receive_states`) and drop what they get twice.
"""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol


class Addressee(Protocol):
    @property
    def identity(self) -> str: ...
    @property
    def sid(self) -> str: ...


@dataclass(frozen=True)
class Destinations:
    """Whom a message is for: those of these identities or sids; all when it names nobody."""

    identities: frozenset[str] = frozenset()
    sids: frozenset[str] = frozenset()

    def include(self, somebody: Addressee) -> bool:
        if not self.identities and not self.sids:
            return True
        return somebody.identity in self.identities or somebody.sid in self.sids


@dataclass(frozen=True)
class ReplayLimits:
    """LiveKit keeps 2 s and 100 kB of a room; a phone that changes networks needs longer to come back."""

    seconds: float = 60.0
    publisher_bytes: int = 1024 * 1024
    room_bytes: int = 4 * 1024 * 1024
    """Less than what may wait for one peer, as all of it can go to one at once."""


@dataclass(frozen=True)
class _Kept:
    at: float
    sequence: int
    to: Destinations
    payload: bytes


@dataclass
class _Shelf:
    """One publisher's, oldest first."""

    messages: deque[_Kept] = field(default_factory=deque)
    bytes: int = 0


@dataclass
class ReplayBudget:
    """Bytes that all rooms of a server may keep together."""

    total: int = 256 * 1024 * 1024
    used: int = 0


class ReliableHistory:
    """Bounded in age and bytes, per publisher and for the room. Times are of one monotonic clock, in seconds."""

    def __init__(self, limits: ReplayLimits | None = None, budget: ReplayBudget | None = None) -> None:
        self._limits = limits or ReplayLimits()
        self._budget = budget or ReplayBudget()
        self._shelves: dict[str, _Shelf] = {}
        self._bytes = 0

    @property
    def size_bytes(self) -> int:
        return self._bytes

    def add(self, publisher: str, sequence: int, to: Destinations, payload: bytes, now: float) -> None:
        """`publisher` is a participant's sid; its sequence numbers only grow."""
        shelf = self._shelves.setdefault(publisher, _Shelf())
        shelf.messages.append(_Kept(now, sequence, to, payload))
        shelf.bytes += len(payload)
        self._bytes += len(payload)
        self._budget.used += len(payload)
        while shelf.bytes > self._limits.publisher_bytes:
            self._drop_oldest(shelf)
        while self._bytes > self._limits.room_bytes or (self._bytes and self._budget.used > self._budget.total):
            self._drop_oldest(max(self._shelves.values(), key=lambda s: s.bytes))

    def beyond(self, reached: Mapping[str, int], somebody: Addressee) -> list[bytes]:
        """What each of these publishers sent `somebody` after the number reached, in order."""
        return [
            kept.payload
            for publisher, sequence in reached.items()
            if (shelf := self._shelves.get(publisher)) and publisher != somebody.sid
            for kept in shelf.messages
            if kept.sequence > sequence and kept.to.include(somebody)
        ]

    def forget_before(self, now: float) -> None:
        """Drops what is too old to be asked for."""
        for publisher, shelf in list(self._shelves.items()):
            while shelf.messages and now - shelf.messages[0].at > self._limits.seconds:
                self._drop_oldest(shelf)
            if not shelf.messages:
                del self._shelves[publisher]

    def clear(self) -> None:
        self._shelves.clear()
        self._budget.used -= self._bytes
        self._bytes = 0

    def _drop_oldest(self, shelf: _Shelf) -> None:
        size = len(shelf.messages.popleft().payload)
        shelf.bytes -= size
        self._bytes -= size
        self._budget.used -= size
