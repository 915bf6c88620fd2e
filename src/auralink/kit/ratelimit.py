"""Rate limits by name and key: in memory, or in Redis when AURALINK_REDIS_URL is set and several processes share them.

    await limiter.hit("10/minute", "login", address)

Keys are hashed before they are kept, so neither addresses nor e-mail addresses lie about in Redis.
"""

import time
from hashlib import blake2b

import structlog
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage, Storage
from limits.aio.strategies import MovingWindowRateLimiter
from limits.storage import storage_from_string
from prometheus_client import Counter
from redis.exceptions import RedisError

from auralink.kit.errors import RateLimited

log = structlog.get_logger(__name__)

REFUSED = Counter("auralink_rate_limited_total", "Attempts refused by a rate limit", ("name",))


class RateLimiter:
    def __init__(self, redis_url: str | None = None) -> None:
        self._local = MovingWindowRateLimiter(MemoryStorage())
        self._shared = MovingWindowRateLimiter(_redis(redis_url)) if redis_url else None

    async def hit(self, limit: str, name: str, *keys: str) -> None:
        """Count one attempt at `name` by `keys`. Raises RateLimited, with the wait, when `limit` (such as "10/minute")
        is used up."""
        item = parse(limit)
        identifiers = (name, *(_hashed(key) for key in keys))
        try:
            allowed, reset = await _hit(self._shared or self._local, item, identifiers)
        except (RedisError, OSError) as error:
            # Without Redis each process still holds the limit for itself: stricter than none, looser than shared.
            log.warning("ratelimit.redis_unavailable", reason=type(error).__name__)
            allowed, reset = await _hit(self._local, item, identifiers)
        if not allowed:
            REFUSED.labels(name).inc()
            wait = max(1.0, reset - time.time())
            raise RateLimited(f"Try again in {wait:.0f} s.", retry_after=wait)


async def _hit(
    limiter: MovingWindowRateLimiter, item: RateLimitItem, identifiers: tuple[str, ...]
) -> tuple[bool, float]:
    if await limiter.hit(item, *identifiers):
        return True, 0.0
    return False, (await limiter.get_window_stats(item, *identifiers)).reset_time


def _redis(url: str) -> Storage:
    storage = storage_from_string(f"async+{url}", implementation="redispy")
    if not isinstance(storage, Storage):
        raise TypeError("AURALINK_REDIS_URL names a storage that is not asynchronous")
    return storage


def _hashed(key: str) -> str:
    return blake2b(key.encode(), digest_size=16).hexdigest()
