"""What the media role is told about key pairs, and how both sides know each other.

The asker signs a token with the platform's pair; the answer is sealed with a key derived from that pair's secret, about
the token's own nonce. So nobody else can read it, put an older one in its place, or ask for it with a join token,
whatever lies between the two processes.
"""

import base64
import hashlib
import json
import secrets
from datetime import UTC, datetime, timedelta

import jwt
from pydantic import BaseModel

from auralink.kit.sealing import Sealer

FEED_PATH = "/api/v1/livekit/key-pairs"
AUDIENCE = "auralink:key-pairs"
_PURPOSE = "livekit-key-pairs"
_LIFE = timedelta(minutes=2)


class FormerOut(BaseModel):
    secret: str
    until: datetime


class PairOut(BaseModel):
    """One working pair."""

    tenant: str
    """The organisation's id."""
    key: str
    secret: str
    former: FormerOut | None = None
    webhook_urls: list[str] = []


class KeyDocument(BaseModel):
    """Every working pair of every organisation."""

    pairs: list[PairOut]

    @property
    def version(self) -> str:
        """Changes whenever the content does."""
        return hashlib.sha256(self.model_dump_json().encode()).hexdigest()


def feed_request(api_key: str, api_secret: str) -> tuple[str, str]:
    """The token to ask with, and its nonce."""
    nonce = secrets.token_urlsafe(16)
    claims = {"iss": api_key, "aud": AUDIENCE, "jti": nonce, "exp": int((datetime.now(UTC) + _LIFE).timestamp())}
    return jwt.encode(claims, api_secret, algorithm="HS256"), nonce


def feed_nonce(token: str, api_key: str, api_secret: str) -> str:
    """The nonce of a request. Raises jwt.PyJWTError for one that is not our media server's."""
    claims = jwt.decode(
        token,
        api_secret,
        algorithms=["HS256"],
        audience=AUDIENCE,
        issuer=api_key,
        options={"require": ["exp", "iss", "aud", "jti"]},
    )
    return str(claims["jti"])


def seal_feed(document: KeyDocument, api_secret: str, nonce: str) -> bytes:
    body = Sealer(api_secret, _PURPOSE).seal(document.model_dump_json(), about=nonce)
    return base64.b64encode(body)


def open_feed(sealed: bytes, api_secret: str, nonce: str) -> KeyDocument:
    """Raises SealBroken, ValueError."""
    body = Sealer(api_secret, _PURPOSE).open(base64.b64decode(sealed, validate=True), about=nonce)
    return KeyDocument.model_validate(json.loads(body))
