"""What becomes of one key."""

from collections.abc import Mapping
from dataclasses import dataclass, field


class BadValue(Exception):
    """The value cannot be meant. The message says what would be right, never the value, which may be a secret."""


@dataclass(frozen=True)
class Applied:
    """Settings of ours, by variable; `text` for people."""

    settings: Mapping[str, str] = field(default_factory=dict)
    text: str = ""


@dataclass(frozen=True)
class NotApplied:
    """Read and understood, and without effect; `text` says what holds instead."""

    text: str


Outcome = Applied | NotApplied


def integer(value: object, least: int = 0, most: int = 2**31) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise BadValue(f"wants a whole number from {least} to {most}")
    return value


def boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise BadValue("wants true or false")
    return value


def text(value: object) -> str:
    if not isinstance(value, str):
        raise BadValue("wants text")
    return value


def texts(value: object) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise BadValue("wants a list of texts")
    return list(value)


def pairs(value: object) -> dict[str, str]:
    if not isinstance(value, dict) or not value or not all(isinstance(v, str) and v for v in value.values()):
        raise BadValue("wants a mapping of API keys to secrets, all of them text")
    return {str(key): secret for key, secret in value.items()}
