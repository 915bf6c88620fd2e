"""Organisations: the personal one everybody has, and what a person belongs to."""

from collections.abc import Mapping

from auralink.kit.auth import Principal
from auralink.kit.clock import Clock
from auralink.kit.db import Tx
from auralink.kit.ids import OrgId, UserId
from auralink.kit.pagination import PageRequest
from auralink.orgs.domain import Organization, OrganizationKind, Role
from auralink.orgs.errors import OrganizationNotFound
from auralink.orgs.events import OrganizationCreated
from auralink.orgs.store import OrganizationStore


class OrganizationService:
    """Also identity's `Tenancy`."""

    def __init__(self, store: OrganizationStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def open_personal(self, tx: Tx, user_id: UserId, name: str) -> OrgId:
        org_id, now = OrgId.new(), self._clock.now()
        await self._store.add_personal(tx, org_id, user_id, name, now)
        tx.emit(
            OrganizationCreated(
                org_id=org_id, occurred_at=now, kind=OrganizationKind.PERSONAL.value, created_by=user_id
            )
        )
        return org_id

    async def roles_of(self, tx: Tx, user_id: UserId) -> Mapping[OrgId, str]:
        return await self._store.roles_of(tx, user_id)

    async def page(self, tx: Tx, caller: Principal, request: PageRequest) -> tuple[list[Organization], str | None]:
        return await self._store.page(tx, caller.roles, request)

    async def get(self, tx: Tx, caller: Principal, org_id: OrgId) -> Organization:
        role = caller.role_in(org_id)
        found = await self._store.get(tx, org_id, role) if role else None
        if found is None:
            raise OrganizationNotFound
        return found

    def home_of(self, caller: Principal, wanted: OrgId | None) -> OrgId:
        org_id = wanted or caller.org_id
        if org_id is None or caller.role_in(org_id) is None:
            raise OrganizationNotFound
        return org_id

    def role_of(self, caller: Principal, org_id: OrgId) -> Role | None:
        role = caller.role_in(org_id)
        return Role(role) if role else None
