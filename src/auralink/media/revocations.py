"""Tokens that open no room any more, because their holder was removed."""

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from auralink.kit.errors import Unauthenticated
from auralink.media.tokens import Claims

KEPT = 100_000
"""Removals remembered; the oldest is forgotten first."""


class TokenRevoked(Unauthenticated):
    code = "token_revoked"
    title = "The token was revoked when its holder was removed from the room"


class Revocations:
    """By room and identity, the time (Unix, seconds) before which tokens are refused. Kept as long as the process."""

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._before: OrderedDict[tuple[str, str, str], int] = OrderedDict()

    def revoke(self, tenant: str, room: str, identity: str, before: int) -> None:
        key = (tenant, room, identity)
        self._before[key] = max(before, self._before.get(key, 0))
        self._before.move_to_end(key)
        if len(self._before) > self._kept:
            self._before.popitem(last=False)

    def check(self, claims: Claims) -> None:
        """Raises TokenRevoked."""
        before = self._before.get((claims.tenant, claims.video.room, claims.identity))
        if before is not None and _valid_from(claims.raw) < before:
            raise TokenRevoked


def _valid_from(body: Mapping[str, Any]) -> float:
    """A token that does not say since when it is valid is as old as can be."""
    for name in ("nbf", "iat"):
        value = body.get(name)
        if isinstance(value, int | float):
            return value
    return 0.0
