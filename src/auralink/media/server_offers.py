"""The subscriber connection of a client on the dual path (`/rtc`): here the server offers and the client answers.

Offers are debounced and one is under way at a time. The engine numbers them; only the answer to the newest counts.
"""

from collections.abc import Callable
from enum import Enum, auto

from livekit.protocol.rtc import SessionDescription, SignalResponse, SignalTarget

from auralink.media.engine import Engine
from auralink.media.timers import Later, Timer
from auralink.media.trickle import Candidates

_DEBOUNCE_S = 0.15
"""Between two offers, as LiveKit's: what changes together is offered together."""
_FIRST_DEBOUNCE_S = 0.01
"""When there was no offer for a while."""
ANSWER_TIMEOUT_S = 15.0
"""As LiveKit's: a client that does not answer for so long has to build its connections anew."""


class _State(Enum):
    IDLE = auto()
    MAKING = auto()
    """The engine was asked for an offer."""
    WAITING = auto()
    """The client has it."""


class ServerOffers:
    """Owner of the negotiation of one subscriber connection; ends with `close`."""

    def __init__(
        self,
        engine: Engine,
        peer: int,
        later: Later,
        *,
        send: Callable[[SignalResponse], None],
        give_up: Callable[[], None],
    ) -> None:
        """`give_up`: the client did not answer."""
        self.peer = peer
        self._engine = engine
        self._later = later
        self._send = send
        self._give_up = give_up
        self._state = _State.IDLE
        self._newest = 0
        """Number of the offer the client has."""
        self._changed = False
        self._debounce: Timer | None = None
        self._recent: Timer | None = None
        self._answer_due: Timer | None = None
        self._candidates = Candidates(SignalTarget.SUBSCRIBER)
        self._closed = False

    def start(self) -> None:
        """Offer at once."""
        if not self._closed:
            self._make(ice_restart=False)

    def restart(self) -> None:
        """Restart ICE, as after the client was away; what it had not answered is offered again."""
        if not self._closed and (self._newest or self._state is not _State.IDLE):
            self._cancel()
            self._make(ice_restart=True)

    def needed(self) -> None:
        """The engine has subscriptions without a section. What it says before an offer of its is in that offer."""
        if self._state is not _State.MAKING:
            self.changed()

    def changed(self) -> None:
        """What is sent is not what was offered last."""
        if self._closed or self._debounce is not None:
            return
        if self._state is not _State.IDLE:
            self._changed = True
            return
        self._debounce = self._later(_FIRST_DEBOUNCE_S if self._recent is None else _DEBOUNCE_S, self._debounced)

    def made(self, offer_id: int, sdp: str, mid_to_track: dict[str, str]) -> None:
        """The engine's offer is there."""
        if self._closed:
            return
        self._cancel()
        self._state, self._newest = _State.WAITING, offer_id
        self._answer_due = self._later(ANSWER_TIMEOUT_S, self._unanswered)
        offer = SessionDescription(type="offer", sdp=sdp, id=offer_id, mid_to_track_id=mid_to_track)
        self._send(SignalResponse(offer=offer))
        for candidate in self._candidates.new_in(sdp):
            self._send(candidate)

    def answered(self, answer: SessionDescription) -> None:
        """Only one to the newest offer counts; clients that know no numbers say 0."""
        if self._closed or self._state is not _State.WAITING or answer.id not in (0, self._newest):
            return
        self._cancel()
        self._state = _State.IDLE
        self._engine.answer(self.peer, self._newest, answer.sdp)
        if self._changed:
            self.changed()

    def close(self) -> None:
        self._closed = True
        self._cancel()

    def _debounced(self) -> None:
        self._debounce = None
        self._make(ice_restart=False)

    def _make(self, *, ice_restart: bool) -> None:
        self._state = _State.MAKING
        self._changed = False
        if self._recent is not None:
            self._recent.cancel()
        self._recent = self._later(_DEBOUNCE_S, self._no_longer_recent)
        self._engine.make_offer(self.peer, ice_restart=ice_restart)

    def _no_longer_recent(self) -> None:
        self._recent = None

    def _unanswered(self) -> None:
        self._answer_due = None
        self._give_up()

    def _cancel(self) -> None:
        for timer in (self._debounce, self._answer_due, self._recent if self._closed else None):
            if timer is not None:
                timer.cancel()
        self._debounce = self._answer_due = None
