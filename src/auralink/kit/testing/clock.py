"""A clock that tests move. Sleepers wake in order of their deadlines, and time passes only by `advance`."""

import asyncio
import heapq
import itertools
from datetime import UTC, datetime, timedelta


class VirtualClock:
    def __init__(self, start: datetime = datetime(2026, 1, 1, tzinfo=UTC), *, run_ahead: bool = False) -> None:
        """`run_ahead`: sleeping returns at once and moves the time, for code that runs alone."""
        self._start = start
        self._elapsed = 0.0
        self._run_ahead = run_ahead
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._order = itertools.count()
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._elapsed)

    def monotonic(self) -> float:
        return self._elapsed

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        if self._run_ahead:
            self._elapsed += seconds
            await asyncio.sleep(0)
            return
        wakes = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._elapsed + seconds, next(self._order), wakes))
        await wakes

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass; everyone whose deadline falls into them runs, in order, before this returns."""
        end = self._elapsed + seconds
        await _settle()
        while self._sleepers and self._sleepers[0][0] <= end:
            self._elapsed, _, wakes = heapq.heappop(self._sleepers)
            if not wakes.done():
                wakes.set_result(None)
            await _settle()
        self._elapsed = end


async def _settle() -> None:
    for _ in range(10):
        await asyncio.sleep(0)
