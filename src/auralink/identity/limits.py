"""How often one may try to sign in or up, counted per network address and per account, known or not."""

from starlette.requests import Request

from auralink.identity.settings import IdentitySettings
from auralink.kit.http.address import origin_of
from auralink.kit.ratelimit import RateLimiter


class SignInLimits:
    """Raises RateLimited. Counted before the password is looked at, so that guessing is slow and hashing is bounded."""

    def __init__(self, limiter: RateLimiter, settings: IdentitySettings) -> None:
        self._limiter = limiter
        self._settings = settings

    async def signing_in(self, request: Request, email: str) -> None:
        await self._limiter.hit(self._settings.login_limit_per_address, "login-address", origin_of(request))
        await self._limiter.hit(self._settings.login_limit_per_account, "login-account", _account(email))

    async def signing_up(self, request: Request) -> None:
        await self._limiter.hit(self._settings.signup_limit_per_address, "signup-address", origin_of(request))


def _account(email: str) -> str:
    """The same for every spelling of an address."""
    return email.strip().casefold()
