"""What identity's routes take and answer."""

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, StringConstraints, model_validator

from auralink.identity.domain import Account, ClientKind, Issued
from auralink.identity.passwords import MAXIMUM_LENGTH
from auralink.kit.ids import UserId
from auralink.kit.text import Name

EmailText = Annotated[str, StringConstraints(min_length=3, max_length=320, strip_whitespace=True)]
Password = Annotated[SecretStr, Field(min_length=1, max_length=MAXIMUM_LENGTH)]
Token = Annotated[str, StringConstraints(min_length=1, max_length=256)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class SignUpIn(Body):
    email: EmailText
    password: Password
    name: Name
    invitation: Annotated[str, StringConstraints(max_length=128)] | None = None
    """Needed where sign-up is by invitation."""


class LogInIn(Body):
    email: EmailText
    password: Password


class RefreshIn(Body):
    refresh_token: Token | None = None
    """Left out by browsers, whose token is in the cookie."""


class UserOut(BaseModel):
    id: UserId
    email: str
    name: str
    aura_id: str
    instance_role: str
    created_at: datetime

    @classmethod
    def of(cls, account: Account) -> "UserOut":
        return cls(
            id=account.id,
            email=account.email,
            name=account.name,
            aura_id=str(account.aura_id),
            instance_role=account.instance_role.value,
            created_at=account.created_at,
        )


class SessionOut(BaseModel):
    """`expires_in` is the access token's life in seconds. Browsers get `csrf_token` and a cookie instead of
    `refresh_token`."""

    access_token: str
    token_type: str = "Bearer"  # noqa: S105 (a kind)
    expires_in: int
    refresh_token: str | None
    csrf_token: str | None
    user: UserOut

    @classmethod
    def of(cls, issued: Issued, csrf_token: str) -> "SessionOut":
        web = issued.client is ClientKind.WEB
        return cls(
            access_token=issued.access_token,
            expires_in=int(issued.expires_in.total_seconds()),
            refresh_token=None if web else issued.refresh_token,
            csrf_token=csrf_token if web else None,
            user=UserOut.of(issued.account),
        )


class ProfileIn(Body):
    """What is left out stays as it is."""

    name: Name | None = None
    aura_id: Annotated[str, StringConstraints(max_length=64)] | None = None

    @model_validator(mode="after")
    def _something_to_change(self) -> "ProfileIn":
        if self.name is None and self.aura_id is None:
            raise ValueError("give a name or an aura_id")
        return self


class SignupInvitationIn(Body):
    expires_in_hours: int = Field(7 * 24, ge=1, le=90 * 24)


class SignupInvitationOut(BaseModel):
    """`code` is shown this once."""

    id: str
    code: str
    expires_at: datetime


class SignupOut(BaseModel):
    """Whether this instance takes new accounts: `open`, `invitation` or `closed`."""

    mode: str


class JsonWebKey(BaseModel):
    kty: str
    crv: str
    x: str
    kid: str
    use: str
    alg: str


class JsonWebKeySet(BaseModel):
    keys: list[JsonWebKey]
