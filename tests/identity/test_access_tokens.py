"""Access tokens: what is accepted, and everything that is not."""

import base64
import json
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from auralink.identity.access_tokens import AccessTokens, new_signing_key
from auralink.identity.domain import FamilyId
from auralink.identity.errors import InvalidToken
from auralink.kit.ids import UserId

NOW = datetime(2026, 1, 1, 12, tzinfo=UTC)
ANN, SESSION = UserId.new(), FamilyId.new()
KEY = new_signing_key()


def tokens(keys: str = KEY, audience: str = "auralink-api", issuer: str = "auralink") -> AccessTokens:
    return AccessTokens(keys, issuer, audience, timedelta(minutes=10))


def private_key(text: str = KEY) -> Ed25519PrivateKey:
    return Ed25519PrivateKey.from_private_bytes(base64.urlsafe_b64decode(text + "="))


def forged(claims: dict[str, Any] | None = None, header: dict[str, Any] | None = None, **sign: Any) -> str:
    genuine = tokens().issue(ANN, SESSION, NOW)
    body = jwt.decode(genuine, options={"verify_signature": False}) | (claims or {})
    headers = jwt.get_unverified_header(genuine) | (header or {})
    algorithm = headers.pop("alg")
    return jwt.encode(body, sign.get("key", private_key()), algorithm=algorithm, headers=headers)


def test_a_token_of_ours_names_its_account_session_and_end() -> None:
    claims = tokens().verify(tokens().issue(ANN, SESSION, NOW), NOW)
    assert (claims.user_id, claims.family) == (ANN, SESSION)
    assert claims.expires_at == NOW + timedelta(minutes=10)


def test_forging_as_the_tests_do_is_only_refused_for_what_they_change() -> None:
    assert tokens().verify(forged(), NOW).user_id == ANN


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "another-api"},
        {"iss": "another-issuer"},
        {"sub": "room_00000000000000000000000000"},
        {"sub": "usr_'; drop table users; --"},
        {"sub": ["usr"]},
        {"sid": "nonsense"},
        {"exp": "never"},
        {"exp": 10**30},
        {"iat": int(NOW.timestamp()) + 3600},
    ],
)
def test_a_token_with_a_wrong_claim_is_refused(claims: dict[str, Any]) -> None:
    with pytest.raises(InvalidToken):
        tokens().verify(forged(claims), NOW)


def test_an_expired_token_is_refused() -> None:
    token = tokens().issue(ANN, SESSION, NOW)
    tokens().verify(token, NOW + timedelta(minutes=10))
    with pytest.raises(InvalidToken, match="expired"):
        tokens().verify(token, NOW + timedelta(minutes=10, seconds=6))


def test_an_unsigned_token_is_refused() -> None:
    unsigned = forged(header={"alg": "none"}, key=None)
    with pytest.raises(InvalidToken):
        tokens().verify(unsigned, NOW)


def test_a_token_signed_with_the_public_key_as_a_secret_is_refused() -> None:
    """The classic confusion of algorithms: everybody has the public key, so a signature with it proves nothing."""
    public = tokens().jwks()[0]["x"]
    with pytest.raises(InvalidToken):
        tokens().verify(forged(header={"alg": "HS256"}, key=public), NOW)


def test_a_token_of_another_key_under_our_key_id_is_refused() -> None:
    with pytest.raises(InvalidToken):
        tokens().verify(forged(key=private_key(new_signing_key())), NOW)


def test_a_token_of_another_kind_is_refused() -> None:
    with pytest.raises(InvalidToken):
        tokens().verify(forged(header={"typ": "JWT"}), NOW)


@pytest.mark.parametrize("token", ["", ".", "..", "a.b.c", "é", "x" * 5000, "e30.e30.", "\x00"])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(InvalidToken):
        tokens().verify(token, NOW)


def test_a_changed_token_is_refused() -> None:
    head, body, signature = tokens().issue(ANN, SESSION, NOW).split(".")
    claims = json.loads(base64.urlsafe_b64decode(body + "=="))
    claims["sub"] = str(UserId.new())
    changed = base64.urlsafe_b64encode(json.dumps(claims).encode()).rstrip(b"=").decode()
    with pytest.raises(InvalidToken):
        tokens().verify(f"{head}.{changed}.{signature}", NOW)


def test_keys_rotate_without_ending_sessions() -> None:
    """Operators put the new key first; old tokens verify until the old key is dropped."""
    new = new_signing_key()
    old_token = tokens(KEY).issue(ANN, SESSION, NOW)
    both = tokens(f"{new}, {KEY}")
    assert both.verify(old_token, NOW).user_id == ANN
    new_token = both.issue(ANN, SESSION, NOW)
    assert tokens(new).verify(new_token, NOW).user_id == ANN
    with pytest.raises(InvalidToken):
        tokens(new).verify(old_token, NOW)


def test_the_published_keys_verify_our_tokens() -> None:
    token = tokens().issue(ANN, SESSION, NOW)
    key_set = jwt.PyJWKSet.from_dict({"keys": tokens().jwks()})
    key = key_set[jwt.get_unverified_header(token)["kid"]]
    claims = jwt.decode(
        token, key, algorithms=["EdDSA"], audience="auralink-api", options={"verify_exp": False, "verify_iat": False}
    )
    assert claims["sub"] == str(ANN)
    assert all("d" not in published for published in tokens().jwks())


@pytest.mark.parametrize(
    "keys",
    ["", " , ", "short", f"{KEY},!!!", base64.urlsafe_b64encode(b"x" * 31).decode()],
    ids=["nothing", "only commas", "short", "a good one and a bad one", "31 bytes"],
)
def test_a_bad_signing_key_is_refused_at_start(keys: str) -> None:
    with pytest.raises(ValueError, match="AURALINK_TOKEN_KEYS"):
        tokens(keys)
