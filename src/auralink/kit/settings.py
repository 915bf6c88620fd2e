"""Settings from the environment (prefix AURALINK_), and secrets that are made once when nobody set them.

Each domain has one class of settings:

    class IdentitySettings(Settings):
        signup: Literal["open", "invitation", "closed"] = "open"   # AURALINK_SIGNUP
        token_key: Secret                                          # AURALINK_TOKEN_KEY, or generated

and receives it from the composition root (`assembly.settings(IdentitySettings)`). A field of type `Secret` (or any
`Annotated[SecretStr, Generated(...)]`) that is unset is generated and kept in the state directory, readable by its
owner only; in production it must be set, and set to something strong.
"""

import ipaddress
import json
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TypeVar

from pydantic import SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

_KNOWN_WEAK = frozenset({"secret", "devkey", "changeme", "change-me", "password", "example", "default", "test"})
_PRODUCTION_MINIMUM = 32
_DISTINCT_MINIMUM = 10


class SettingsError(Exception):
    """A setting is missing or wrong. The message names the variable and says what to do; it holds no value."""


class Environment(StrEnum):
    DEVELOPMENT = "development"
    PRODUCTION = "production"


class Settings(BaseSettings):
    """Base of every settings class: read once, frozen, passed in."""

    model_config = SettingsConfigDict(
        env_prefix="AURALINK_",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,
        use_attribute_docstrings=True,
    )


def random_secret() -> str:
    """256 bits, URL-safe."""
    return secrets.token_urlsafe(32)


@dataclass(frozen=True)
class Generated:
    """Marks a secret field: how to make one when nobody set it, and the least length accepted in production."""

    generate: Callable[[], str] = random_secret
    minimum: int = _PRODUCTION_MINIMUM


Secret = Annotated[SecretStr, Generated()]


class CoreSettings(Settings):
    """What every role needs."""

    env: Environment = Environment.DEVELOPMENT
    """`development` or `production`, which refuses secrets that are missing or weak."""
    state_dir: Path | None = None
    """Data and generated secrets; unset: `.state` in a checkout, `~/.local/share/auralink` otherwise."""
    database_url: SecretStr | None = None
    """PostgreSQL 15 or newer; unset: the embedded one."""
    redis_url: SecretStr | None = None
    """Where several processes share their rate limits; unset: each counts by itself."""
    log_level: str = "info"
    """`debug`, `info`, `warning` or `error`."""
    log_format: str = ""
    """`json` or `console`; empty: console on a terminal, otherwise json."""

    @property
    def production(self) -> bool:
        return self.env is Environment.PRODUCTION

    @property
    def state_directory(self) -> Path:
        return (self.state_dir or default_state_directory()).expanduser().resolve()


def default_state_directory() -> Path:
    """`.state` in a checkout, `~/.local/share/auralink` otherwise."""
    checkout = Path(__file__).resolve().parents[3]
    if (checkout / "pyproject.toml").is_file() and (checkout / "crates").is_dir():
        return checkout / ".state"
    return Path.home() / ".local" / "share" / "auralink"


class SecretStore:
    """Secrets made by this installation: one JSON file, mode 0600, in the state directory."""

    def __init__(self, directory: Path) -> None:
        self._path = directory / "secrets.json"

    @property
    def path(self) -> Path:
        return self._path

    def knows(self, name: str) -> bool:
        """Raises SettingsError for a bad file."""
        return name in self._read()

    def get_or_create(self, name: str, generate: Callable[[], str]) -> str:
        """The kept secret, or a new one that is on disk before this returns. Raises SettingsError for a bad file."""
        values = self._read()
        if name not in values:
            values[name] = generate()
            self._write(values)
        return values[name]

    def _read(self) -> dict[str, str]:
        try:
            mode = self._path.stat().st_mode & 0o777
        except FileNotFoundError:
            return {}
        if mode & 0o077:
            raise SettingsError(
                f"{self._path} can be read by others (mode {mode:o}). Run: chmod 600 {self._path} and think about who "
                "may have seen it."
            )
        try:
            values = json.loads(self._path.read_text())
        except (OSError, ValueError) as error:
            raise SettingsError(f"{self._path} cannot be read: {error}") from error
        if not isinstance(values, dict) or not all(isinstance(v, str) for v in values.values()):
            raise SettingsError(f"{self._path} is not a file of secrets.")
        return values

    def _write(self, values: Mapping[str, str]) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o711)
        draft = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as file:
            json.dump(values, file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(self._path)


SettingsT = TypeVar("SettingsT", bound=Settings)


def load_settings(cls: type[SettingsT], *, store: SecretStore, production: bool) -> SettingsT:
    """Read `cls` from the environment. Raises SettingsError naming every variable that is missing, wrong or weak."""
    given: dict[str, str] = {}
    missing: list[str] = []
    for field, marker in _secret_fields(cls).items():
        variable = _variable(cls, field)
        if os.environ.get(variable):
            continue
        if production:
            missing.append(variable)
        else:
            given[field] = store.get_or_create(variable.removeprefix("AURALINK_").lower(), marker.generate)
    if missing:
        names = " and ".join(missing)
        raise SettingsError(
            f"{names} must be set in production. Make one with: {Path(sys.executable).name} -c "
            "'import secrets; print(secrets.token_urlsafe(32))'"
        )
    settings = _construct(cls, given)
    if production:
        _refuse_weak(cls, settings)
    return settings


def _construct(cls: type[SettingsT], given: Mapping[str, str]) -> SettingsT:
    try:
        return cls(**given)
    except ValidationError as error:
        lines = [f"{_variable(cls, str(e['loc'][0]))}: {e['msg']}" for e in error.errors(include_input=False)]
        raise SettingsError("; ".join(lines)) from None


def _secret_fields(cls: type[Settings]) -> dict[str, Generated]:
    found = {}
    for name, field in cls.model_fields.items():
        for extra in field.metadata:
            if isinstance(extra, Generated):
                found[name] = extra
    return found


def _variable(cls: type[Settings], field: str) -> str:
    return f"{cls.model_config.get('env_prefix', '')}{field}".upper()


def _refuse_weak(cls: type[Settings], settings: Settings) -> None:
    weak = [
        f"{_variable(cls, name)} ({reason})"
        for name, marker in _secret_fields(cls).items()
        if (reason := weakness(getattr(settings, name).get_secret_value(), marker.minimum))
    ]
    if weak:
        raise SettingsError(f"Too weak for production: {', '.join(weak)}.")


def weakness(value: str, minimum: int = _PRODUCTION_MINIMUM) -> str | None:
    """Why `value` is no secret to rely on, or None."""
    if value.strip().lower() in _KNOWN_WEAK:
        return "a well-known value"
    if len(value) < minimum:
        return f"shorter than {minimum} characters"
    if len(set(value)) < min(_DISTINCT_MINIMUM, minimum):
        return "too few different characters"
    return None


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches what listens there."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
