"""Telling a client that offers itself (the single path) that m-lines of its are no longer sent on.

A new offer of its own makes them inactive: its receivers end, and the m-lines can carry other tracks. Where the server
offers, `server_offers` does the same.
"""

from collections.abc import Callable

from livekit.protocol.rtc import MediaSectionsRequirement, SignalResponse

from auralink.media.timers import Later, Timer

_DEBOUNCE_S = 0.15
"""What ends together, as when somebody with many tracks leaves, is one negotiation."""


class FreedSections:
    def __init__(self, later: Later, send: Callable[[SignalResponse], None]) -> None:
        self._later = later
        self._send = send
        self._timer: Timer | None = None

    def changed(self) -> None:
        if self._timer is None:
            self._timer = self._later(_DEBOUNCE_S, self._tell)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _tell(self) -> None:
        self._timer = None
        # None more are needed: what the client hears is that it should offer.
        self._send(SignalResponse(media_sections_requirement=MediaSectionsRequirement()))
