"""What other domains may ask of organisations."""

from typing import Protocol

from auralink.kit.auth import Principal
from auralink.kit.ids import OrgId
from auralink.orgs.domain import Role


class Organizations(Protocol):
    def home_of(self, caller: Principal, wanted: OrgId | None) -> OrgId:
        """The organisation to act for: the wanted one, or the caller's own. Raises OrganizationNotFound when the
        caller does not belong to it."""

    def role_of(self, caller: Principal, org_id: OrgId) -> Role | None:
        """The caller's role there, or None for a stranger."""
