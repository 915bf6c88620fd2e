"""docs/settings.md: every setting with its default and meaning, from the settings classes themselves."""

import json
from collections.abc import Iterator
from enum import Enum
from typing import Any

from annotated_types import Ge, Gt, Le, Lt
from pydantic import SecretStr
from pydantic.fields import FieldInfo

from auralink.app.settings import AppSettings
from auralink.identity.settings import IdentitySettings
from auralink.kit.db import DatabaseSettings
from auralink.kit.embedded_postgres.server import EmbeddedPostgresSettings
from auralink.kit.http.shell import HttpSettings
from auralink.kit.livekit import LiveKitSettings
from auralink.kit.sealing import SealingSettings
from auralink.kit.settings import CoreSettings, Generated, Settings
from auralink.kit.telemetry import TelemetrySettings
from auralink.media.settings import MediaSettings
from auralink.rooms.settings import RoomsSettings

_CHAPTERS: dict[str, tuple[type[Settings], ...]] = {
    "Every role": (CoreSettings, AppSettings, HttpSettings, TelemetrySettings, SealingSettings),
    "Media": (MediaSettings,),
    "Gateway": (IdentitySettings, RoomsSettings, LiveKitSettings, DatabaseSettings, EmbeddedPostgresSettings),
}
_BOUNDS = ((Ge, "ge", "at least"), (Gt, "gt", "more than"), (Le, "le", "at most"), (Lt, "lt", "less than"))


def document() -> str:
    """Raises ValueError for a setting that says nothing about itself."""
    lines = [
        "# Settings",
        "",
        "Environment variables. Lists and maps are JSON; times are seconds where nothing else is said.",
        "`make gen` writes this page.",
        "",
    ]
    told: set[str] = set()
    for chapter, classes in _CHAPTERS.items():
        lines += [f"## {chapter}", "", "| variable | default | |", "|---|---|---|"]
        for name, field in _fields(classes):
            if name in told:
                continue
            if not field.description:
                raise ValueError(f"{name} has no docstring that says what it means")
            told.add(name)
            lines.append(f"| `AURALINK_{name.upper()}` | {_default(field)} | {_meaning(field)} |")
        lines.append("")
    return "\n".join(lines)


def _fields(classes: tuple[type[Settings], ...]) -> Iterator[tuple[str, FieldInfo]]:
    for settings in classes:
        yield from settings.model_fields.items()


def _default(field: FieldInfo) -> str:
    if any(isinstance(part, Generated) for part in field.metadata):
        return "made once"
    value: Any = field.get_default(call_default_factory=True, validated_data={})
    value = value.get_secret_value() if isinstance(value, SecretStr) else value
    value = value.value if isinstance(value, Enum) else value
    if value is None or value in ("", [], {}):
        return "none"
    return f"`{value if isinstance(value, str) else json.dumps(value)}`"


def _meaning(field: FieldInfo) -> str:
    text = " ".join((field.description or "").split()).replace("|", "\\|")
    bounds = [
        f"{words} {getattr(part, name)}"
        for part in field.metadata
        for kind, name, words in _BOUNDS
        if isinstance(part, kind)
    ]
    return f"{text} ({', '.join(bounds)})" if bounds else text
