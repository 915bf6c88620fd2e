"""What the routes of organisations answer."""

from datetime import datetime

from pydantic import BaseModel

from auralink.kit.ids import OrgId
from auralink.orgs.domain import Organization, OrganizationKind, Role


class OrganizationOut(BaseModel):
    id: OrgId
    name: str
    kind: OrganizationKind
    role: Role
    created_at: datetime

    @classmethod
    def of(cls, organization: Organization) -> "OrganizationOut":
        return cls(
            id=organization.id,
            name=organization.name,
            kind=organization.kind,
            role=organization.role,
            created_at=organization.created_at,
        )
