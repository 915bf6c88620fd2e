"""A role is a set of domains mounted in a process. `up` runs all of them in one."""

from enum import StrEnum


class Role(StrEnum):
    GATEWAY = "gateway"
    MEDIA = "media"
    WORKER = "worker"


NEEDS_DATABASE = frozenset({Role.GATEWAY, Role.WORKER})
"""The media role keeps no rows: calls go on, and start, while the database is away."""
