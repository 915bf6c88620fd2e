"""What identity needs from above."""

from collections.abc import Mapping
from typing import Protocol

from auralink.kit.db import Tx
from auralink.kit.ids import OrgId, UserId


class Tenancy(Protocol):
    """Implemented by `orgs`."""

    async def open_personal(self, tx: Tx, user_id: UserId, name: str) -> OrgId:
        """Make the organisation a new person owns, in the sign-up's transaction."""

    async def roles_of(self, tx: Tx, user_id: UserId) -> Mapping[OrgId, str]:
        """Every organisation of this person and the role held there; their own first."""
