"""What a participant was to be told while it had no signal connection, and a resume does not tell it anyway."""

from collections import deque

from livekit.protocol.rtc import SignalResponse

_MOST = 500
"""Messages kept; the oldest go first."""
_KINDS = frozenset(
    {
        "mute",
        "request_response",
        "stream_state_update",
        "subscription_permission_update",
        "subscription_response",
        "track_published",
        "track_subscribed",
        "track_unpublished",
    }
)
"""Who is there, what they publish, qualities, tokens and descriptions are told as they are at the resume."""


class Missed:
    def __init__(self) -> None:
        self._messages: deque[SignalResponse] = deque(maxlen=_MOST)

    def keep(self, message: SignalResponse) -> None:
        if message.WhichOneof("message") in _KINDS:
            self._messages.append(message)

    def take(self) -> list[SignalResponse]:
        """All of them, in order; they are kept no longer."""
        messages = list(self._messages)
        self._messages.clear()
        return messages
