"""Which of our ICE candidates a participant is told of."""

from typing import Literal

Protocol = Literal["udp", "tcp"]

_PREFIX = "a=candidate:"
_MAX_KEPT = 1_000


class CandidateChoices:
    """Of a room, by identity: a choice outlives the session in which the client asked for it. The newest are kept."""

    def __init__(self) -> None:
        self._chosen: dict[str, Protocol] = {}

    def set(self, identity: str, protocol: Protocol | None) -> None:
        """None: all candidates again."""
        self._chosen.pop(identity, None)
        if protocol is not None:
            self._chosen[identity] = protocol
            if len(self._chosen) > _MAX_KEPT:
                del self._chosen[next(iter(self._chosen))]

    def apply(self, identity: str, sdp: str) -> str:
        """The description with the candidates of that protocol alone; all, when there are none."""
        protocol = self._chosen.get(identity)
        if protocol is None:
            return sdp
        lines = sdp.split("\r\n")
        unwanted = {line for line in lines if line.startswith(_PREFIX) and _protocol(line) != protocol}
        if all(line in unwanted for line in lines if line.startswith(_PREFIX)):
            return sdp
        return "\r\n".join(line for line in lines if line not in unwanted)


def _protocol(candidate: str) -> str:
    """RFC 8839 section 5.1: foundation, component, transport, ..."""
    fields = candidate.split(" ")
    return fields[2].lower() if len(fields) > 2 else ""
