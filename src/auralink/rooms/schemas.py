"""What the routes of rooms take and answer."""

from datetime import datetime
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from auralink.kit.ids import EventId, OrgId, RoomId, UserId
from auralink.kit.outbox import StoredEvent
from auralink.kit.text import Name, without_nul
from auralink.rooms.domain import (
    DEFAULT_EMPTY_TIMEOUT_SECONDS,
    DEFAULT_MAX_PARTICIPANTS,
    MAXIMUM_EMPTY_TIMEOUT_SECONDS,
    MAXIMUM_METADATA_BYTES,
    MAXIMUM_PARTICIPANTS,
    Invite,
    InviteId,
    JoinPolicy,
    Participant,
    ParticipantStatus,
    Room,
    RoomSettings,
    RoomStatus,
    RoomView,
    Track,
    user_of,
)


def _fits_in_a_token(text: str) -> str:
    if len(text.encode()) > MAXIMUM_METADATA_BYTES:
        raise ValueError(f"metadata has at most {MAXIMUM_METADATA_BYTES} bytes")
    return without_nul(text)


Metadata = Annotated[str, AfterValidator(_fits_in_a_token)]
MaxParticipants = Annotated[int, Field(ge=1, le=MAXIMUM_PARTICIPANTS, strict=True)]
EmptyTimeout = Annotated[int, Field(ge=1, le=MAXIMUM_EMPTY_TIMEOUT_SECONDS, strict=True)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class RoomIn(Body):
    name: Name
    join_policy: JoinPolicy = JoinPolicy.MEMBERS
    max_participants: MaxParticipants = DEFAULT_MAX_PARTICIPANTS
    empty_timeout_seconds: EmptyTimeout = DEFAULT_EMPTY_TIMEOUT_SECONDS
    """How long the room stays open on the media server with nobody in it."""
    metadata: Metadata = ""
    """Free text for the application's own use, given to every participant."""
    org_id: OrgId | None = None
    """Left out: the caller's personal organisation."""

    def settings(self) -> RoomSettings:
        return RoomSettings(
            self.name, self.join_policy, self.max_participants, self.empty_timeout_seconds, self.metadata
        )


class RoomChangeIn(Body):
    """What is left out stays as it is."""

    name: Name | None = None
    join_policy: JoinPolicy | None = None
    max_participants: MaxParticipants | None = None
    empty_timeout_seconds: EmptyTimeout | None = None
    metadata: Metadata | None = None

    @model_validator(mode="after")
    def _something_to_change(self) -> "RoomChangeIn":
        if not self.changes():
            raise ValueError("give at least one thing to change")
        return self

    def changes(self) -> dict[str, object]:
        return self.model_dump(exclude_none=True)


class RoomOut(BaseModel):
    id: RoomId
    name: str
    org_id: OrgId
    created_by: UserId | None
    join_policy: JoinPolicy
    max_participants: int
    empty_timeout_seconds: int
    metadata: str
    status: RoomStatus
    invite_code: str | None
    """Of the newest invite that works; null when there is none or the room is for members only."""
    created_at: datetime
    updated_at: datetime

    @classmethod
    def of(cls, view: RoomView) -> "RoomOut":
        room, settings = view.room, view.room.settings
        return cls(
            id=room.id,
            name=settings.name,
            org_id=room.org_id,
            created_by=room.created_by,
            join_policy=settings.join_policy,
            max_participants=settings.max_participants,
            empty_timeout_seconds=settings.empty_timeout_seconds,
            metadata=settings.metadata,
            status=view.status,
            invite_code=view.invite_code,
            created_at=room.created_at,
            updated_at=room.updated_at,
        )


class JoinIn(Body):
    display_name: Name | None = None
    """Left out: the account's name."""


class GuestJoinIn(Body):
    display_name: Name


class JoinOut(BaseModel):
    """What a LiveKit SDK connects with: `connect(url, token)`."""

    token: str
    url: str
    identity: str
    room: str
    """The room's name on the media server, which is its id."""
    expires_in: int
    """Seconds in which the token can be used to connect; a call that is under way goes on."""


class InviteIn(Body):
    expires_in_hours: Annotated[int, Field(ge=1, le=24 * 365, strict=True)] | None = None
    """Left out: works until it is revoked."""


class InviteOut(BaseModel):
    id: InviteId
    code: str
    created_at: datetime
    expires_at: datetime | None

    @classmethod
    def of(cls, invite: Invite) -> "InviteOut":
        return cls(id=invite.id, code=invite.code, created_at=invite.created_at, expires_at=invite.expires_at)


class InvitedRoomOut(BaseModel):
    id: RoomId
    name: str


class InvitationOut(BaseModel):
    """What someone holding an invite is shown before joining."""

    room: InvitedRoomOut
    join_policy: JoinPolicy

    @classmethod
    def of(cls, room: Room) -> "InvitationOut":
        return cls(room=InvitedRoomOut(id=room.id, name=room.settings.name), join_policy=room.settings.join_policy)


class TrackOut(BaseModel):
    sid: str
    kind: str
    source: str
    name: str
    muted: bool | None

    @classmethod
    def of(cls, track: Track) -> "TrackOut":
        return cls(sid=track.sid, kind=track.kind, source=track.source, name=track.name, muted=track.muted)


class ParticipantOut(BaseModel):
    sid: str
    identity: str
    user_id: UserId | None
    name: str
    kind: str
    status: ParticipantStatus
    joined_at: datetime
    left_at: datetime | None
    leave_reason: str | None
    tracks: list[TrackOut]
    """Empty in the history."""

    @classmethod
    def of(cls, participant: Participant) -> "ParticipantOut":
        return cls(
            sid=participant.sid,
            identity=participant.identity,
            user_id=user_of(participant.identity),
            name=participant.name,
            kind=participant.kind,
            status=participant.status,
            joined_at=participant.joined_at,
            left_at=participant.left_at,
            leave_reason=participant.leave_reason,
            tracks=[TrackOut.of(track) for track in participant.tracks],
        )


class EventOut(BaseModel):
    """Something that happened. `sequence` counts within the room, from 1 and without gaps; `data` depends on `type`."""

    id: EventId
    type: str
    org_id: OrgId
    room_id: RoomId | None
    sequence: int | None
    occurred_at: datetime
    data: dict[str, Any]

    @classmethod
    def of(cls, event: StoredEvent) -> "EventOut":
        return cls(
            id=event.id,
            type=event.type,
            org_id=event.org_id,
            room_id=event.room_id,
            sequence=event.sequence,
            occurred_at=event.occurred_at,
            data=event.payload,
        )

    @classmethod
    def json_of(cls, event: StoredEvent) -> str:
        return cls.of(event).model_dump_json()


class EventPage(BaseModel):
    """`next_cursor` is where to go on, also when nothing new has happened yet; null before the first event."""

    items: list[EventOut]
    next_cursor: str | None
