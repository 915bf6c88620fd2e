"""Tables of organisations; made by migration 0003."""

from datetime import datetime

from sqlalchemy import ForeignKey, Text
from sqlalchemy.orm import Mapped, mapped_column

from auralink.kit.db import Base
from auralink.kit.ids import OrgId, UserId


class OrganizationRow(Base):
    __tablename__ = "organizations"

    id: Mapped[OrgId] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(Text)
    kind: Mapped[str] = mapped_column(Text)
    personal_of: Mapped[UserId | None] = mapped_column(unique=True)
    created_at: Mapped[datetime]


class MembershipRow(Base):
    __tablename__ = "memberships"

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    user_id: Mapped[UserId] = mapped_column(primary_key=True)
    role: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
