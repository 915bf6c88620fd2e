"""What one client may make us keep, and how much it may ask for."""

import asyncio

import pytest

from auralink.media.limits import Limits
from auralink.media.signal_queue import Pace, SignalQueue


async def test_messages_come_out_in_order_and_end() -> None:
    queue = SignalQueue(Limits())
    assert queue.put(b"one")
    assert queue.put("two")
    queue.end()
    assert [await queue.get(), await queue.get(), await queue.get()] == [b"one", "two", None]


async def test_who_waits_gets_what_comes() -> None:
    queue = SignalQueue(Limits())
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.put(b"late")
    assert await asyncio.wait_for(waiting, 5) == b"late"
    waiting = asyncio.create_task(queue.get())
    await asyncio.sleep(0)
    queue.end()
    assert await asyncio.wait_for(waiting, 5) is None


async def test_the_queue_is_bounded_in_number_and_in_bytes() -> None:
    few = SignalQueue(Limits(queued_messages=2))
    assert [few.put(b"x") for _ in range(3)] == [True, True, False]
    small = SignalQueue(Limits(queued_bytes=10))
    assert [small.put(b"x" * 6), small.put(b"x" * 6)] == [True, False]
    await small.get()
    assert small.put(b"x" * 6)


def test_a_burst_is_taken_at_once_and_more_at_a_steady_rate() -> None:
    now = 0.0
    pace = Pace(burst=5, per_s=100, clock=lambda: now)
    assert [pace.take() for _ in range(5)] == [0.0] * 5
    assert [pace.take() for _ in range(10)] == pytest.approx([n / 100 for n in range(1, 11)])
    now += 0.15
    assert pace.take() == 0.0
