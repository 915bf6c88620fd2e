"""Which passwords are refused: short and common ones; composition does not matter (NIST SP 800-63B, 3.1.1)."""

import itertools
import unicodedata

from auralink.identity.errors import WeakPassword

MINIMUM_LENGTH = 10
MAXIMUM_LENGTH = 1024
_MINIMUM_DISTINCT = 5

# Words that fill the lists of leaked passwords. A password that is one of them once digits, punctuation and the usual
# substitutions are taken away is as common as the word itself.
_COMMON_TEXT = """
aaaaaaaa abcdef abcdefg abcdefgh access admin administrator amanda andrea andrew angel anthony arsenal asdf
asdfasdf asdfgh asdfghjkl ashley auralink azerty baseball basketball batman biteme blink blahblah boomer
buster butterfly changeme charlie chelsea chocolate christian computer cookie correcthorsebatterystaple daniel
default dragon elizabeth facebook fishing flower football forever forgot freedom friends fuckyou games george
ginger google hallo hannah harley hello helloworld hockey hunter iloveu iloveyou internet jasmine jennifer
jessica jordan joshua justin killer letmein letmeinnow liverpool login london love lovely loveme manchester
maggie master matrix matthew michael michelle microsoft monkey mustang myspace ncc nicole nothing pass
passphrase passpass passw password passwd passwords pepper pokemon princess purple q qazwsx qazwsxedc qwaszx
qwer qwert qwerty qwertyui qwertyuiop qwertz ranger samantha samsung secret server shadow soccer starwars
summer sunshine superman superstar test testing testtest thomas tigger trustno trustnoone user username
vanessa welcome whatever william winter xxxxxx yankees zaq zaqxsw zxcvbn zxcvbnm
"""
_COMMON_WORDS = frozenset(_COMMON_TEXT.split())
_SUBSTITUTIONS = str.maketrans(
    {"0": "o", "1": "i", "3": "e", "4": "a", "5": "s", "7": "t", "@": "a", "$": "s", "!": "i"}
)
_RUNS = ("abcdefghijklmnopqrstuvwxyz", "01234567890123456789", "qwertyuiopasdfghjklzxcvbnm", "1q2w3e4r5t6y7u8i9o0p",
         "qazwsxedcrfvtgbyhnujmikolp", "1qaz2wsx3edc4rfv5tgb6yhn7ujm")  # fmt: skip
_LONGEST_PERIOD = 6


def normalise(password: str) -> str:
    """NFKC, so that one password typed on two keyboards is one password (RFC 8265, section 4.2)."""
    return unicodedata.normalize("NFKC", password)


def check_password(password: str, email: str, name: str = "") -> None:
    """Raises WeakPassword with what to do instead."""
    if len(password) < MINIMUM_LENGTH:
        raise WeakPassword(f"Use at least {MINIMUM_LENGTH} characters; a sentence is easy to remember.")
    if len(password) > MAXIMUM_LENGTH:
        raise WeakPassword(f"Use at most {MAXIMUM_LENGTH} characters.")
    folded = normalise(password).casefold()
    if _is_about_the_person(folded, email.casefold(), name.casefold()):
        raise WeakPassword("Do not use your e-mail address or your name as the password.")
    if is_common(folded):
        raise WeakPassword("This password is among those tried first by attackers; use something less usual.")


def _is_about_the_person(password: str, email: str, name: str) -> bool:
    local_part = email.partition("@")[0]
    return password in {email, local_part, name, name.replace(" ", "")}


def is_common(folded: str) -> bool:
    """Whether a case-folded password is a common word in disguise, a run of keys or a repetition."""
    return (
        len(set(folded)) < _MINIMUM_DISTINCT
        or _is_run(folded)
        or _is_repetition(folded)
        or _is_word_in_disguise(folded)
    )


def _is_run(text: str) -> bool:
    """Keys in order, forwards or backwards, possibly starting anywhere or repeated."""
    runs = [run * (len(text) // len(run) + 2) for run in _RUNS]
    return any(text in run or text[::-1] in run for run in runs)


def _is_repetition(text: str) -> bool:
    """A short piece again and again: `abcabcabcabc`."""
    return any((text[:n] * (len(text) // n + 1)).startswith(text) for n in range(1, _LONGEST_PERIOD + 1))


def _is_word_in_disguise(text: str) -> bool:
    readings = (text, text.translate(_SUBSTITUTIONS), text.rstrip("0123456789!?.$@#*-_").translate(_SUBSTITUTIONS))
    letters = {"".join(c for c in reading if c.isalpha()) for reading in readings}
    return any(word in _COMMON_WORDS or _is_two_common_words(word) for word in letters)


def _is_two_common_words(word: str) -> bool:
    splits = itertools.islice(range(1, len(word)), MAXIMUM_LENGTH)
    return len(word) <= 2 * 16 and any(word[:n] in _COMMON_WORDS and word[n:] in _COMMON_WORDS for n in splits)
