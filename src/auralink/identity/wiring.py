"""What identity installs: its routers, the authenticator of every route, and the pruning of old sessions."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from auralink.identity.access_tokens import AccessTokens
from auralink.identity.authenticator import BearerAuthenticator
from auralink.identity.cookies import SessionCookies
from auralink.identity.domain import SignupMode
from auralink.identity.hashing import PasswordHasher
from auralink.identity.http import SessionEdge, auth_router, users_router
from auralink.identity.interface import People
from auralink.identity.limits import SignInLimits
from auralink.identity.ports import Tenancy
from auralink.identity.pruning import session_pruning
from auralink.identity.service import Accounts
from auralink.identity.sessions import Sessions
from auralink.identity.settings import IdentitySettings
from auralink.identity.store import AccountStore, SessionStore
from auralink.kit.assembly import Assembly


def install(assembly: Assembly, *, tenancy: Tenancy, only_loopback: bool) -> People:
    """`only_loopback`: whether every listener is bound to this machine only, which lets sign-up default to open."""
    settings = assembly.settings(IdentitySettings)
    signup = SignupMode.effective(settings.signup, only_loopback)
    store, session_store = AccountStore(), SessionStore()
    tokens = AccessTokens(
        settings.token_keys.get_secret_value(),
        settings.token_issuer,
        settings.token_audience,
        settings.access_token_life,
    )
    hasher = PasswordHasher(
        time_cost=settings.argon2_time_cost,
        memory_kib=settings.argon2_memory_kib,
        parallelism=settings.argon2_parallelism,
        workers=settings.argon2_workers,
        queue=settings.argon2_queue,
    )
    sessions = Sessions(
        assembly.database,
        session_store,
        store,
        tenancy,
        tokens,
        assembly.clock,
        life=settings.refresh_token_life,
        csrf_key=settings.csrf_key.get_secret_value().encode(),
    )
    accounts = Accounts(
        assembly.database,
        store,
        sessions,
        tenancy,
        hasher,
        assembly.clock,
        signup=signup,
        owner_invitation=settings.owner_invitation.get_secret_value(),
    )
    authenticator = BearerAuthenticator(assembly.database, tokens, session_store, tenancy, assembly.clock)
    edge = SessionEdge(sessions, SessionCookies(always_secure=settings.public_url.startswith("https://")))
    limits = SignInLimits(assembly.rate_limiter, settings)

    if signup is SignupMode.INVITATION:
        where = (
            "AURALINK_OWNER_INVITATION" if assembly.core.production else f"owner_invitation in {assembly.secrets.path}"
        )
        assembly.facts.append(("Sign-up", f"by invitation; the first account uses {where}"))
    assembly.authenticator = authenticator
    gateway = assembly.server("gateway")
    gateway.add_router(auth_router(accounts, sessions, edge, authenticator, tokens, limits, signup))
    gateway.add_router(users_router(accounts))
    assembly.resource("password-hashing", lambda: _closing(hasher))
    assembly.task("session-pruning", session_pruning(assembly.database, session_store, assembly.clock).run)
    return accounts


@asynccontextmanager
async def _closing(hasher: PasswordHasher) -> AsyncIterator[None]:
    try:
        yield
    finally:
        hasher.close()
