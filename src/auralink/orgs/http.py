"""Routes of organisations."""

from fastapi import APIRouter

from auralink.kit.errors import InvalidInput, Unauthenticated, Unavailable
from auralink.kit.http import Caller, Transaction
from auralink.kit.http.responses import problems
from auralink.kit.ids import OrgId
from auralink.kit.pagination import Page, Paging
from auralink.orgs.errors import OrganizationNotFound
from auralink.orgs.schemas import OrganizationOut
from auralink.orgs.service import OrganizationService


def organizations_router(organizations: OrganizationService) -> APIRouter:
    router = APIRouter(prefix="/api/v1/organizations", tags=["organizations"])

    @router.get("", operation_id="listOrganizations", responses=problems(Unauthenticated, InvalidInput, Unavailable))
    async def list_organizations(paging: Paging, caller: Caller, tx: Transaction) -> Page[OrganizationOut]:
        """The organisations the caller belongs to."""
        items, cursor = await organizations.page(tx, caller, paging)
        return Page(items=[OrganizationOut.of(item) for item in items], next_cursor=cursor)

    @router.get(
        "/{org_id}",
        operation_id="getOrganization",
        responses=problems(Unauthenticated, OrganizationNotFound, InvalidInput, Unavailable),
    )
    async def get_organization(org_id: OrgId, caller: Caller, tx: Transaction) -> OrganizationOut:
        """One organisation the caller belongs to."""
        return OrganizationOut.of(await organizations.get(tx, caller, org_id))

    return router
