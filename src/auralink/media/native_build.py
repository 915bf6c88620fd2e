"""Refuses to run Rust code that is older than its sources.

In a source checkout the extension is built by hand (`make up` and `make test` do it), so it is easily forgotten after
an edit or a pull. The build bakes a digest of its sources into the extension (`crates/native/build.rs`); this module
computes the same digest from the checkout. An installed package has no sources beside it and is always in step.

Call `require_current_build()` once, where the media role is wired, before the first `_native.Engine`.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from auralink._native import SOURCE_DIGEST

_CRATES = ("media", "media-net", "native", "prefetch")


class StaleNativeBuildError(RuntimeError):
    """The extension was built from other sources than those of this checkout."""


def require_current_build() -> None:
    """Raise `StaleNativeBuildError`, which says how to build, when the extension is out of step with the checkout."""
    root = source_root()
    if root is not None and source_digest(root) != SOURCE_DIGEST:
        raise StaleNativeBuildError(
            "The media core (auralink._native) was built from other Rust sources than those in "
            f"{root / 'crates'}. Build it again: .venv/bin/maturin develop --release --uv"
        )


def source_root() -> Path | None:
    """The checkout this package is imported from; None when it is installed without its sources."""
    root = Path(__file__).resolve().parents[3]
    return root if (root / "crates" / "native" / "build.rs").is_file() else None


def source_digest(root: Path) -> str:
    """What `crates/native/build.rs` computes: over path, length and content of every source file, in path order."""
    files = [Path("Cargo.lock"), Path("Cargo.toml")]
    for name in _CRATES:
        folder = Path("crates") / name
        files += [folder / single for single in ("Cargo.toml", "build.rs") if (root / folder / single).is_file()]
        files += [path.relative_to(root) for path in (root / folder / "src").rglob("*.rs")]
    digest = hashlib.sha1(usedforsecurity=False)
    # Rust sorts paths by component, as does PurePath by its parts.
    for file in sorted(files, key=lambda path: path.parts):
        content = (root / file).read_bytes()
        digest.update(f"{file.as_posix()}\0{len(content)}\0".encode())
        digest.update(content)
    return digest.hexdigest()
