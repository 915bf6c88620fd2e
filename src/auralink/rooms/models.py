"""Tables of rooms; made by migration 0004. Constraints and row-level security stand there."""

from datetime import datetime

from sqlalchemy import Text
from sqlalchemy.orm import Mapped, mapped_column

from auralink.kit.db import Base, IdType
from auralink.kit.ids import OrgId, RoomId, UserId
from auralink.rooms.domain import InviteId


class RoomRow(Base):
    __tablename__ = "rooms"

    id: Mapped[RoomId] = mapped_column(primary_key=True)
    org_id: Mapped[OrgId]
    created_by: Mapped[UserId | None]
    name: Mapped[str] = mapped_column(Text)
    join_policy: Mapped[str] = mapped_column(Text)
    max_participants: Mapped[int]
    empty_timeout_seconds: Mapped[int]
    metadata_: Mapped[str] = mapped_column("metadata", Text)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    """Deleted rooms are kept, out of sight, so that what happened in them stays explained."""


class InviteRow(Base):
    __tablename__ = "room_invites"

    id: Mapped[InviteId] = mapped_column(IdType(InviteId), primary_key=True)
    room_id: Mapped[RoomId]
    org_id: Mapped[OrgId]
    code: Mapped[str] = mapped_column(Text, unique=True)
    created_by: Mapped[UserId | None]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class SessionRow(Base):
    """One life of a room on the media server."""

    __tablename__ = "room_sessions"

    room_id: Mapped[RoomId] = mapped_column(primary_key=True)
    sid: Mapped[str] = mapped_column(Text, primary_key=True)
    org_id: Mapped[OrgId]
    started_at: Mapped[datetime]
    finished_at: Mapped[datetime | None]


class ParticipantRow(Base):
    __tablename__ = "room_participants"

    room_id: Mapped[RoomId] = mapped_column(primary_key=True)
    sid: Mapped[str] = mapped_column(Text, primary_key=True)
    session_sid: Mapped[str] = mapped_column(Text)
    org_id: Mapped[OrgId]
    identity: Mapped[str] = mapped_column(Text)
    user_id: Mapped[UserId | None]
    name: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    status: Mapped[str] = mapped_column(Text)
    joined_at: Mapped[datetime]
    left_at: Mapped[datetime | None]
    leave_reason: Mapped[str | None] = mapped_column(Text)


class TrackRow(Base):
    __tablename__ = "room_tracks"

    room_id: Mapped[RoomId] = mapped_column(primary_key=True)
    sid: Mapped[str] = mapped_column(Text, primary_key=True)
    participant_sid: Mapped[str] = mapped_column(Text)
    org_id: Mapped[OrgId]
    kind: Mapped[str] = mapped_column(Text)
    source: Mapped[str] = mapped_column(Text)
    name: Mapped[str] = mapped_column(Text)
    mime_type: Mapped[str] = mapped_column(Text)
    published_at: Mapped[datetime]
    unpublished_at: Mapped[datetime | None]


class WebhookRow(Base):
    """Webhooks already taken in, by their event id."""

    __tablename__ = "livekit_webhooks"

    id: Mapped[str] = mapped_column(Text, primary_key=True)
    received_at: Mapped[datetime]
