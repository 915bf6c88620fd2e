"""Text people type: which characters are taken, so that one rule holds for every name in the product."""

import unicodedata
from typing import Annotated

from pydantic import AfterValidator, StringConstraints

_MARKS_THAT_REORDER = frozenset("\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u061c\ufeff")


def single_line(text: str) -> str:
    """NFC, one space between words. Raises ValueError for control characters (NUL, line ends, tabs) and for marks that
    reorder the text around them, which let a name pass for another."""
    if any(unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") or c in _MARKS_THAT_REORDER for c in text):
        raise ValueError("control characters are not allowed here")
    tidy = " ".join(unicodedata.normalize("NFC", text).split())
    if not tidy:
        raise ValueError("at least one visible character is needed")
    return tidy


def without_nul(text: str) -> str:
    """Raises ValueError for U+0000, which PostgreSQL cannot keep in a text."""
    if "\0" in text:
        raise ValueError("the NUL character is not allowed here")
    return text


Name = Annotated[str, StringConstraints(min_length=1, max_length=100), AfterValidator(single_line)]
"""A name of a person, room or organisation: 1 to 100 characters on one line."""
