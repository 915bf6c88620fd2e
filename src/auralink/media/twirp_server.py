"""Twirp, as LiveKit's services speak it. https://twitchtv.github.io/twirp/docs/spec_v7.html

JSON answers have snake_case names and every field, as LiveKit's have: unset messages as null.
"""

import json
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from inspect import isawaitable
from typing import Any

import structlog
from fastapi import APIRouter, Request
from google.protobuf import json_format
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import DecodeError, Message
from starlette.responses import Response

from auralink.kit.errors import AuraError
from auralink.media.tokens import Claims, KeyRing

log = structlog.get_logger(__name__)

_STATUS = {
    "malformed": 400,
    "invalid_argument": 400,
    "out_of_range": 400,
    "unauthenticated": 401,
    "permission_denied": 403,
    "not_found": 404,
    "bad_route": 404,
    "deadline_exceeded": 408,
    "canceled": 408,
    "already_exists": 409,
    "aborted": 409,
    "failed_precondition": 412,
    "resource_exhausted": 429,
    "internal": 500,
    "unimplemented": 501,
    "unavailable": 503,
}
_VERBS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]
_JSON, _PROTOBUF = "application/json", "application/protobuf"


class TwirpError(Exception):
    """`code` is one of Twirp's; `argument` names what was wrong about an `invalid_argument`."""

    def __init__(self, code: str, message: str, *, argument: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.meta = {"argument": argument} if argument else {}


@dataclass(frozen=True)
class Method:
    request: Callable[[], Any]
    run: Callable[[Any, Claims], Message | Awaitable[Message]]
    """Raises TwirpError, AuraError."""


Service = Mapping[str, Method]
"""Methods by name."""


def twirp_router(services: Mapping[str, Service], absent: Mapping[str, Collection[str]], keys: KeyRing) -> APIRouter:
    """`absent` are LiveKit's services that this server has not: their methods answer `unimplemented`, so that callers
    can tell them from a slip."""
    router = APIRouter(include_in_schema=False)

    @router.api_route("/twirp/livekit.{service}/{name}", methods=_VERBS)
    async def call(service: str, name: str, request: Request) -> Response:
        try:
            if request.method != "POST":
                raise _bad_route(request, f'unsupported method "{request.method}" (only POST is allowed)')
            if service in absent:
                return _absent(service, name, absent[service], keys, request)
            method = services.get(service, {}).get(name)
            if method is None:
                raise _bad_route(request, f'no handler for path "{request.url.path}"')
            as_json = _is_json(request)
            claims = _claims(keys, request)
            answer = method.run(_parse(await request.body(), method.request(), as_json), claims)
            return _answer(await answer if isawaitable(answer) else answer, as_json)
        except TwirpError as error:
            return _error(error.code, str(error), error.meta)
        except AuraError as error:
            return _error(error.twirp, error.detail or error.title)

    return router


def permit(granted: bool, what: str) -> None:
    if not granted:
        # LiveKit answers unauthenticated, not permission_denied, and clients' tests rely on it.
        raise TwirpError("unauthenticated", f"permissions denied: the token does not grant {what}")


def bounded(size: int, limit: int, message: str) -> None:
    """LiveKit's refusal of what is too large."""
    if size > limit:
        raise TwirpError("invalid_argument", f"{message} {limit}", argument=message)


def _absent(service: str, name: str, names: Collection[str], keys: KeyRing, request: Request) -> Response:
    if name not in names:
        raise _bad_route(request, f'no handler for path "{request.url.path}"')
    _claims(keys, request)
    raise TwirpError("unimplemented", f"This server has no {service} service, so {name} does nothing here.")


def _bad_route(request: Request, message: str) -> TwirpError:
    error = TwirpError("bad_route", message)
    error.meta = {"twirp_invalid_route": f"{request.method} {request.url.path}"}
    return error


def _is_json(request: Request) -> bool:
    given = request.headers.get("content-type", "")
    kind = given.partition(";")[0].strip().lower()
    if kind not in (_JSON, _PROTOBUF):
        raise _bad_route(request, f'unexpected Content-Type: "{given}"')
    return kind == _JSON


def _claims(keys: KeyRing, request: Request) -> Claims:
    given = request.headers.get("authorization", "")
    if not given:
        raise TwirpError("unauthenticated", "permissions denied: no access token")
    token = given.removeprefix("Bearer ")
    if token == given:
        raise TwirpError("unauthenticated", "invalid authorization header. Must start with Bearer ")
    return keys.verify(token.strip())


def _parse(body: bytes, message: Any, as_json: bool) -> Any:
    try:
        if as_json:
            return json_format.Parse(body, message, ignore_unknown_fields=True)
        message.ParseFromString(body)
    except (DecodeError, json_format.ParseError, UnicodeDecodeError, RecursionError) as error:
        raise TwirpError(
            "malformed", f"the {'json' if as_json else 'protobuf'} request could not be decoded"
        ) from error
    return message


def _answer(message: Message, as_json: bool) -> Response:
    if as_json:
        return Response(json.dumps(to_json(message)), media_type=_JSON)
    return Response(message.SerializeToString(), media_type=_PROTOBUF)


def to_json(message: Message) -> dict[str, Any]:
    """With snake_case names and all fields; unset messages are null, which the protobuf library leaves out."""
    found: dict[str, Any] = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    _add_nulls(message, found)
    return found


def _add_nulls(message: Message, found: dict[str, Any]) -> None:
    for field in message.DESCRIPTOR.fields:
        if field.type != FieldDescriptor.TYPE_MESSAGE or field.containing_oneof is not None:
            continue
        value, shown = getattr(message, field.name), found.get(field.name)
        if field.is_repeated:
            if isinstance(shown, list):
                for one, one_shown in zip(value, shown, strict=True):
                    _add_nulls(one, one_shown)
        elif shown is None:
            found[field.name] = None
        elif isinstance(shown, dict):
            _add_nulls(value, shown)


def _error(code: str, message: str, meta: Mapping[str, str] | None = None) -> Response:
    content: dict[str, Any] = {"code": code, "msg": message}
    if meta:
        content["meta"] = meta
    return Response(json.dumps(content), _STATUS.get(code, 500), media_type=_JSON)
