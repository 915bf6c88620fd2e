"""Limits count by name and key, and say when to come back."""

import pytest

from auralink.kit.errors import RateLimited
from auralink.kit.ratelimit import RateLimiter


async def test_attempts_above_the_limit_are_refused_with_the_wait() -> None:
    limiter = RateLimiter()
    for _ in range(3):
        await limiter.hit("3/minute", "login", "10.0.0.1")
    with pytest.raises(RateLimited) as refused:
        await limiter.hit("3/minute", "login", "10.0.0.1")
    assert 1 <= refused.value.retry_after <= 60
    assert int(refused.value.headers["Retry-After"]) >= 1


async def test_other_keys_and_other_names_are_counted_apart() -> None:
    limiter = RateLimiter()
    for key in ("a", "b"):
        for name in ("login", "signup"):
            await limiter.hit("1/minute", name, key)
    with pytest.raises(RateLimited):
        await limiter.hit("1/minute", "login", "b")


async def test_limit_still_holds_in_this_process_when_redis_is_away() -> None:
    limiter = RateLimiter("redis://127.0.0.1:1/0")
    await limiter.hit("1/minute", "login", "a")
    with pytest.raises(RateLimited):
        await limiter.hit("1/minute", "login", "a")
