"""Join times with the official Python SDK, in a process of its own: `python -m bench.sdk_joins URL KEY JOINS`."""

import asyncio
import json
import os
import sys
import time

from livekit import api, rtc

TIMEOUT_S = 20


async def main(url: str, key: str, secret: str, joins: int) -> dict[str, dict[str, float]]:
    """Milliseconds from `connect` to connected: one after the other, and ten at once."""
    one_by_one = [await _join(url, _token(key, secret, f"one-{number}")) for number in range(joins)]
    together: list[float] = []
    for wave in range(max(1, joins // 10)):
        tokens = [_token(key, secret, f"wave-{wave}-{number}") for number in range(10)]
        together += await asyncio.gather(*(_join(url, token) for token in tokens))
    return {"1": _summary(one_by_one), "10": _summary(together)}


def _token(key: str, secret: str, identity: str) -> str:
    grants = api.VideoGrants(room_join=True, room="sdk-joins")
    return api.AccessToken(key, secret).with_identity(identity).with_grants(grants).to_jwt()


async def _join(url: str, token: str) -> float:
    room = rtc.Room()
    begun = time.monotonic()
    await asyncio.wait_for(room.connect(url, token), TIMEOUT_S)
    took = time.monotonic() - begun
    await room.disconnect()
    return took * 1000


def _summary(times: list[float]) -> dict[str, float]:
    ordered = sorted(times)

    def at(share: float) -> float:
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    return {"count": len(ordered), "p50": at(0.5), "p95": at(0.95), "max": ordered[-1]}


if __name__ == "__main__":
    _, url, key, joins = sys.argv
    print(json.dumps(asyncio.run(main(url, key, os.environ["BENCH_API_SECRET"], int(joins)))))
