"""Asking a client that offers itself (the single path) for an offer: with more m-lines for what it is to get, or with
fewer in use, after something ended.

One request is under way at a time. A client that is asked for an offer while it waits for the answer to its last one
has to remember that; the LiveKit clients built on Rust came to a standstill over it until the middle of 2026.
"""

from collections.abc import Callable

from livekit.protocol.rtc import MediaSectionsRequirement, SignalResponse

from auralink.media.timers import Later, Timer

_DEBOUNCE_S = 0.15
"""What ends together, as when somebody with many tracks leaves, is one negotiation."""
_PATIENCE_S = 3.0
"""How long the offer asked for, or our answer to one, is waited for before the next is asked for all the same."""


class SectionRequests:
    """Owner of the requests to one client; ends with `close`."""

    def __init__(self, later: Later, send: Callable[[SignalResponse], None]) -> None:
        self._later = later
        self._send = send
        self._due = False
        self._missing = (0, 0)
        """M-lines for audio and video that wait to be asked for, if it is due."""
        self._debounce: Timer | None = None
        self._under_way: Timer | None = None

    def needed(self, audio: int, video: int) -> None:
        """So many m-lines more than were asked for since the last offer; none: those there are will do."""
        self._due, self._missing = True, (self._missing[0] + audio, self._missing[1] + video)
        self._ask()

    def freed(self) -> None:
        """An m-line carries nothing any more. An offer makes it inactive: its receiver ends, another track takes it."""
        if self._debounce is None:
            self._debounce = self._later(_DEBOUNCE_S, self._debounced)

    def offered(self) -> None:
        """The client offers, asked or not."""
        self._wait()

    def answered(self) -> None:
        """The answer holds all that was said until now; what is still missing the engine says anew."""
        self.close()
        self._due, self._missing = False, (0, 0)

    def close(self) -> None:
        for timer in (self._debounce, self._under_way):
            if timer is not None:
                timer.cancel()
        self._debounce = self._under_way = None

    def _debounced(self) -> None:
        self._debounce = None
        self._due = True
        self._ask()

    def _ask(self) -> None:
        if not self._due or self._under_way is not None:
            return
        audio, video = self._missing
        self._due, self._missing = False, (0, 0)
        self._wait()
        need = MediaSectionsRequirement(num_audios=audio, num_videos=video)
        self._send(SignalResponse(media_sections_requirement=need))

    def _wait(self) -> None:
        if self._under_way is not None:
            self._under_way.cancel()
        self._under_way = self._later(_PATIENCE_S, self._waited)

    def _waited(self) -> None:
        self._under_way = None
        self._ask()
