"""Doing something later on the event loop; tests put their own clock in its place."""

import asyncio
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    def cancel(self) -> None: ...


class Later(Protocol):
    """Calls `what` after so many seconds, unless the timer is cancelled."""

    def __call__(self, delay_s: float, what: Callable[[], None], /) -> Timer: ...


def on_the_loop(delay_s: float, what: Callable[[], None], /) -> Timer:
    return asyncio.get_running_loop().call_later(delay_s, what)
