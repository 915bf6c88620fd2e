"""AuraIDs: `name.aura`, one per account, unique, and never easily mistaken for another's.

A name is 3 to 30 letters, digits, `-` and `_`, beginning and ending with a letter or digit, in one script, compared
after NFKC and lower case. Two names that look alike share a *skeleton* (Unicode TR 39, section 4, with our own short
table), and only one of them may exist.
"""

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Self

from auralink.identity.errors import InvalidAuraId

SUFFIX = ".aura"
MINIMUM_LENGTH = 3
MAXIMUM_LENGTH = 30

_RESERVED_WORDS = """
abuse admin administrator agent all anonymous api aura auralink auth billing bot calls contact dashboard
everyone guest help here host hostmaster info instance login logout mail matrix me media moderator noreply
no-reply nobody null official operator owner platform postmaster privacy register room rooms root security
service settings signin signup staff status support sysadmin system team terms undefined user users verified
webhook webmaster www
"""
RESERVED = frozenset(_RESERVED_WORDS.split())

_SCRIPTS = (
    "LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "GEORGIAN", "HEBREW", "ARABIC", "DEVANAGARI", "BENGALI", "TAMIL",
    "TELUGU", "THAI", "HANGUL", "HIRAGANA", "KATAKANA", "CJK",
)  # fmt: skip
_JAPANESE = frozenset({"HIRAGANA", "KATAKANA", "CJK"})

# What a reader takes for what. Left: after NFKC, lower case and removal of accents. From the confusables of TR 39.
_LOOKALIKES = str.maketrans({
    "0": "o", "1": "l", "i": "l", "|": "l", "_": "-", "5": "s",
    "а": "a", "в": "b", "е": "e", "з": "3", "і": "l", "ј": "j", "к": "k", "м": "m", "н": "h", "о": "o", "р": "p",
    "с": "c", "т": "t", "у": "y", "х": "x", "ѕ": "s", "һ": "h", "ԁ": "d", "ԛ": "q", "ԝ": "w", "ӏ": "l", "ѵ": "v",
    "г": "r", "п": "n", "ь": "b",
    "α": "a", "β": "b", "γ": "y", "ε": "e", "η": "n", "ι": "l", "κ": "k", "ν": "v", "ο": "o", "ρ": "p", "τ": "t",
    "υ": "u", "χ": "x", "ω": "w", "ϲ": "c", "ς": "c", "σ": "o", "ϳ": "j",
    "ա": "w", "զ": "q", "հ": "h", "ո": "n", "ս": "u", "օ": "o", "ց": "g", "յ": "j", "ք": "p",
    "ı": "l", "ł": "l", "ø": "o", "ß": "b", "æ": "ae", "œ": "oe", "đ": "d", "ħ": "h", "ŋ": "n", "þ": "p",
})  # fmt: skip
_PAIRS = (("rn", "m"), ("vv", "w"))

_UNWANTED_FOR_NAMES = re.compile(r"[^\w-]+|_+")


@dataclass(frozen=True, slots=True)
class AuraId:
    """A name that keeps the rules. Whether it is free only the database knows."""

    name: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """`text` with or without `@` before and `.aura` after. Raises InvalidAuraId saying which rule it breaks."""
        name = normalise(text.strip().removeprefix("@"))
        name = name.removesuffix(SUFFIX)
        if problem := _problem(name):
            raise InvalidAuraId(problem)
        return cls(name)

    @property
    def skeleton(self) -> str:
        """Equal for names that look alike."""
        return skeleton(self.name)

    def __str__(self) -> str:
        return f"{self.name}{SUFFIX}"


def normalise(text: str) -> str:
    """NFKC, lower case, and NFKC again, because lowering can undo the composition (TR 15, section 9)."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).lower())


def skeleton(name: str) -> str:
    plain = _without_accents(normalise(name)).translate(_LOOKALIKES)
    for pair, looks_like in _PAIRS:
        plain = plain.replace(pair, looks_like)
    return plain


def candidates(display_name: str, email: str, digits: Iterator[int]) -> Iterator[AuraId]:
    """Names to try for a new account, best first, without end: from the display name, then the e-mail's local part,
    then either with a number. `digits` supplies the numbers (random, so that names do not count the accounts)."""
    bases = [base for source in (display_name, email.partition("@")[0]) if (base := _base(source))]
    for base in bases:
        yield AuraId(base)
    stem = (bases[0] if bases else "person")[: MAXIMUM_LENGTH - 7].rstrip("-_")
    for number in digits:
        yield AuraId(f"{stem}-{number}")


def _base(source: str) -> str | None:
    words = _UNWANTED_FOR_NAMES.sub("-", normalise(source)).strip("-")
    folded = _without_accents(words)
    name = (folded if folded.isascii() else words)[:MAXIMUM_LENGTH].strip("-")
    return None if _problem(name) else name


def _problem(name: str) -> str | None:
    if not MINIMUM_LENGTH <= len(name) <= MAXIMUM_LENGTH:
        return f"An AuraID has {MINIMUM_LENGTH} to {MAXIMUM_LENGTH} characters before {SUFFIX}."
    if not all(_is_letter_or_digit(c) or c in "-_" or unicodedata.category(c) in ("Mn", "Mc") for c in name):
        return "An AuraID has letters, digits, - and _ only."
    if not (_is_letter_or_digit(name[0]) and (_is_letter_or_digit(name[-1]) or unicodedata.combining(name[-1]))):
        return "An AuraID begins and ends with a letter or a digit."
    if name.isascii() and name.isdigit():
        return "An AuraID has at least one letter."
    scripts = {script_of(c) for c in name if c.isalpha()}
    if None in scripts:
        return "An AuraID cannot be written with these letters yet."
    if len(scripts) > 1 and not scripts <= _JAPANESE:
        return "An AuraID keeps to one script; letters of different scripts can look the same."
    if name in RESERVED or skeleton(name) in _RESERVED_SKELETONS:
        return "This AuraID is reserved."
    return None


def _is_letter_or_digit(character: str) -> bool:
    return character.isalpha() or character in "0123456789"


def script_of(letter: str) -> str | None:
    """The script in the letter's Unicode name, or None for one we do not take."""
    name = unicodedata.name(letter, "")
    return next((script for script in _SCRIPTS if name.startswith(script)), None)


def _without_accents(text: str) -> str:
    """Latin, Greek and Cyrillic letters without their marks; the marks of other scripts carry meaning and stay."""
    decomposed = unicodedata.normalize("NFD", text)
    return unicodedata.normalize("NFC", "".join(c for c in decomposed if not "\u0300" <= c <= "\u036f"))


_RESERVED_SKELETONS = frozenset(skeleton(name) for name in RESERVED)
