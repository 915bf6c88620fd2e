"""Fakes, a virtual clock and database fixtures; shipped so that domains and others can test with them."""

from auralink.kit.testing.clock import VirtualClock

__all__ = ["VirtualClock"]
