"""A real PostgreSQL for one machine, started as our child from the binaries of a wheel.

It listens on 127.0.0.1 only, asks for SCRAM passwords, never runs as root, and dies with us: a fast shutdown on our way
out, and on our sudden death too (PR_SET_PDEATHSIG). Whatever is left of a crash is cleaned up by the next start, and
PostgreSQL's own recovery does the rest.
"""

from auralink.kit.embedded_postgres.errors import PostgresFailed
from auralink.kit.embedded_postgres.roles import Role
from auralink.kit.embedded_postgres.server import EmbeddedPostgres, EmbeddedPostgresSettings

__all__ = ["EmbeddedPostgres", "EmbeddedPostgresSettings", "PostgresFailed", "Role"]
