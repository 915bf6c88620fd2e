"""Who is asking: the principal of a request, and how an edge finds it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from starlette.requests import HTTPConnection

from auralink.kit.errors import Forbidden
from auralink.kit.ids import Id, OrgId, RoomId, UserId


class PrincipalKind(StrEnum):
    PERSON = "person"
    GUEST = "guest"
    API_KEY = "api_key"
    SYSTEM = "system"


class MissingScope(Forbidden):
    code = "missing_scope"
    title = "This credential may not do that"


@dataclass(frozen=True, slots=True)
class Principal:
    """Someone or something that acts. The database sees it through row-level security, see `kit.db`."""

    kind: PrincipalKind
    id: Id | None = None
    """UserId of a person, the guest's or the key's id; None for the system itself."""
    roles: Mapping[OrgId, str] = field(default_factory=dict)
    """Every organisation this principal belongs to, and the role held there. Rows of other tenants do not exist."""
    org_id: OrgId | None = None
    """The organisation acted for when the request names none (a person's own)."""
    room_id: RoomId | None = None
    """The only room a guest may see."""
    scopes: frozenset[str] = frozenset()
    """What the credential allows; `*` allows everything its principal may do."""
    expires_at: datetime | None = None
    """When the credential ends; long answers (event streams) end with it."""

    @classmethod
    def system(cls) -> "Principal":
        """The platform itself: relays, webhooks, sign-up. Row-level security lets it see every tenant."""
        return cls(PrincipalKind.SYSTEM, scopes=frozenset({"*"}))

    @property
    def user_id(self) -> UserId | None:
        return self.id if isinstance(self.id, UserId) else None

    def role_in(self, org_id: OrgId) -> str | None:
        return self.roles.get(org_id)

    def allows(self, scope: str) -> bool:
        return "*" in self.scopes or scope in self.scopes

    def require(self, scope: str) -> None:
        """Raises MissingScope unless the credential carries `scope`."""
        if not self.allows(scope):
            raise MissingScope(f"The credential needs the scope {scope}.")


class Authenticator(Protocol):
    """Implemented by `identity`."""

    async def authenticate(self, connection: HTTPConnection) -> Principal:
        """The principal of this request. Raises Unauthenticated when its credentials are missing, wrong or expired."""
