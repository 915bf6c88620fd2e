"""What happened to accounts."""

from dataclasses import dataclass
from typing import ClassVar

from auralink.kit.events import Event
from auralink.kit.ids import UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class AccountOpened(Event):
    """Someone signed up. `org_id` is their personal organisation."""

    type: ClassVar[str] = "account.opened"

    user_id: UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionRevokedByReplay(Event):
    """A refresh token came back after its use; the session it belongs to was ended."""

    type: ClassVar[str] = "session.replayed"

    user_id: UserId
    session_id: str
