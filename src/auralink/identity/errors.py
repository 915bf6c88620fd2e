"""What can go wrong with accounts and sessions.

InvalidCredentials, NotSignedIn      401
|- SessionEnded                      401, the refresh token or its family is over
RefreshSuperseded                    409, another request of the same client was faster
SignupRefused, AuraIdTaken           409
SignupClosed, CsrfRefused            403
InvalidAuraId, WeakPassword, InvalidEmail, InvitationRefused   422
"""

from auralink.kit.errors import Conflict, FieldProblem, Forbidden, InvalidInput, NotFound, Unauthenticated


class InvalidCredentials(Unauthenticated):
    """Also the answer for accounts that do not exist."""

    code = "invalid_credentials"
    title = "The e-mail address or the password is not right"


class InvalidToken(Unauthenticated):
    code = "invalid_token"
    title = "The access token is not valid"

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": 'Bearer error="invalid_token"'}


class SessionEnded(Unauthenticated):
    """The refresh token is unknown, expired, revoked or was used before."""

    code = "session_ended"
    title = "This session is over; sign in again"


class RefreshSuperseded(Conflict):
    """The token was exchanged a moment ago by a parallel request. Nothing is issued; use what that request received."""

    code = "refresh_superseded"
    title = "Another request has just refreshed this session"
    retryable = True

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": "1"}


class SignupRefused(Conflict):
    code = "signup_refused"
    title = "No account can be made with this e-mail address"


class SignupClosed(Forbidden):
    code = "signup_closed"
    title = "Sign-up is closed on this instance"


class CsrfRefused(Forbidden):
    code = "csrf_refused"
    title = "The request did not prove that it comes from our own page"


class NotInstanceOwner(Forbidden):
    code = "not_instance_owner"
    title = "Only the owner of this instance may do that"


class AuraIdTaken(Conflict):
    code = "aura_id_taken"
    title = "This AuraID, or one that looks like it, is taken"


class AccountNotFound(NotFound):
    code = "account_not_found"
    title = "There is no such account"


class _InvalidField(InvalidInput):
    field = ""

    def __init__(self, problem: str) -> None:
        super().__init__(problem, fields=(FieldProblem(self.field, problem),))


class InvalidAuraId(_InvalidField):
    code = "invalid_aura_id"
    field = "aura_id"


class InvalidEmail(_InvalidField):
    code = "invalid_email"
    field = "email"


class WeakPassword(_InvalidField):
    code = "weak_password"
    title = "Choose another password"
    field = "password"


class InvitationRefused(_InvalidField):
    code = "invitation_refused"
    title = "A valid invitation is needed to sign up"
    field = "invitation"
