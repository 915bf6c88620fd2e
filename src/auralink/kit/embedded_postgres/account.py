"""Which unprivileged account PostgreSQL runs under when we are root, and what that account can reach.

PostgreSQL refuses to run as root, and initdb wants an account that has a name. We create none and loosen no directory:
`nobody` exists everywhere, and files that it could not reach are put where it can.
"""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from auralink.kit.embedded_postgres.errors import PostgresFailed

_ENTER = 0o1
_READ_AND_RUN = 0o5


@dataclass(frozen=True, slots=True)
class Account:
    """`switch` is False when we already are this account."""

    uid: int
    gid: int
    switch: bool

    def own(self, path: Path) -> None:
        if self.switch:
            os.chown(path, self.uid, self.gid)

    def reaches(self, path: Path) -> bool:
        """Can this account walk down to `path`, and run it if it is a program?"""
        if not self.switch:
            return True
        return all(self._may_use(step.stat()) for step in (path, *path.parents))

    def _may_use(self, status: os.stat_result) -> bool:
        needed = _ENTER if stat.S_ISDIR(status.st_mode) else _READ_AND_RUN
        shift = 6 if status.st_uid == self.uid else 3 if status.st_gid == self.gid else 0
        return status.st_mode >> shift & needed == needed


def choose_account(data_directory: Path) -> Account:
    """Ourselves, or an unprivileged account when we are root. Data that exists keeps its owner."""
    if os.geteuid() != 0:
        return Account(os.geteuid(), os.getegid(), switch=False)
    if data_directory.exists() and (owner := data_directory.stat()).st_uid != 0:
        return Account(owner.st_uid, owner.st_gid, switch=True)
    for name in ("nobody", "daemon"):
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return Account(entry.pw_uid, entry.pw_gid, switch=True)
    raise PostgresFailed(
        "PostgreSQL does not run as root and there is no unprivileged account (nobody) to run it under. "
        "Start as another user, or set AURALINK_DATABASE_URL."
    )
