"""All SQL of organisations."""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import select

from auralink.kit.db import Tx
from auralink.kit.ids import OrgId, UserId
from auralink.kit.pagination import PageRequest, fetch_page
from auralink.orgs.domain import Organization, OrganizationKind, Role
from auralink.orgs.models import MembershipRow, OrganizationRow


class OrganizationStore:
    async def add_personal(self, tx: Tx, org_id: OrgId, user_id: UserId, name: str, now: datetime) -> None:
        """The organisation and its owner's membership."""
        kind = OrganizationKind.PERSONAL.value
        tx.session.add(OrganizationRow(id=org_id, name=name, kind=kind, personal_of=user_id, created_at=now))
        await tx.session.flush()
        await self.add_member(tx, org_id, user_id, Role.OWNER, now)

    async def add_member(self, tx: Tx, org_id: OrgId, user_id: UserId, role: Role, now: datetime) -> None:
        """As the system only: row-level security lets nobody else write memberships."""
        tx.session.add(MembershipRow(org_id=org_id, user_id=user_id, role=role.value, created_at=now))
        await tx.session.flush()

    async def roles_of(self, tx: Tx, user_id: UserId) -> Mapping[OrgId, str]:
        """The person's own organisation first, then by age of the membership."""
        statement = (
            select(MembershipRow.org_id, MembershipRow.role)
            .join(OrganizationRow, OrganizationRow.id == MembershipRow.org_id)
            .where(MembershipRow.user_id == user_id)
            .order_by(OrganizationRow.personal_of.is_distinct_from(user_id), MembershipRow.created_at)
        )
        return {row.org_id: row.role for row in await tx.session.execute(statement)}

    async def page(
        self, tx: Tx, roles: Mapping[OrgId, str], request: PageRequest
    ) -> tuple[list[Organization], str | None]:
        rows, cursor = await fetch_page(
            tx,
            select(OrganizationRow).where(OrganizationRow.id.in_(list(roles))),
            request=request,
            keys=[OrganizationRow.id],
            kinds=[OrgId],
            key_of=lambda row: [row.id],
            descending=False,
        )
        return [_organization(row, roles[row.id]) for row in rows], cursor

    async def get(self, tx: Tx, org_id: OrgId, role: str) -> Organization | None:
        row = (await tx.session.scalars(select(OrganizationRow).where(OrganizationRow.id == org_id))).one_or_none()
        return _organization(row, role) if row else None


def _organization(row: OrganizationRow, role: str) -> Organization:
    return Organization(row.id, row.name, OrganizationKind(row.kind), Role(role), row.created_at)
