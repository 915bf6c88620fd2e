"""Our ICE candidates as messages. They are in every description too; some clients wait for messages."""

import json
from collections.abc import Iterator

from livekit.protocol.rtc import SignalResponse, SignalTarget, TrickleRequest

_CANDIDATE, _UFRAG, _MID = "a=candidate:", "a=ice-ufrag:", "a=mid:"


class Candidates:
    """Of one connection: told once, and again after an ICE restart."""

    def __init__(self, target: "SignalTarget") -> None:
        self._target = target
        self._told = ""
        """The ICE user name fragment they were told for."""

    def new_in(self, sdp: str) -> Iterator[SignalResponse]:
        """The messages to send after this description of ours, the last one marked `final`."""
        found = _read(sdp)
        if found is None or found[0] == self._told:
            return
        self._told, mid, candidates = found
        for number, candidate in enumerate(candidates, start=1):
            # RTCIceCandidateInit (WebRTC section 4.8.1); everything is bundled into the first section.
            init = {"candidate": candidate, "sdpMid": mid, "sdpMLineIndex": 0, "usernameFragment": self._told}
            yield SignalResponse(
                trickle=TrickleRequest(
                    candidateInit=json.dumps(init), target=self._target, final=number == len(candidates)
                )
            )


def _read(sdp: str) -> tuple[str, str, list[str]] | None:
    """ufrag, mid and candidates of the first section that has any."""
    for section in sdp.split("\r\nm=")[1:]:
        lines = section.split("\r\n")
        candidates = [line.removeprefix("a=") for line in lines if line.startswith(_CANDIDATE)]
        if candidates:
            return _value(lines, _UFRAG) or _value(sdp.split("\r\n"), _UFRAG), _value(lines, _MID), candidates
    return None


def _value(lines: list[str], name: str) -> str:
    return next((line.removeprefix(name) for line in lines if line.startswith(name)), "")
