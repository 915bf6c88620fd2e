"""Finds the principal of a request: a Bearer access token whose session is still alive."""

from collections.abc import Mapping

from starlette.requests import HTTPConnection

from auralink.identity.access_tokens import AccessClaims, AccessTokens
from auralink.identity.errors import InvalidToken
from auralink.identity.ports import Tenancy
from auralink.identity.store import SessionStore
from auralink.kit.auth import Principal, PrincipalKind
from auralink.kit.clock import Clock
from auralink.kit.db import Database
from auralink.kit.errors import Unauthenticated
from auralink.kit.ids import OrgId


class BearerAuthenticator:
    """Memberships are read each time rather than carried in the token, so that removing someone, ending a session and
    suspending an account hold from the next request on."""

    def __init__(
        self, database: Database, tokens: AccessTokens, sessions: SessionStore, tenancy: Tenancy, clock: Clock
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._sessions = sessions
        self._tenancy = tenancy
        self._clock = clock

    def claims(self, connection: HTTPConnection) -> AccessClaims:
        """What the request's token says; nothing is asked of the database. Raises Unauthenticated or InvalidToken."""
        scheme, _, token = connection.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise Unauthenticated("Send `Authorization: Bearer <access token>`.")
        return self._tokens.verify(token.strip(), self._clock.now())

    async def authenticate(self, connection: HTTPConnection) -> Principal:
        claims = self.claims(connection)
        async with self._database.transaction(Principal.system()) as tx:
            if not await self._sessions.is_alive(tx, claims.family, claims.user_id):
                raise InvalidToken("The session of this token has ended.")
            roles = await self._tenancy.roles_of(tx, claims.user_id)
        return _person(claims, roles)


def _person(claims: AccessClaims, roles: Mapping[OrgId, str]) -> Principal:
    return Principal(
        kind=PrincipalKind.PERSON,
        id=claims.user_id,
        roles=roles,
        org_id=next(iter(roles), None),
        scopes=frozenset({"*"}),
        expires_at=claims.expires_at,
    )
