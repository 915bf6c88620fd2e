"""LiveKit key pairs: a public key, a secret that signs tokens, and for a while after a rotation the secret before."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from auralink.kit.ids import Id, OrgId, UserId
from auralink.kit.settings import random_secret

MAX_PAIRS = 20
"""Working pairs of one organisation."""
MAX_WEBHOOKS = 5
MAX_URL_LENGTH = 2_000
LONGEST_OVERLAP = timedelta(days=30)
DEFAULT_OVERLAP = timedelta(days=1)


class ApiKeyId(Id, prefix="key"):
    """A key pair, whatever its secret is at the moment."""


@dataclass(frozen=True, slots=True)
class FormerSecret:
    secret: str
    valid_until: datetime


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What may be shown: the secret is not part of it."""

    id: ApiKeyId
    org_id: OrgId
    api_key: str
    """LiveKit's `iss`, unique on this installation."""
    name: str
    webhook_urls: tuple[str, ...]
    created_by: UserId | None
    created_at: datetime
    rotated_at: datetime | None
    former_valid_until: datetime | None
    """Until when the secret before the last rotation works too."""


@dataclass(frozen=True, slots=True)
class IssuedKey:
    """A pair at the only moment its secret is shown."""

    key: ApiKey
    secret: str


@dataclass(frozen=True, slots=True)
class SigningPair:
    """A working pair as the media role needs it."""

    org_id: OrgId
    api_key: str
    secret: str
    former: FormerSecret | None
    webhook_urls: tuple[str, ...]


def new_api_key() -> str:
    """As LiveKit writes them, long enough that two never meet."""
    return f"API{secrets.token_hex(8)}"


def new_secret() -> str:
    return random_secret()


def url_problem(url: str) -> str | None:
    """Why webhooks cannot go there, in words for who typed it."""
    parts = urlsplit(url)
    try:
        port_is_sane = parts.port is None or parts.port > 0
    except ValueError:
        port_is_sane = False
    if len(url) > MAX_URL_LENGTH or "\0" in url:
        return "too long, or not text"
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_sane:
        return "not an address such as https://app.example.org/livekit"
    if parts.username or parts.password:
        return "names and passwords in addresses are not sent; webhooks are signed instead"
    return None


def distinct(urls: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(urls))
