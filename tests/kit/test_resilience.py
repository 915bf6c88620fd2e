"""Calls out: limited in time, retried within a budget, and not made at all while the other side is down."""

import asyncio

import pytest

from auralink.kit.errors import Conflict, Unavailable
from auralink.kit.resilience import BreakerOpen, BreakerState, CallTimeout, Policy
from auralink.kit.testing import VirtualClock


class Service:
    """Fails as often as it is told, then answers."""

    def __init__(self, failures: int = 0, error: Exception | None = None) -> None:
        self.failures = failures
        self.error = error or Unavailable()
        self.calls = 0

    async def __call__(self) -> str:
        self.calls += 1
        if self.calls <= self.failures:
            raise self.error
        return "answer"


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock(run_ahead=True)


def policy(clock: VirtualClock, **settings: object) -> Policy:
    return Policy("test", **{"timeout": 5, "clock": clock, "jitter": lambda: 1.0, **settings})  # type: ignore[arg-type]


async def test_passing_failure_is_retried_with_growing_waits(clock: VirtualClock) -> None:
    service = Service(failures=2)
    assert await policy(clock).run(service) == "answer"
    assert clock.slept == [0.1, 0.2]


async def test_waits_are_jittered_down_to_nothing(clock: VirtualClock) -> None:
    await policy(clock, jitter=lambda: 0.25).run(Service(failures=1))
    assert clock.slept == [0.025]


async def test_last_error_is_raised_when_attempts_are_used_up(clock: VirtualClock) -> None:
    service = Service(failures=9)
    with pytest.raises(Unavailable):
        await policy(clock).run(service)
    assert service.calls == 3


async def test_an_answer_we_do_not_like_is_not_retried(clock: VirtualClock) -> None:
    service = Service(failures=1, error=Conflict())
    calls = policy(clock)
    with pytest.raises(Conflict):
        await calls.run(service)
    assert service.calls == 1
    assert calls.breaker.state is BreakerState.CLOSED


async def test_call_that_must_not_be_repeated_is_not(clock: VirtualClock) -> None:
    service = Service(failures=1)
    with pytest.raises(Unavailable):
        await policy(clock).run(service, attempts=1)
    assert service.calls == 1


async def test_retries_stop_when_the_budget_is_spent(clock: VirtualClock) -> None:
    service = Service(failures=10_000)
    calls = policy(clock, breaker_failures=10_000)
    for _ in range(100):
        with pytest.raises(Unavailable):
            await calls.run(service)
    assert service.calls <= 100 + 10 + 100 * 0.1, "a failing service gets a tenth more calls, not three times as many"


async def test_slow_call_is_given_up(clock: VirtualClock) -> None:
    with pytest.raises(CallTimeout):
        await policy(clock, timeout=0.01, attempts=1).run(asyncio.Event().wait)


async def test_breaker_opens_after_failures_in_a_row_and_closes_when_one_try_succeeds(clock: VirtualClock) -> None:
    service = Service(failures=5)
    calls = policy(clock, attempts=1)
    for _ in range(5):
        with pytest.raises(Unavailable):
            await calls.run(service)
    assert calls.breaker.state is BreakerState.OPEN
    with pytest.raises(BreakerOpen):
        await calls.run(service)
    assert service.calls == 5, "an open breaker does not ask"
    await clock.sleep(10)
    assert await calls.run(service) == "answer"
    assert calls.breaker.state is BreakerState.CLOSED


async def test_only_one_call_tries_while_half_open_and_its_failure_opens_again(clock: VirtualClock) -> None:
    service = Service(failures=6)
    calls = policy(clock, attempts=1)
    for _ in range(5):
        with pytest.raises(Unavailable):
            await calls.run(service)
    await clock.sleep(10)
    results = await asyncio.gather(*(calls.run(service) for _ in range(3)), return_exceptions=True)
    assert service.calls == 6
    assert sum(isinstance(r, BreakerOpen) for r in results) == 2
    assert calls.breaker.state is BreakerState.OPEN


async def test_cancelled_try_does_not_keep_the_breaker_half_open(clock: VirtualClock) -> None:
    calls = policy(clock, attempts=1, breaker_failures=1)
    with pytest.raises(Unavailable):
        await calls.run(Service(failures=1))
    await clock.sleep(10)
    begun = asyncio.Event()

    async def hang() -> None:
        begun.set()
        await asyncio.Event().wait()

    task = asyncio.create_task(calls.run(hang))
    await begun.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert await calls.run(Service()) == "answer"
