"""Passwords, e-mail addresses, refresh tokens: the rules alone."""

from datetime import UTC, datetime, timedelta

import pytest

from auralink.identity.domain import RefreshState, SignupMode, normalise_email
from auralink.identity.errors import InvalidEmail, WeakPassword
from auralink.identity.passwords import check_password

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
LATER = NOW + timedelta(days=1)


@pytest.mark.parametrize(
    "password",
    [
        "short",
        "123456789",
        "1234567890",
        "9876543210",
        "password123",
        "Password2024!",
        "p@ssw0rd1234",
        "passwordpassword",
        "qwertyuiop",
        "1q2w3e4r5t6y",
        "iloveyou2023",
        "letmein12345",
        "aaaaaaaaaaaa",
        "abcabcabcabc",
        "abababababab",
        "Sunshine123",
        "adminadmin",
        "correcthorsebatterystaple",
        "welcome2026!!",
        "x" * 1025,
    ],
)
def test_common_short_and_endless_passwords_are_refused(password: str) -> None:
    with pytest.raises(WeakPassword):
        check_password(password, "ann@example.org", "Ann Ray")


@pytest.mark.parametrize(
    "password",
    ["ann.longish@example.org", "ANN.Longish@Example.org", "ann.longish", "Annabel Longish", "annabellongish"],
)
def test_a_password_that_is_the_person_is_refused(password: str) -> None:
    with pytest.raises(WeakPassword, match="e-mail"):
        check_password(password, "ann.longish@example.org", "Annabel Longish")


@pytest.mark.parametrize(
    "password",
    [
        "a quiet place in the sun",
        "correct horse 0123abcd4567",
        "tr0ub4dor&3x",
        "пароль-который-длинный",
        "k9$Lm2!qPz7",
        "Ω" * 3 + "longer-words",
    ],
)
def test_a_long_or_unusual_password_is_taken(password: str) -> None:
    check_password(password, "ann@example.org", "Ann Ray")


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Ann@Example.ORG", "ann@example.org"),
        ("ann+calls@example.org", "ann+calls@example.org"),
        ("ann@bücher.example", "ann@bücher.example"),
        ("ann@office.lan", "ann@office.lan"),
    ],
)
def test_an_address_is_kept_in_one_spelling(written: str, kept: str) -> None:
    assert normalise_email(written) == kept


@pytest.mark.parametrize(
    "written",
    ["", "ann", "ann@", "@example.org", "a b@example.org", "ann@exa mple.org",
     "ann@example.org\r\nBcc: all@example.org",
     "ann\x00@example.org", f"a@{'b' * 300}.org", "ann@@example.org", "\ud800@example.org"],
)  # fmt: skip
def test_what_is_no_address_is_refused(written: str) -> None:
    with pytest.raises(InvalidEmail):
        normalise_email(written)


def state(**changes: object) -> RefreshState:
    usual: dict[str, object] = {"expires_at": LATER, "revoked_at": None, "used_at": None, "successor_used": False}
    return RefreshState(**(usual | changes))  # type: ignore[arg-type]


def test_an_unused_token_rotates_until_it_expires_or_is_revoked() -> None:
    assert state().judge(NOW) == "rotate"
    assert state().judge(LATER) == "ended"
    assert state(revoked_at=NOW).judge(NOW) == "ended"


def test_a_second_use_at_the_same_moment_is_refused_without_alarm() -> None:
    used = state(used_at=NOW)
    assert used.judge(NOW) == "superseded"
    assert used.judge(NOW + RefreshState.PARALLEL) == "superseded"


def test_a_second_use_later_is_a_replay() -> None:
    assert state(used_at=NOW).judge(NOW + RefreshState.PARALLEL + timedelta(milliseconds=1)) == "replay"


def test_a_second_use_is_a_replay_at_once_when_its_successor_was_used() -> None:
    assert state(used_at=NOW, successor_used=True).judge(NOW) == "replay"


def test_a_replay_in_a_session_that_is_over_changes_nothing() -> None:
    assert state(used_at=NOW, revoked_at=NOW).judge(LATER) == "ended"


def test_sign_up_is_open_by_default_only_to_this_machine() -> None:
    assert SignupMode.effective(None, only_loopback=True) is SignupMode.OPEN
    assert SignupMode.effective(None, only_loopback=False) is SignupMode.INVITATION
    assert SignupMode.effective(SignupMode.OPEN, only_loopback=False) is SignupMode.OPEN
    assert SignupMode.effective(SignupMode.CLOSED, only_loopback=True) is SignupMode.CLOSED
