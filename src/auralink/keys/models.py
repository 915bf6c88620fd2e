"""The table of key pairs; made by migration 0005. Constraints and row-level security stand there."""

from datetime import datetime

from sqlalchemy import Text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, mapped_column

from auralink.keys.domain import ApiKeyId
from auralink.kit.db import Base, IdType
from auralink.kit.ids import OrgId, UserId


class ApiKeyRow(Base):
    __tablename__ = "livekit_api_keys"

    id: Mapped[ApiKeyId] = mapped_column(IdType(ApiKeyId), primary_key=True)
    org_id: Mapped[OrgId]
    api_key: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    sealed_secret: Mapped[bytes]
    """By `kit.sealing`, about the row's id."""
    former_sealed_secret: Mapped[bytes | None]
    former_valid_until: Mapped[datetime | None]
    webhook_urls: Mapped[list[str]] = mapped_column(ARRAY(Text))
    created_by: Mapped[UserId | None]
    created_at: Mapped[datetime]
    rotated_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    """Revoked pairs are kept, without their secrets, so that what was signed with them stays explained."""
