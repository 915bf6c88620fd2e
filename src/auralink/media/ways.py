"""The ways a participant's packets take to us, and the ways it is told of."""

import json
from dataclasses import dataclass, field

from auralink.media.fallback import SHORT_S, Preference, Way

_HELP = ("udp", "tcp", "relay")
"""Ways by how much help they need."""
_MAX_RELAYS = 16

Address = tuple[str, int]


@dataclass
class Ways:
    """State of one session; times by the clock of `Fallbacks`."""

    preference: Preference = Preference.ALL
    """What its descriptions list."""
    moved: bool = False
    """The preference changed and it took no way since: what fails now is what it is to leave."""
    described_at: float | None = None
    """When it first was told how to reach the connection that makes it active."""
    _taken: dict[int, tuple[Way, float]] = field(default_factory=dict)
    """By the engine's id of a connection: how its packets come, and since when."""
    _relays: set[Address] = field(default_factory=set)
    """Its addresses at relays."""

    def takes(self, peer: int, proto: Way, address: Address, now: float) -> None:
        way: Way = "relay" if address in self._relays else proto
        self.moved = False
        known, since = self._taken.get(peer, (way, now))
        self._taken[peer] = way, since if known == way else now

    def negotiated_anew(self, preference: Preference, now: float) -> None:
        """ICE restarts: what fails from now on is counted from now on."""
        self.moved = self.preference is not preference
        self.preference = preference
        self._taken = {peer: (way, now) for peer, (way, _) in self._taken.items()}

    def is_short(self, peer: int, now: float) -> bool:
        _, since = self._taken.get(peer, ("", -SHORT_S))
        return now - since < SHORT_S

    @property
    def neediest(self) -> Way | None:
        """Of its connections the way that needs most help; None: none is up yet."""
        return max((way for way, _ in self._taken.values()), key=_HELP.index, default=None)

    def trickled(self, candidate_init: str) -> None:
        """A candidate of the client's. Only relays are of interest: where datagrams come from says the rest."""
        if (address := _relay(candidate_init)) and len(self._relays) < _MAX_RELAYS:
            self._relays.add(address)


def _relay(candidate_init: str) -> Address | None:
    """RFC 8839 section 5.1: foundation, component, transport, priority, address, port, "typ", type."""
    try:
        read = json.loads(candidate_init)
    except (ValueError, RecursionError):
        return None
    candidate = read.get("candidate") if isinstance(read, dict) else None
    fields = candidate.split(" ") if isinstance(candidate, str) else []
    if fields[6:8] != ["typ", "relay"] or not fields[5].isdecimal() or len(fields[5]) > 5:
        return None
    return fields[4], int(fields[5])
