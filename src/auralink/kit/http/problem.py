"""Every error an HTTP caller sees, as RFC 9457 `application/problem+json`, with the request id to quote."""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response

from auralink.kit.errors import AuraError, FieldProblem, InvalidInput, NotFound

MEDIA_TYPE = "application/problem+json"
_TYPE_PREFIX = "urn:auralink:problem:"


class ProblemField(BaseModel):
    field: str
    message: str
    code: str


class Problem(BaseModel):
    """What went wrong. `code` is stable and for programs, `title` and `detail` are for people."""

    type: str = Field(examples=[f"{_TYPE_PREFIX}room_not_found"])
    title: str
    status: int
    code: str
    detail: str | None = None
    request_id: str
    fields: list[ProblemField] | None = None


RESPONSES: dict[int | str, dict[str, Any]] = {
    "4XX": {"description": "The request cannot be answered as it is", "model": Problem},
    "5XX": {"description": "We cannot answer now", "model": Problem},
}


def problem(error: AuraError, request_id: str) -> Response:
    body: dict[str, object] = {
        **error.extra,
        "type": f"{_TYPE_PREFIX}{error.code}",
        "title": error.title,
        "status": error.status,
        "code": error.code,
        "request_id": request_id,
    }
    if error.detail:
        body["detail"] = error.detail
    if isinstance(error, InvalidInput) and error.fields:
        body["fields"] = [{"field": f.field, "message": f.message, "code": f.code} for f in error.fields]
    return JSONResponse(body, error.status, {**error.headers, "cache-control": "no-store"}, MEDIA_TYPE)


def request_id_of(request: Request) -> str:
    return str(request.scope.get("request_id", ""))


def install_problem_handlers(app: FastAPI) -> None:
    app.exception_handler(AuraError)(_handler(lambda error: error))
    app.exception_handler(RequestValidationError)(_handler(_from_validation))
    app.exception_handler(HTTPException)(_handler(_from_http))
    app.exception_handler(Exception)(_handler(lambda _: AuraError()))


def _handler(translate: Callable[[Any], AuraError]) -> Callable[[Request, Exception], Awaitable[Response]]:
    async def handle(request: Request, error: Exception) -> Response:
        known = translate(error)
        structlog.contextvars.bind_contextvars(error_code=known.code)
        return problem(known, request_id_of(request))

    return handle


def _from_validation(error: RequestValidationError) -> AuraError:
    """An id in the path that is none names nothing, so it is not found; everything else is told field by field."""
    problems = error.errors()
    if any(p["loc"][:1] == ("path",) for p in problems):
        return NotFound()
    return InvalidInput(fields=tuple(_field_problem(p) for p in problems))


def _field_problem(problem: dict[str, Any]) -> FieldProblem:
    place = [str(step) for step in problem["loc"] if step != "body"]
    return FieldProblem(".".join(place) or "body", _sentence(problem), problem["type"])


def _sentence(problem: dict[str, Any]) -> str:
    message = str(problem["msg"]).removeprefix("Value error, ")
    return message[:1].upper() + message[1:]


class _ByStatus(AuraError):
    """An error the framework raised: the status's own phrase, as a code of ours."""

    def __init__(self, error: HTTPException) -> None:
        phrase = HTTPStatus(error.status_code).phrase
        self.status = error.status_code
        self.title = phrase
        self.code = phrase.lower().replace(" ", "_").replace("-", "_")
        self._headers = dict(error.headers or {})
        super().__init__(str(error.detail) if error.detail and error.detail != phrase else None)

    @property
    def headers(self) -> dict[str, str]:
        return self._headers


def _from_http(error: HTTPException) -> AuraError:
    return _ByStatus(error)
