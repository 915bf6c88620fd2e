"""The platform, with a way to hurt its media engine from outside: SIGUSR1 makes a shard panic, SIGUSR2 stand still.

Nothing in the product listens for these.
"""

import asyncio
import signal
from typing import Any

from auralink import cli
from auralink.media import wiring

STALL_S = 9.0

_start = wiring._start


def _vulnerable(*arguments: Any, **options: Any) -> Any:
    engine = _start(*arguments, **options)
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, engine.inject_fault, 0, "panic")
    loop.add_signal_handler(signal.SIGUSR2, engine.inject_fault, 0, "stall", STALL_S)
    return engine


if __name__ == "__main__":
    wiring._start = _vulnerable
    cli.main()
