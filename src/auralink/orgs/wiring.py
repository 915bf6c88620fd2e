"""What orgs installs: its router. The service returned is also identity's `Tenancy` and rooms' `Organizations`."""

from auralink.kit.assembly import Assembly
from auralink.orgs.http import organizations_router
from auralink.orgs.service import OrganizationService
from auralink.orgs.store import OrganizationStore


def install(assembly: Assembly) -> OrganizationService:
    organizations = OrganizationService(OrganizationStore(), assembly.clock)
    assembly.server("gateway").add_router(organizations_router(organizations))
    return organizations
