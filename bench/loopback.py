"""Who works off what arrives on loopback."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

STEERING = Path("/sys/class/net/lo/queues/rx-0/rps_cpus")


class SteeringError(RuntimeError):
    """The kernel has no receive packet steering, or we may not set it."""


@contextmanager
def delivered_on(core: int, steering: Path = STEERING) -> Iterator[None]:
    """Packets on loopback are delivered by `core` (receive packet steering, `networking/scaling` in the kernel's
    documentation) instead of by whoever sent them, as behind a network card; afterwards it is as it was before."""
    try:
        before = steering.read_text()
        steering.write_text(f"{1 << core:x}\n")
    except OSError as error:
        raise SteeringError(f"cannot steer what arrives on loopback: {error}") from error
    try:
        yield
    finally:
        steering.write_text(before)
