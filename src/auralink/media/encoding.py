"""Signal messages as bytes."""

from livekit.protocol.rtc import SignalResponse


class Encoder:
    """Encodes once what is sent to many in a row, as a room does when somebody comes or goes: in a large room that is
    most of its work. A message is not changed any more once it was sent."""

    def __init__(self) -> None:
        self._last: SignalResponse | None = None
        self._encoded = b""

    def encode(self, message: SignalResponse) -> bytes:
        # The message is kept, so that no other one can be taken for it.
        if message is not self._last:
            self._encoded = message.SerializeToString()
            self._last = message
        return self._encoded
