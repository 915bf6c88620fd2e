"""Calls out of the process: a time limit, retries that cannot become a storm, and a breaker that stops asking.

    livekit = Policy("livekit", timeout=5)
    rooms = await livekit.run(lambda: client.list_rooms(request))

`run` may call several times, so what it is given must be safe to repeat (or pass `attempts=1`).
"""

import asyncio
import random
from collections.abc import Awaitable, Callable
from enum import StrEnum
from typing import TypeVar

import structlog
from prometheus_client import Counter, Gauge

from auralink.kit.clock import Clock, SystemClock
from auralink.kit.errors import AuraError, Timeout, Unavailable

log = structlog.get_logger(__name__)

T = TypeVar("T")

CALLS = Counter("auralink_calls_total", "Calls to other services", ("policy", "outcome"))
RETRIES = Counter("auralink_call_retries_total", "Repeated calls to other services", ("policy",))
BREAKER = Gauge("auralink_call_breaker_open", "1 while calls are refused without asking", ("policy",))


class CallTimeout(Timeout):
    code = "upstream_timeout"


class BreakerOpen(Unavailable):
    code = "upstream_unavailable"


class BreakerState(StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


def worth_retrying(error: BaseException) -> bool:
    """Errors that say so themselves, and connections that failed."""
    if isinstance(error, AuraError):
        return error.retryable
    return isinstance(error, (OSError, TimeoutError))


class RetryBudget:
    """Retries may add a tenth to the calls, and a few when calls are rare: an ailing service is not finished off."""

    def __init__(self, ratio: float = 0.1, reserve: float = 10.0) -> None:
        self._ratio = ratio
        self._reserve = reserve
        self._tokens = reserve

    def call(self) -> None:
        self._tokens = min(self._reserve, self._tokens + self._ratio)

    def take(self) -> bool:
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class Breaker:
    """Opens after `failures` in a row, lets one call try after `rest` seconds, and closes when that one succeeds."""

    def __init__(self, clock: Clock, failures: int, rest: float) -> None:
        self._clock = clock
        self._threshold = failures
        self._rest = rest
        self._failures = 0
        self._opened_at: float | None = None
        self._trying = False

    @property
    def state(self) -> BreakerState:
        if self._opened_at is None:
            return BreakerState.CLOSED
        if self._clock.monotonic() - self._opened_at < self._rest:
            return BreakerState.OPEN
        return BreakerState.HALF_OPEN

    def admit(self) -> bool:
        match self.state:
            case BreakerState.CLOSED:
                return True
            case BreakerState.OPEN:
                return False
            case BreakerState.HALF_OPEN:
                first, self._trying = not self._trying, True
                return first

    def succeeded(self) -> None:
        self._failures, self._opened_at, self._trying = 0, None, False

    def failed(self) -> None:
        self._failures += 1
        if self._trying or self._failures >= self._threshold:
            self._opened_at, self._trying = self._clock.monotonic(), False

    def abandoned(self) -> None:
        """The call ended without saying anything about the service, such as by cancellation."""
        self._trying = False


class Policy:
    """How to call one service. Times in seconds; one instance for each service, shared by its callers."""

    def __init__(
        self,
        name: str,
        *,
        timeout: float,
        attempts: int = 3,
        first_wait: float = 0.1,
        longest_wait: float = 2.0,
        breaker_failures: int = 5,
        breaker_rest: float = 10.0,
        retry_on: Callable[[BaseException], bool] = worth_retrying,
        clock: Clock | None = None,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.name = name
        self._timeout = timeout
        self._attempts = attempts
        self._first_wait = first_wait
        self._longest_wait = longest_wait
        self._retry_on = retry_on
        self._clock = clock or SystemClock()
        self._jitter = jitter
        self._budget = RetryBudget()
        self.breaker = Breaker(self._clock, breaker_failures, breaker_rest)

    async def run(self, call: Callable[[], Awaitable[T]], *, attempts: int | None = None) -> T:
        """The call's result. Raises what the call raised last, CallTimeout, or BreakerOpen without calling."""
        self._budget.call()
        allowed = attempts or self._attempts
        attempt = 1
        while True:
            try:
                return await self._once(call)
            except Exception as error:
                if isinstance(error, BreakerOpen) or not self._retry_on(error):
                    raise
                if attempt >= allowed or not self._budget.take():
                    raise
                RETRIES.labels(self.name).inc()
            await self._clock.sleep(self._wait_after(attempt))
            attempt += 1

    async def _once(self, call: Callable[[], Awaitable[T]]) -> T:
        if not self.breaker.admit():
            CALLS.labels(self.name, "refused").inc()
            raise BreakerOpen(f"{self.name} did not answer lately; it is asked again in a moment.")
        try:
            result = await self._timed(call)
        except Exception as error:
            self._judge(error)
            raise
        except BaseException:
            self.breaker.abandoned()
            raise
        CALLS.labels(self.name, "ok").inc()
        self._set_breaker(self.breaker.succeeded)
        return result

    async def _timed(self, call: Callable[[], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(self._timeout):
                return await call()
        except TimeoutError as error:
            raise CallTimeout(f"{self.name} did not answer within {self._timeout:g} s.") from error

    def _judge(self, error: Exception) -> None:
        """An answer we do not like is still an answer: only failures worth retrying count against the service."""
        if self._retry_on(error):
            CALLS.labels(self.name, "failed").inc()
            self._set_breaker(self.breaker.failed)
        else:
            CALLS.labels(self.name, "rejected").inc()
            self._set_breaker(self.breaker.succeeded)

    def _set_breaker(self, change: Callable[[], None]) -> None:
        before = self.breaker.state
        change()
        after = self.breaker.state
        if (before is BreakerState.CLOSED) != (after is BreakerState.CLOSED):
            log.warning("resilience.breaker", policy=self.name, state=after.value)
        BREAKER.labels(self.name).set(0 if after is BreakerState.CLOSED else 1)

    def _wait_after(self, attempt: int) -> float:
        """Full jitter: anywhere between nothing and the exponential step, so that callers do not march in step."""
        return min(self._first_wait * 2.0 ** (attempt - 1), self._longest_wait) * self._jitter()
