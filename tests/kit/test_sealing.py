"""Sealed secrets: only the right key, about the right thing, unaltered."""

import pytest

from auralink.kit.sealing import SealBroken, Sealer

SECRET = "what this installation keeps to itself, long"


def test_what_was_sealed_can_be_opened_and_cannot_be_read() -> None:
    sealed = Sealer(SECRET, "tests").seal("the plain text ü", about="row 1")
    assert b"plain" not in sealed
    assert Sealer(SECRET, "tests").open(sealed, about="row 1") == "the plain text ü"


def test_the_same_text_is_never_sealed_the_same() -> None:
    sealer = Sealer(SECRET, "tests")
    assert sealer.seal("twice", about="row 1") != sealer.seal("twice", about="row 1")


@pytest.mark.parametrize(
    ("secret", "purpose", "about"),
    [("another secret", "tests", "row 1"), (SECRET, "other", "row 1"), (SECRET, "tests", "row 2")],
)
def test_another_key_purpose_or_subject_opens_nothing(secret: str, purpose: str, about: str) -> None:
    sealed = Sealer(SECRET, "tests").seal("plain", about="row 1")
    with pytest.raises(SealBroken):
        Sealer(secret, purpose).open(sealed, about=about)


@pytest.mark.parametrize("position", [0, 5, -1])
def test_an_altered_byte_is_noticed(position: int) -> None:
    sealer = Sealer(SECRET, "tests")
    sealed = bytearray(sealer.seal("plain", about="row 1"))
    sealed[position] ^= 1
    with pytest.raises(SealBroken):
        sealer.open(bytes(sealed), about="row 1")


@pytest.mark.parametrize("sealed", [b"", b"\x01", b"\x01" + b"n" * 12, b"junk" * 20])
def test_what_was_never_sealed_is_refused(sealed: bytes) -> None:
    with pytest.raises(SealBroken):
        Sealer(SECRET, "tests").open(sealed, about="row 1")
