"""How often one network address may use invites: joining without an account costs nobody anything else."""

from starlette.requests import Request

from auralink.kit.http.address import origin_of
from auralink.kit.ratelimit import RateLimiter
from auralink.rooms.settings import RoomsSettings


class GuestLimit:
    def __init__(self, limiter: RateLimiter, settings: RoomsSettings) -> None:
        self._limiter = limiter
        self._limit = settings.guest_limit_per_address

    async def check(self, request: Request) -> None:
        """Raises RateLimited."""
        await self._limiter.hit(self._limit, "guest-address", origin_of(request))
