"""Identity's tables, made by migration 0002. Password hashes live apart from people."""

from datetime import datetime

from sqlalchemy import ForeignKey, LargeBinary, Text
from sqlalchemy.orm import Mapped, mapped_column

from auralink.identity.domain import FamilyId, SignupInvitationId
from auralink.kit.db import Base, IdType
from auralink.kit.ids import UserId


class UserRow(Base):
    __tablename__ = "users"

    id: Mapped[UserId] = mapped_column(primary_key=True)
    email: Mapped[str] = mapped_column(Text, unique=True)
    name: Mapped[str] = mapped_column(Text)
    aura_name: Mapped[str] = mapped_column(Text, unique=True)
    aura_skeleton: Mapped[str] = mapped_column(Text, unique=True)
    instance_role: Mapped[str] = mapped_column(Text)
    suspended_at: Mapped[datetime | None]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class CredentialRow(Base):
    __tablename__ = "credentials"

    user_id: Mapped[UserId] = mapped_column(ForeignKey("users.id"), primary_key=True)
    password_hash: Mapped[str] = mapped_column(Text)
    changed_at: Mapped[datetime]


class SessionFamilyRow(Base):
    __tablename__ = "session_families"

    id: Mapped[FamilyId] = mapped_column(IdType(FamilyId), primary_key=True)
    user_id: Mapped[UserId] = mapped_column(ForeignKey("users.id"))
    client: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    revoked_at: Mapped[datetime | None]
    revoke_reason: Mapped[str | None] = mapped_column(Text)


class RefreshTokenRow(Base):
    __tablename__ = "refresh_tokens"

    token_hash: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)
    family_id: Mapped[FamilyId] = mapped_column(IdType(FamilyId), ForeignKey("session_families.id"))
    issued_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    successor_hash: Mapped[bytes | None] = mapped_column(LargeBinary)


class SignupInvitationRow(Base):
    __tablename__ = "signup_invitations"

    id: Mapped[SignupInvitationId] = mapped_column(IdType(SignupInvitationId), primary_key=True)
    code_hash: Mapped[bytes] = mapped_column(LargeBinary, unique=True)
    created_by: Mapped[UserId] = mapped_column(ForeignKey("users.id"))
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_by: Mapped[UserId | None] = mapped_column(ForeignKey("users.id"))
    used_at: Mapped[datetime | None]
