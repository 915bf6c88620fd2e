"""What happened to key pairs. Never a secret, and no webhook address, which may hold one."""

from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

from auralink.keys.domain import ApiKeyId
from auralink.kit.events import Event
from auralink.kit.ids import UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyEvent(Event):
    type: ClassVar[str] = "api_key"

    key_id: ApiKeyId
    api_key: str
    name: str
    by: UserId | None
    """Who did it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyCreated(ApiKeyEvent):
    type: ClassVar[str] = "api_key.created"


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyChanged(ApiKeyEvent):
    """Its name or its webhooks."""

    type: ClassVar[str] = "api_key.changed"

    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyRotated(ApiKeyEvent):
    type: ClassVar[str] = "api_key.rotated"

    former_valid_until: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ApiKeyRevoked(ApiKeyEvent):
    type: ClassVar[str] = "api_key.revoked"
