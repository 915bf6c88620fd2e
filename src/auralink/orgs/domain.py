"""Organisations: the tenants everything belongs to."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from auralink.kit.ids import OrgId


class Role(StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"

    @property
    def manages(self) -> bool:
        """Whether this role may act on what other members made."""
        return self in (Role.OWNER, Role.ADMIN)


class OrganizationKind(StrEnum):
    PERSONAL = "personal"
    TEAM = "team"


@dataclass(frozen=True, slots=True)
class Organization:
    """`role` is the one the asking person holds."""

    id: OrgId
    name: str
    kind: OrganizationKind
    role: Role
    created_at: datetime
