"""The outbox's tables; created by migration 0001."""

from sqlalchemy import BigInteger, Column, DateTime, Identity, Table, Text
from sqlalchemy.dialects.postgresql import JSONB

from auralink.kit.db import Base, IdType
from auralink.kit.ids import EventId, OrgId, RoomId

outbox_events = Table(
    "outbox_events",
    Base.metadata,
    Column("position", BigInteger, Identity(always=True), primary_key=True),
    Column("id", IdType(EventId), nullable=False, unique=True),
    Column("org_id", IdType(OrgId), nullable=False),
    Column("room_id", IdType(RoomId)),
    Column("sequence", BigInteger),
    Column("type", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("occurred_at", DateTime(timezone=True), nullable=False),
)

outbox_room_sequences = Table(
    "outbox_room_sequences",
    Base.metadata,
    Column("room_id", IdType(RoomId), primary_key=True),
    Column("org_id", IdType(OrgId), nullable=False),
    Column("last", BigInteger, nullable=False),
)

outbox_consumers = Table(
    "outbox_consumers",
    Base.metadata,
    Column("name", Text, primary_key=True),
    Column("position", BigInteger, nullable=False),
    Column("updated_at", DateTime(timezone=True), nullable=False),
)
