"""What a media server reports about a room, whichever way it came."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from auralink.kit.ids import OrgId, RoomId


class ReportKind(StrEnum):
    ROOM_STARTED = "room_started"
    ROOM_FINISHED = "room_finished"
    PARTICIPANT_JOINED = "participant_joined"
    PARTICIPANT_LEFT = "participant_left"
    PARTICIPANT_ABORTED = "participant_connection_aborted"
    TRACK_PUBLISHED = "track_published"
    TRACK_UNPUBLISHED = "track_unpublished"


@dataclass(frozen=True, slots=True)
class ReportedParticipant:
    sid: str
    identity: str
    name: str
    kind: str
    joined_at: datetime | None
    leave_reason: str


@dataclass(frozen=True, slots=True)
class ReportedTrack:
    sid: str
    kind: str
    source: str
    name: str
    mime_type: str


@dataclass(frozen=True, slots=True)
class MediaReport:
    """`id` is the same each time a report is repeated; `session` is the sid of the room's present life."""

    id: str
    kind: ReportKind
    room_id: RoomId
    session: str
    at: datetime
    participant: ReportedParticipant | None = None
    track: ReportedTrack | None = None
    end_reason: str = ""


@dataclass(frozen=True, slots=True)
class TenantReport:
    """About a room that was opened with an organisation's own key pair: a name of its own choice, no room of ours."""

    id: str
    org_id: OrgId
    event: str
    """LiveKit's name of what happened."""
    at: datetime
    room: str
    session: str
    participant: ReportedParticipant | None = None
    track: ReportedTrack | None = None
    end_reason: str = ""
