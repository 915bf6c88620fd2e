"""Rooms as values, and who may do what in them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from auralink.kit.ids import Id, OrgId, RoomId, UserId

DEFAULT_MAX_PARTICIPANTS = 50
MAXIMUM_PARTICIPANTS = 10_000
DEFAULT_EMPTY_TIMEOUT_SECONDS = 300
MAXIMUM_EMPTY_TIMEOUT_SECONDS = 86_400
MAXIMUM_METADATA_BYTES = 4096
"""It travels in every join token, and the token in the address of a WebSocket."""


class InviteId(Id, prefix="inv"):
    """An invite to a room."""


class GuestId(Id, prefix="guest"):
    """Someone without an account, for one join."""


class JoinPolicy(StrEnum):
    MEMBERS = "members"
    """Members of the room's organisation."""
    INVITE = "invite"
    """Members, and guests who hold an invite."""
    OPEN = "open"
    """Members, guests with an invite, and every signed-in person who knows the room's id."""


class RoomStatus(StrEnum):
    WAITING = "waiting"
    ACTIVE = "active"


class Standing(StrEnum):
    """What someone is to a room."""

    HOST = "host"
    """Made it, or manages its organisation."""
    MEMBER = "member"
    GUEST = "guest"
    """Holds a valid invite."""
    STRANGER = "stranger"


@dataclass(frozen=True, slots=True)
class RoomSettings:
    name: str
    join_policy: JoinPolicy
    max_participants: int
    empty_timeout_seconds: int
    metadata: str


@dataclass(frozen=True, slots=True)
class Room:
    id: RoomId
    org_id: OrgId
    created_by: UserId | None
    settings: RoomSettings
    created_at: datetime
    updated_at: datetime

    def admits(self, standing: Standing) -> bool:
        match standing:
            case Standing.HOST | Standing.MEMBER:
                return True
            case Standing.GUEST:
                return self.settings.join_policy is not JoinPolicy.MEMBERS
            case Standing.STRANGER:
                return self.settings.join_policy is JoinPolicy.OPEN

    @property
    def wire_name(self) -> str:
        """The room's name in LiveKit's protocol: its id, so that tenants cannot meet."""
        return str(self.id)


@dataclass(frozen=True, slots=True)
class RoomView:
    """A room with what a member sees beside it."""

    room: Room
    status: RoomStatus
    invite_code: str | None


@dataclass(frozen=True, slots=True)
class Invite:
    id: InviteId
    room_id: RoomId
    code: str
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None

    def is_open(self, now: datetime) -> bool:
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


class ParticipantStatus(StrEnum):
    JOINED = "joined"
    LEFT = "left"
    ABORTED = "aborted"
    """The connection never came about."""


@dataclass(frozen=True, slots=True)
class Track:
    sid: str
    kind: str
    source: str
    name: str
    muted: bool | None
    """None where only history is known."""


@dataclass(frozen=True, slots=True)
class Participant:
    """Someone's stay in a room, as the media server tells it now or as it was recorded."""

    sid: str
    identity: str
    name: str
    kind: str
    status: ParticipantStatus
    joined_at: datetime
    left_at: datetime | None
    leave_reason: str | None
    tracks: tuple[Track, ...] = ()


def user_of(identity: str) -> UserId | None:
    """The account behind an identity, for those that are ours."""
    try:
        return UserId.parse(identity)
    except ValueError:
        return None
