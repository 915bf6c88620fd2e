"""Set-up on a fresh clone: nothing that git does not hold may be taken for given."""

from pathlib import Path

import pytest

from tools import setup, steps


def test_packages_are_the_first_thing_a_fresh_clone_can_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`make check` starts there, before anything made the folder of tools."""
    ran: list[tuple[str, ...]] = []
    monkeypatch.setattr(setup, "TOOLS", tmp_path / "tools")
    monkeypatch.setattr(setup, "BIN", tmp_path / "bin")
    monkeypatch.setattr(setup, "run", lambda *words, **_: ran.append(tuple(map(str, words))))

    setup._bootstrap_uv(steps.ROOT / "requirements.lock")

    pinned = Path(ran[0][-1]).read_text()
    assert pinned.startswith("uv==")
    assert "--hash=sha256:" in pinned
    assert pinned.count("==") == 1
