"""Moving a client whose connection fails to another way: from UDP to TCP, from there to a relay over TLS. As LiveKit.

A client tries every way by itself when it connects. This is for ways that look good then and do not last. What was
learned of a participant's network is kept for some minutes by its name, for it may join anew meanwhile.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Literal, NamedTuple

SHORT_S = 90.0
"""A way that ends sooner is left at once; one that lasted has to fail twice."""
TWICE_WITHIN_S = 60.0
KEPT_S = 300.0
_MAX_KEPT = 10_000

Way = Literal["udp", "tcp", "relay"]


class Preference(Enum):
    """Which ways a participant is told of."""

    ALL = auto()
    TCP = auto()
    TLS = auto()
    """Only a relay that is reached over TLS."""


class Who(NamedTuple):
    tenant: str
    room: str
    identity: str


@dataclass(frozen=True)
class Policy:
    allowed: bool = True
    """False: nobody is moved."""
    tcp: bool = True
    """We have ICE-TCP."""
    tls: bool = False
    """We have a relay over TLS."""
    force_tcp: bool = False
    """UDP is told to nobody."""


@dataclass(frozen=True)
class Failure:
    """Of a participant's connection."""

    lost: Way | None
    """The way it took; None when it never had any. Of two connections the one that needs more help."""
    short: bool
    takes_tcp: bool
    """The client can do ICE-TCP."""


def next_preference(now: Preference, failure: Failure, policy: Policy) -> Preference:
    match failure.lost:
        case "udp" if now is Preference.ALL and failure.takes_tcp and policy.tcp:
            return Preference.TCP
        case "udp" if now is Preference.ALL and policy.tls:
            return Preference.TLS
        case "tcp":
            return Preference.TLS if policy.tls else now
        case "relay":
            return now
    # What it was told of did not work at all, or it did not take it.
    return Preference.ALL


@dataclass(frozen=True)
class _Known:
    preference: Preference = Preference.ALL
    until: float = 0.0
    failed_at: float | None = None


class Fallbacks:
    """Owner of what was learned of participants' networks. Bounded: the oldest are forgotten first."""

    def __init__(self, policy: Policy, clock: Callable[[], float] = time.monotonic) -> None:
        self.policy = policy
        self.now = clock
        self._known: dict[Who, _Known] = {}

    @property
    def widest(self) -> Preference:
        """Of those of whom nothing was learned."""
        return Preference.TCP if self.policy.force_tcp else Preference.ALL

    def preference(self, who: Who) -> Preference:
        known = self._known.get(who)
        learned = known.preference if known and self.now() < known.until else Preference.ALL
        return self.widest if learned is Preference.ALL else learned

    def prefer(self, who: Who, preference: Preference) -> None:
        if preference is Preference.TLS and not self.policy.tls:
            preference = Preference.ALL
        self._keep(who, _Known(preference, self.now() + KEPT_S))

    def failed(self, who: Who, failure: Failure) -> bool:
        """Whether its preference is another one now."""
        if not self.policy.allowed:
            return False
        known, now = self._known.get(who, _Known()), self.now()
        again = known.failed_at is not None and now - known.failed_at <= TWICE_WITHIN_S
        if not failure.short:
            self._keep(who, replace(known, failed_at=now))
        if not failure.short and not again:
            return False
        before = self.preference(who)
        after = next_preference(before, failure, self.policy)
        if after is not before:
            self.prefer(who, after)
        return self.preference(who) is not before

    def excuse(self, who: Who) -> None:
        """It was out of reach altogether: that says nothing about the way it took."""
        if known := self._known.get(who):
            self._keep(who, replace(known, failed_at=None))

    def _keep(self, who: Who, known: _Known) -> None:
        self._known.pop(who, None)
        self._known[who] = known
        if len(self._known) > _MAX_KEPT:
            del self._known[next(iter(self._known))]
