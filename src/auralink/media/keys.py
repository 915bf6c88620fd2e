"""API key pairs as the media role knows them. A pair belongs to a tenant, and so do the rooms its tokens open."""

from dataclasses import dataclass
from datetime import datetime

PLATFORM = ""
"""The tenant of this installation's own pair, and of every pair named in its configuration."""


@dataclass(frozen=True)
class FormerSecret:
    """What a pair had before its rotation; accepted for a while, never signed with."""

    secret: str
    until: datetime


@dataclass(frozen=True)
class KeyPair:
    key: str
    secret: str
    tenant: str = PLATFORM
    former: tuple[FormerSecret, ...] = ()
    webhook_urls: tuple[str, ...] = ()
    """Told what happens in the tenant's rooms, signed by this pair."""

    def secrets(self, now: datetime) -> list[str]:
        """Those a token may be signed with."""
        return [self.secret, *(former.secret for former in self.former if now < former.until)]
