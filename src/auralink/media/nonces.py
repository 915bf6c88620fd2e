"""Requests that were carried out already."""


class Nonces:
    """The last user packets that carried one, so that a repeated request is carried out once (as LiveKit: 100)."""

    def __init__(self, kept: int = 100) -> None:
        self._kept = kept
        self._seen: dict[bytes, None] = {}

    def repeated(self, nonce: bytes) -> bool:
        """Only nonces of the right size, a UUID's, count."""
        if len(nonce) != 16:
            return False
        if nonce in self._seen:
            return True
        self._seen[nonce] = None
        if len(self._seen) > self._kept:
            del self._seen[next(iter(self._seen))]
        return False
