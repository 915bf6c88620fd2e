"""Accounts and sessions as values, and the rules that need no database."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import ClassVar, Literal

from email_validator import EmailNotValidError, validate_email

from auralink.identity.aura_ids import AuraId
from auralink.identity.errors import InvalidEmail
from auralink.kit.ids import Id, UserId

MAXIMUM_EMAIL_LENGTH = 254


class FamilyId(Id, prefix="ses"):
    """One sign-in and every refresh token that descends from it."""


class SignupInvitationId(Id, prefix="sin"):
    """An invitation to make an account on this instance."""


class InstanceRole(StrEnum):
    OWNER = "owner"
    USER = "user"


class SignupMode(StrEnum):
    OPEN = "open"
    INVITATION = "invitation"
    CLOSED = "closed"

    @classmethod
    def effective(cls, chosen: "SignupMode | None", only_loopback: bool) -> "SignupMode":
        """Unless chosen, sign-up is open only while nobody but this machine can reach the instance."""
        return chosen or (cls.OPEN if only_loopback else cls.INVITATION)


class ClientKind(StrEnum):
    """How a client keeps its refresh token: programs get it in the body, the console in a cookie it cannot read."""

    PROGRAM = "program"
    WEB = "web"


@dataclass(frozen=True, slots=True)
class Account:
    id: UserId
    email: str
    name: str
    aura_id: AuraId
    instance_role: InstanceRole
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Issued:
    """What signing in or refreshing hands out. `refresh_token` exists in clear only here."""

    account: Account
    family: FamilyId
    client: ClientKind
    access_token: str
    expires_in: timedelta
    refresh_token: str
    refresh_expires_at: datetime


RefreshVerdict = Literal["rotate", "superseded", "ended", "replay"]


@dataclass(frozen=True, slots=True)
class RefreshState:
    """A presented refresh token as the database knows it."""

    expires_at: datetime
    revoked_at: datetime | None
    used_at: datetime | None
    successor_used: bool

    PARALLEL: ClassVar[timedelta] = timedelta(seconds=5)

    def judge(self, now: datetime) -> RefreshVerdict:
        """What presenting this token means.

        A token is good for one exchange. A second one within `PARALLEL` of the first, while what the first received is
        still unused, is taken for the same client asking twice (two browser tabs): it is refused without ending the
        session. That grace never issues anything, so it gives a thief nothing; it only delays the alarm by seconds,
        until the owner's next attempt. Everything else is a replay and ends the whole family.
        """
        if self.revoked_at is not None or now >= self.expires_at:
            return "ended"
        if self.used_at is None:
            return "rotate"
        if not self.successor_used and now - self.used_at <= self.PARALLEL:
            return "superseded"
        return "replay"


def normalise_email(text: str) -> str:
    """The address as we keep and compare it: valid, IDNA host, all lower case. Raises InvalidEmail.

    Lower case also before the @: no mailbox provider in use tells `Ann@` from `ann@`, but people do type both.
    Addresses of private networks (`ann@office.lan`) are accepted, since instances run there.
    """
    if len(text) > MAXIMUM_EMAIL_LENGTH:
        raise InvalidEmail(f"An e-mail address has at most {MAXIMUM_EMAIL_LENGTH} characters.")
    try:
        valid = validate_email(text, check_deliverability=False, globally_deliverable=False)
    except EmailNotValidError as error:
        raise InvalidEmail(str(error)) from None
    return valid.normalized.lower()
