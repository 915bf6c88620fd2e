"""Secrets are made once and kept to their owner; production takes none that are missing or weak."""

import os
from pathlib import Path
from typing import Annotated

import pytest
from pydantic import Field, SecretStr

from auralink.kit.settings import (
    CoreSettings,
    Generated,
    Secret,
    SecretStore,
    Settings,
    SettingsError,
    load_settings,
    random_secret,
    weakness,
)


class Vault(Settings):
    vault_key: Secret = SecretStr("")
    vault_pin: Annotated[SecretStr, Generated(lambda: "123456-abcdef", minimum=8)] = SecretStr("")
    vault_doors: int = Field(default=1, ge=1)


@pytest.fixture
def store(tmp_path: Path) -> SecretStore:
    return SecretStore(tmp_path / "state")


def load(store: SecretStore, *, production: bool = False) -> Vault:
    return load_settings(Vault, store=store, production=production)


def test_missing_secret_is_made_once_and_kept_readable_by_its_owner_only(store: SecretStore) -> None:
    first, second = load(store), load(store)
    assert first.vault_key.get_secret_value() == second.vault_key.get_secret_value()
    assert len(first.vault_key.get_secret_value()) >= 43
    assert first.vault_pin.get_secret_value() == "123456-abcdef"
    assert store.path.stat().st_mode & 0o777 == 0o600


def test_secret_from_the_environment_is_taken_and_not_kept(store: SecretStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURALINK_VAULT_KEY", "mine")
    monkeypatch.setenv("AURALINK_VAULT_PIN", "also-mine")
    assert load(store).vault_key.get_secret_value() == "mine"
    assert not store.path.exists()


def test_production_names_every_missing_secret_and_makes_none(store: SecretStore) -> None:
    with pytest.raises(SettingsError, match="AURALINK_VAULT_KEY and AURALINK_VAULT_PIN must be set"):
        load(store, production=True)
    assert not store.path.exists()


@pytest.mark.parametrize("weak", ["secret", "devkey", "short-but-unknown", "a" * 64, "abababab" * 8])
def test_production_refuses_a_weak_secret_without_repeating_it(
    store: SecretStore, monkeypatch: pytest.MonkeyPatch, weak: str
) -> None:
    monkeypatch.setenv("AURALINK_VAULT_KEY", weak)
    monkeypatch.setenv("AURALINK_VAULT_PIN", "123456-abcdef")
    with pytest.raises(SettingsError, match="AURALINK_VAULT_KEY") as refused:
        load(store, production=True)
    assert weak not in str(refused.value).replace("a well-known value", "").replace("AURALINK_VAULT_KEY", "")


def test_production_takes_strong_secrets(store: SecretStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURALINK_VAULT_KEY", random_secret())
    monkeypatch.setenv("AURALINK_VAULT_PIN", "123456-abcdef")
    assert load(store, production=True).vault_doors == 1


def test_secrets_that_others_could_read_are_refused(store: SecretStore) -> None:
    load(store)
    store.path.chmod(0o644)
    with pytest.raises(SettingsError, match="chmod 600"):
        load(store)


def test_damaged_secrets_are_not_replaced(store: SecretStore) -> None:
    load(store)
    store.path.write_text("{ half")
    with pytest.raises(SettingsError, match=r"secrets\.json"):
        load(store)
    assert store.path.read_text() == "{ half"


def test_wrong_value_is_told_by_the_name_of_its_variable(store: SecretStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AURALINK_VAULT_DOORS", "none")
    with pytest.raises(SettingsError, match="AURALINK_VAULT_DOORS"):
        load(store)


def test_settings_do_not_show_secrets_and_do_not_change(store: SecretStore) -> None:
    vault = load(store)
    assert vault.vault_key.get_secret_value() not in repr(vault)
    with pytest.raises(Exception, match="frozen"):
        vault.vault_doors = 2  # type: ignore[misc]


def test_state_directory_can_be_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("AURALINK_STATE_DIR", raising=False)
    assert CoreSettings().state_directory.name == ".state"
    monkeypatch.setenv("AURALINK_STATE_DIR", str(tmp_path / "x"))
    assert CoreSettings().state_directory == Path(os.path.realpath(tmp_path / "x"))


def test_generated_secrets_are_strong() -> None:
    assert weakness(random_secret()) is None
