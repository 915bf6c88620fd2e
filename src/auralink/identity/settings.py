"""Settings of identity; times in seconds."""

from datetime import timedelta
from typing import Annotated

from pydantic import Field, SecretStr

from auralink.identity.access_tokens import new_signing_key
from auralink.identity.domain import SignupMode
from auralink.kit.settings import Generated, Secret, Settings


class IdentitySettings(Settings):
    signup: SignupMode | None = None
    """`open`, `invitation` or `closed`; unset: open while only loopback is bound, otherwise invitation."""
    owner_invitation: Secret = SecretStr("")
    """Lets the first account in while sign-up asks for an invitation; worthless once there is an account."""

    token_keys: Annotated[SecretStr, Generated(new_signing_key)] = SecretStr("")
    """Ed25519 private keys, base64url, separated by commas. The first signs, all of them verify: to rotate, put a new
    one first; drop the old one after `access_token_seconds`."""
    token_issuer: str = "auralink"  # noqa: S105 (a name)
    """`iss` of access tokens."""
    token_audience: str = "auralink-api"  # noqa: S105 (a name)
    """`aud` of access tokens."""
    access_token_seconds: int = Field(600, ge=60, le=3600)
    """How long an access token is good for."""
    refresh_token_seconds: int = Field(30 * 24 * 3600, ge=3600)
    """How long a session lasts without use; each refresh starts it anew."""
    csrf_key: Secret = SecretStr("")
    """Signs the tokens that guard cookies against forged requests."""

    argon2_time_cost: int = Field(3, ge=1, le=20)
    """Rounds. RFC 9106 section 4, second recommendation, as are the next two."""
    argon2_memory_kib: int = Field(64 * 1024, ge=8 * 1024, le=1024 * 1024)
    """Memory of one password hash."""
    argon2_parallelism: int = Field(1, ge=1, le=16)
    """Lanes; one instead of the recommended four, since the machine's cores have other work."""
    argon2_workers: int = Field(2, ge=1, le=64)
    """Passwords hashed at once."""
    argon2_queue: int = Field(64, ge=1, le=10_000)
    """Hashes that may wait for a worker; beyond that sign-in answers 503."""

    login_limit_per_account: str = "10/5minutes"
    """Attempts to sign in; beyond that 429."""
    login_limit_per_address: str = "60/5minutes"
    """The same for all accounts tried from one address."""
    signup_limit_per_address: str = "100/hour"
    """Accounts made from one address."""

    public_url: str = ""
    """The console's address as browsers see it, when a proxy stands in front; https makes cookies Secure."""

    @property
    def access_token_life(self) -> timedelta:
        return timedelta(seconds=self.access_token_seconds)

    @property
    def refresh_token_life(self) -> timedelta:
        return timedelta(seconds=self.refresh_token_seconds)
