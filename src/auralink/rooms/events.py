"""What happened in and to rooms. Within one room the order is fixed and the sequence has no gaps.

For every stay there is one `participant.joined` and later one `participant.left`, or a single `participant.aborted`;
every `track.published` is followed by one `track.unpublished`; all of them lie between the `room.started` and the
`room.finished` of their session.
"""

from dataclasses import dataclass
from typing import ClassVar

from auralink.kit.events import Event
from auralink.kit.ids import RoomId, UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomEvent(Event):
    type: ClassVar[str] = "room"

    room_id: RoomId  # always given here


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomCreated(RoomEvent):
    type: ClassVar[str] = "room.created"

    name: str
    join_policy: str
    created_by: UserId | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomUpdated(RoomEvent):
    type: ClassVar[str] = "room.updated"

    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomDeleted(RoomEvent):
    type: ClassVar[str] = "room.deleted"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomRevived(RoomEvent):
    """Someone entered a deleted room with a token that was still good; it is being closed again."""

    type: ClassVar[str] = "room.revived"


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomStarted(RoomEvent):
    type: ClassVar[str] = "room.started"

    session: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RoomFinished(RoomEvent):
    type: ClassVar[str] = "room.finished"

    session: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _ParticipantEvent(RoomEvent):
    session: str
    participant: str
    """The sid of this stay; the identity may come back with another one."""
    identity: str
    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantJoined(_ParticipantEvent):
    type: ClassVar[str] = "participant.joined"


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantLeft(_ParticipantEvent):
    type: ClassVar[str] = "participant.left"

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParticipantAborted(_ParticipantEvent):
    type: ClassVar[str] = "participant.aborted"

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class _TrackEvent(RoomEvent):
    participant: str
    identity: str
    track: str
    kind: str
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackPublished(_TrackEvent):
    type: ClassVar[str] = "track.published"


@dataclass(frozen=True, slots=True, kw_only=True)
class TrackUnpublished(_TrackEvent):
    type: ClassVar[str] = "track.unpublished"


@dataclass(frozen=True, slots=True, kw_only=True)
class TenantRoomReported(Event):
    """Something happened in a room that was opened with one of the organisation's own key pairs. Such rooms have a name
    and no id, so their events are in the organisation's order, without a sequence of their own."""

    type: ClassVar[str] = "livekit.reported"

    event: str
    """LiveKit's name, such as participant_joined."""
    room: str
    session: str
    participant: str = ""
    identity: str = ""
    name: str = ""
    track: str = ""
    kind: str = ""
    source: str = ""
    reason: str = ""
