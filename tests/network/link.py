"""What a network does to packets in one direction, seeded: loss, bursts, delay, jitter, reordering, a rate and queue.

The same model as crates/media-sim's, which tests the core alone; this one stands between real programs.
"""

import random
from collections import Counter
from dataclasses import dataclass, field

QUEUE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Impairment:
    """Times in seconds, probabilities per packet. The default is a perfect wire."""

    loss: float = 0.0
    burst: tuple[float, float] | None = None
    """Gilbert-Elliott: probabilities to enter and to leave a burst, in which everything is lost."""
    delay: float = 0.0
    jitter: float = 0.0
    """Added to the delay, uniformly between zero and this; order is kept."""
    reorder: float = 0.0
    reorder_by: float = 0.02
    """A reordered packet takes so much longer, and is overtaken."""
    rate_bps: int = 0
    """0: without limit."""
    queue_bytes: int = QUEUE_BYTES
    """What may wait for the rate; the rest is lost."""


@dataclass
class Link:
    impairment: Impairment = field(default_factory=Impairment)
    seed: int = 1
    counters: Counter[str] = field(default_factory=Counter)
    """sent, lost, overflowed, reordered."""

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)  # noqa: S311 (to be repeatable)
        self._in_burst = False
        self._busy_until = 0.0
        self._last_arrival = 0.0

    def arrival(self, now: float, size: int) -> float | None:
        """When a packet of `size` bytes that is sent `now` arrives; None: never."""
        self.counters["sent"] += 1
        if self._loses():
            self.counters["lost"] += 1
            return None
        start = self._through_the_queue(now, size)
        if start is None:
            self.counters["overflowed"] += 1
            return None
        how = self.impairment
        at = start + how.delay + how.jitter * self._random.random()
        if how.reorder and self._random.random() < how.reorder:
            self.counters["reordered"] += 1
            return at + how.reorder_by
        self._last_arrival = max(at, self._last_arrival)
        return self._last_arrival

    def _loses(self) -> bool:
        how = self.impairment
        if how.burst:
            enter, leave = how.burst
            self._in_burst ^= self._random.random() < (leave if self._in_burst else enter)
            if self._in_burst:
                return True
        return how.loss > 0 and self._random.random() < how.loss

    def _through_the_queue(self, now: float, size: int) -> float | None:
        rate = self.impairment.rate_bps
        if not rate:
            return now
        start = max(self._busy_until, now)
        waiting = (start - now) * rate / 8
        if waiting + size > self.impairment.queue_bytes:
            return None
        self._busy_until = start + size * 8 / rate
        return self._busy_until
