"""What is heard of a track, by its zero crossings."""

import asyncio
from array import array
from collections.abc import Sequence
from itertools import pairwise

from livekit import rtc
from tests.journeys.people import CALL_TIMEOUT_S, SAMPLE_RATE

LOUD = 1000
"""Of 32,767: below this it is silence."""


async def pitch_hz(track: rtc.Track, seconds: float = 0.2) -> float:
    """Of so much of it from when it is loud; of what came when the track ends before, 0 when that was nothing."""
    heard = array("h")
    stream = rtc.AudioStream(track, sample_rate=SAMPLE_RATE, num_channels=1)
    try:
        async with asyncio.timeout(CALL_TIMEOUT_S):
            async for event in stream:
                samples = array("h", bytes(event.frame.data))
                if heard or max(samples) > LOUD:
                    heard.extend(samples)
                if len(heard) >= SAMPLE_RATE * seconds:
                    break
    finally:
        await stream.aclose()
    return frequency_hz(heard)


async def hears_tone(track: rtc.Track, hertz: float) -> None:
    """Whole and clean, at last."""
    async with asyncio.timeout(CALL_TIMEOUT_S):
        while abs(await pitch_hz(track, 0.5) - hertz) > hertz / 20:  # noqa: ASYNC110 (nobody tells when)
            await asyncio.sleep(0.05)


def frequency_hz(samples: Sequence[int]) -> float:
    """Of a pure tone; 0 of nothing."""
    crossings = sum(before < 0 <= after for before, after in pairwise(samples))
    return crossings * SAMPLE_RATE / len(samples) if samples else 0.0
