"""Access tokens: JWTs signed with Ed25519 (RFC 8037), and the published set of keys that verify them (RFC 7517)."""

import base64
import hashlib
import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from auralink.identity.domain import FamilyId
from auralink.identity.errors import InvalidToken
from auralink.kit.ids import InvalidId, UserId

_ALGORITHM = "EdDSA"
_TYPE = "at+jwt"  # RFC 9068 section 2.1: an ID token or a LiveKit token of ours is never taken for an access token
_LEEWAY = timedelta(seconds=5)
_SEED_BYTES = 32
_MAXIMUM_LENGTH = 4096


def new_signing_key() -> str:
    """An Ed25519 seed, base64url, as `AURALINK_TOKEN_KEYS` takes it."""
    return _b64(secrets.token_bytes(_SEED_BYTES))


@dataclass(frozen=True, slots=True)
class AccessClaims:
    user_id: UserId
    family: FamilyId
    expires_at: datetime


@dataclass(frozen=True, slots=True)
class _Key:
    id: str
    private: Ed25519PrivateKey
    public: Ed25519PublicKey
    jwk: dict[str, str]


class AccessTokens:
    """Signs with the first key, verifies with all. `keys` as in IdentitySettings; raises ValueError for a bad one."""

    def __init__(self, keys: str, issuer: str, audience: str, life: timedelta) -> None:
        loaded = [_load(text.strip()) for text in keys.split(",") if text.strip()]
        if not loaded:
            raise ValueError("AURALINK_TOKEN_KEYS holds no key")
        self._signing = loaded[0]
        self._keys = {key.id: key for key in loaded}
        self._issuer = issuer
        self._audience = audience
        self.life = life

    def issue(self, user_id: UserId, family: FamilyId, now: datetime) -> str:
        claims = {
            "iss": self._issuer,
            "aud": self._audience,
            "sub": str(user_id),
            "sid": str(family),
            "iat": int(now.timestamp()),
            "exp": int((now + self.life).timestamp()),
            "jti": secrets.token_urlsafe(12),
        }
        return jwt.encode(
            claims, self._signing.private, algorithm=_ALGORITHM, headers={"kid": self._signing.id, "typ": _TYPE}
        )

    def verify(self, token: str, now: datetime) -> AccessClaims:
        """Raises InvalidToken; the reason is in its detail and names no claim's value."""
        if len(token) > _MAXIMUM_LENGTH:
            raise InvalidToken("The token is longer than any of ours.")
        try:
            header = jwt.get_unverified_header(token)
            key = self._keys.get(str(header.get("kid")))
            if key is None or header.get("typ") != _TYPE:
                raise InvalidToken("The token was not issued by this instance, or its key has been retired.")
            claims = jwt.decode(
                token,
                key.public,
                algorithms=[_ALGORITHM],
                audience=self._audience,
                issuer=self._issuer,
                options={
                    "require": ["exp", "iat", "sub", "aud", "iss", "sid"],
                    "verify_exp": False,
                    "verify_iat": False,
                },
            )
            return _within_time(claims, now)
        except (jwt.InvalidTokenError, InvalidId, ValueError, TypeError, OverflowError) as error:
            raise InvalidToken("The token is malformed, or not for this API.") from error

    def jwks(self) -> list[dict[str, str]]:
        """Public halves, for GET auth/jwks.json."""
        return [key.jwk for key in self._keys.values()]


def _within_time(claims: dict[str, Any], now: datetime) -> AccessClaims:
    """The clock is ours rather than PyJWT's, so that tests can move it."""
    expires_at = datetime.fromtimestamp(int(claims["exp"]), UTC)
    if now > expires_at + _LEEWAY:
        raise InvalidToken("The token has expired.")
    if datetime.fromtimestamp(int(claims["iat"]), UTC) > now + timedelta(minutes=1):
        raise InvalidToken("The token is from the future; compare the clocks.")
    return AccessClaims(UserId.parse(str(claims["sub"])), FamilyId.parse(str(claims["sid"])), expires_at)


def _load(text: str) -> _Key:
    try:
        seed = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except ValueError:
        seed = b""
    if len(seed) != _SEED_BYTES:
        raise ValueError("AURALINK_TOKEN_KEYS: each key is 32 bytes in base64url")
    private = Ed25519PrivateKey.from_private_bytes(seed)
    public = private.public_key()
    raw = public.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    required = {"crv": "Ed25519", "kty": "OKP", "x": _b64(raw)}
    thumbprint = hashlib.sha256(json.dumps(required, separators=(",", ":"), sort_keys=True).encode()).digest()
    key_id = _b64(thumbprint)  # RFC 7638
    return _Key(key_id, private, public, {**required, "kid": key_id, "use": "sig", "alg": _ALGORITHM})


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
