"""Reads the file, strictly: a key LiveKit does not know is an error here as there."""

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import yaml

from auralink.app.livekit_config.outcomes import Applied, BadValue, NotApplied, Outcome
from auralink.app.livekit_config.rules import KNOWN_BELOW, NOT_APPLIED, RULES
from auralink.app.livekit_config.together import ALWAYS, TOGETHER
from auralink.kit.settings import SettingsError

_MOST_BYTES = 1024 * 1024
_SHARED = frozenset(key for keys, _ in TOGETHER.values() for key in keys)


class BadLiveKitConfig(SettingsError):
    """The message names the key and says what is wrong with it."""


@dataclass(frozen=True)
class Line:
    """What becomes of one key, for people."""

    key: str
    applied: bool
    text: str


@dataclass(frozen=True)
class Reading:
    settings: Mapping[str, str]
    """By variable; what the environment sets goes before."""
    lines: list[Line]


def read(path: Path, environment: Mapping[str, str] | None = None) -> Reading:
    """Raises BadLiveKitConfig."""
    config = dict(_flat(_parsed(path)))
    present = os.environ if environment is None else environment
    settings: dict[str, str] = {}
    lines: list[Line] = []
    for key, outcome in _outcomes(config, path.parent):
        if isinstance(outcome, Applied):
            settings |= outcome.settings
            lines.append(Line(key, True, _told(outcome, present)))
        else:
            lines.append(Line(key, False, outcome.text))
    return Reading({name: value for name, value in settings.items() if name not in present}, lines)


def _told(outcome: Applied, present: Mapping[str, str]) -> str:
    if kept := [name for name in outcome.settings if name in present]:
        return f"{', '.join(kept)} of the environment goes before it"
    return outcome.text or ", ".join(f"{name}={value}" for name, value in outcome.settings.items())


def _outcomes(config: Mapping[str, object], folder: Path) -> Iterator[tuple[str, Outcome]]:
    for shown, (keys, rule) in TOGETHER.items():
        named = [key for key in keys if key in config]
        if named or shown in ALWAYS:
            key = ", ".join(named) or shown
            yield key, _judged(key, partial(rule, config, folder))
    for key, value in config.items():
        if key in _SHARED:
            continue
        if key in RULES:
            yield key, _judged(key, partial(RULES[key], value))
        else:
            yield key, NotApplied(_reason(key))


def _judged(key: str, judge: Callable[[], Outcome]) -> Outcome:
    try:
        return judge()
    except BadValue as error:
        raise BadLiveKitConfig(f"{key} in LiveKit's config: {error}.") from None


def _reason(key: str) -> str:
    if key in NOT_APPLIED:
        return NOT_APPLIED[key]
    return NOT_APPLIED[key.rpartition(".")[0]]


def _parsed(path: Path) -> Mapping[object, object]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise BadLiveKitConfig(f"{path} is too large to be a config of LiveKit.")
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BadLiveKitConfig(f"{path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        where = getattr(error, "problem_mark", None)
        raise BadLiveKitConfig(f"{path} is not YAML{f' (line {where.line + 1})' if where else ''}.") from None
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise BadLiveKitConfig(f"{path} is not a mapping of settings.")
    return content


def _flat(node: Mapping[object, object], above: str = "") -> Iterator[tuple[str, object]]:
    """Keys by their whole path. Raises BadLiveKitConfig for one that LiveKit does not know."""
    for name, value in node.items():
        key = f"{above}{name}"
        if key in RULES or key in _SHARED or _stands_for_itself(key):
            if value is not None:
                yield key, value
        elif isinstance(value, Mapping) and _is_section(key):
            yield from _flat(value, f"{key}.")
        elif value is not None or not _is_section(key):
            raise BadLiveKitConfig(f"{key} is not a key of LiveKit's config. Look for a slip of the pen.")


def _stands_for_itself(key: str) -> bool:
    section, _, name = key.rpartition(".")
    return (key in NOT_APPLIED and key not in KNOWN_BELOW) or name in KNOWN_BELOW.get(section, ())


def _is_section(key: str) -> bool:
    return any(known.startswith(f"{key}.") for known in (*RULES, *NOT_APPLIED, *_SHARED)) or key in KNOWN_BELOW
