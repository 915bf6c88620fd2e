"""One family of errors for every edge.

AuraError
|- NotFound            404
|- Conflict            409
|- Forbidden           403
|- Unauthenticated     401
|- InvalidInput        422, with the fields
|- RateLimited         429, with the wait
|- PayloadTooLarge     413
|- Unavailable         503
`- Timeout             504

A domain subclasses these in its errors.py and sets `code` (stable, for programs) and `title` (for people). The edges
translate: HTTP to RFC 9457 problem+json, Twirp to its codes, signalling to a LiveKit leave reason.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class FieldProblem:
    """One input that was not accepted: where it stands, and what is wrong in words for its author."""

    field: str
    message: str
    code: str = "invalid"


class AuraError(Exception):
    """Something a caller is told about. `detail` is for people and must hold no secret and no other tenant's data."""

    code: str = "internal"
    status: int = 500
    title: str = "Something went wrong on our side"
    twirp: str = "internal"
    leave_reason: str = "UNKNOWN_REASON"
    """The name of livekit.DisconnectReason a participant is told when this ends their session."""
    retryable: bool = False

    def __init__(self, detail: str | None = None, *, extra: Mapping[str, object] | None = None) -> None:
        super().__init__(detail or self.title)
        self.detail = detail
        self.extra = dict(extra or {})
        """Further members of the problem document."""

    @property
    def headers(self) -> dict[str, str]:
        """HTTP headers that go with the answer."""
        return {}


class NotFound(AuraError):
    code = "not_found"
    status = 404
    title = "Not found"
    twirp = "not_found"
    leave_reason = "ROOM_DELETED"


class Conflict(AuraError):
    code = "conflict"
    status = 409
    title = "This conflicts with what is there already"
    twirp = "already_exists"


class Forbidden(AuraError):
    code = "forbidden"
    status = 403
    title = "Not allowed"
    twirp = "permission_denied"
    leave_reason = "PARTICIPANT_REMOVED"


class Unauthenticated(AuraError):
    code = "unauthenticated"
    status = 401
    title = "Sign in first"
    twirp = "unauthenticated"

    @property
    def headers(self) -> dict[str, str]:
        return {"WWW-Authenticate": "Bearer"}


class InvalidInput(AuraError):
    code = "invalid_input"
    status = 422
    title = "Some of the input is not right"
    twirp = "invalid_argument"

    def __init__(self, detail: str | None = None, *, fields: tuple[FieldProblem, ...] = ()) -> None:
        super().__init__(detail)
        self.fields = fields


class RateLimited(AuraError):
    code = "rate_limited"
    status = 429
    title = "Too many attempts"
    twirp = "resource_exhausted"
    retryable = True

    def __init__(self, detail: str | None = None, *, retry_after: float) -> None:
        """`retry_after` in seconds."""
        super().__init__(detail)
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(max(1, round(self.retry_after)))}


class PayloadTooLarge(AuraError):
    code = "payload_too_large"
    status = 413
    title = "The request is too large"
    twirp = "invalid_argument"


class Unavailable(AuraError):
    code = "unavailable"
    status = 503
    title = "Not available at the moment"
    twirp = "unavailable"
    leave_reason = "SERVER_SHUTDOWN"
    retryable = True

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": "1"}


class Timeout(AuraError):
    code = "timeout"
    status = 504
    title = "That took too long"
    twirp = "deadline_exceeded"
    leave_reason = "CONNECTION_TIMEOUT"
    retryable = True
