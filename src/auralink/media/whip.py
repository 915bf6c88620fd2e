"""WHIP (RFC 9725) at /whip/v1 as LiveKit serves it, and WHEP (draft-ietf-wish-whep) at /whep/v1 in the same manner.

The token is LiveKit's: it names the room and the participant. Errors are problem documents with LiveKit's `error`.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field

import structlog
from fastapi import APIRouter, Request
from livekit.protocol.rtc import ICEServer
from starlette.responses import Response

from auralink.kit.errors import AuraError, Forbidden, InvalidInput, NotFound, PayloadTooLarge
from auralink.kit.http.problem import problem, request_id_of
from auralink.media.http_session import HttpSession
from auralink.media.ice_fragment import MAX_FRAGMENT_BYTES, DescriptionRefused, parse_fragment, sections
from auralink.media.joining import Joining
from auralink.media.playlist import Playlist
from auralink.media.tokens import Claims, KeyRing, TokenRefused

log = structlog.get_logger(__name__)

SDP, FRAGMENT = "application/sdp", "application/trickle-ice-sdpfrag"
_METHODS = "PATCH, OPTIONS, GET, POST, DELETE"
_NAMES_KEPT = 100
"""Participants and tracks that one player's address may name."""


class WrongContentType(AuraError):
    code = "wrong_content_type"
    status = 400
    title = "The content type is not supported here"
    twirp = "malformed"


class SessionGone(NotFound):
    code = "session_gone"
    title = "There is no such session (any more)"


class EntityTagMissing(AuraError):
    code = "entity_tag_missing"
    status = 428
    title = "If-Match is required: the entity tag to trickle, * to restart ICE"


class EntityTagMismatch(AuraError):
    code = "entity_tag_mismatch"
    status = 412
    title = "The ICE session of this entity tag is over"


@dataclass
class HttpSessions:
    """The sessions of one protocol, by participant sid."""

    joining: Joining
    keys: KeyRing
    path: str
    _sessions: dict[str, HttpSession] = field(default_factory=dict)

    async def create(self, request: Request, playlist: Playlist | None) -> Response:
        _require(request, SDP)
        claims = self._claims(request)
        offer = await _text(request, self.joining.limits.sdp_bytes)
        _check_grants(claims, offer, playlist)
        session = HttpSession(self.joining, claims, offer, playlist)
        answer = await session.open(lambda: self._forget(session))
        if not session.ended:
            self._sessions[session.sid] = session
        headers = {"Location": f"{self.path}/{session.sid}", "ETag": _tag(session.ufrag)}
        response = Response(answer, 201, headers, SDP)
        for link in _links(session.ice_servers):
            response.headers.append("Link", link)
        return response

    async def patch(self, request: Request, sid: str) -> Response:
        _require(request, FRAGMENT)
        match = request.headers.get("if-match", "").strip()
        if not match:
            raise EntityTagMissing
        session = self._find(request, sid)
        fragment = parse_fragment(await _text(request, MAX_FRAGMENT_BYTES))
        if match == "*":
            ours = await session.restart_ice(fragment)
            return Response(ours, 200, {"ETag": _tag(session.ufrag)}, FRAGMENT)
        if match.strip('"') != session.ufrag:
            raise EntityTagMismatch
        session.trickle(fragment)
        return Response(status_code=204)

    async def delete(self, request: Request, sid: str) -> Response:
        self._find(request, sid).end()
        return Response(status_code=200)

    def _forget(self, session: HttpSession) -> None:
        self._sessions.pop(session.sid, None)

    def _find(self, request: Request, sid: str) -> HttpSession:
        claims = self._claims(request)
        session = self._sessions.get(sid)
        if session is None or not session.is_of(claims):
            raise SessionGone
        return session

    def _claims(self, request: Request) -> Claims:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise TokenRefused("no access token")
        claims = self.keys.verify(token.strip())
        if not claims.video.room_join or not claims.video.room:
            raise TokenRefused("the token does not permit joining a room")
        return claims


def whip_router(joining: Joining, keys: KeyRing) -> APIRouter:
    """Publishing. Sections in which the client receives get the room's tracks, as with LiveKit."""
    sessions = HttpSessions(joining, keys, "/whip/v1")
    router = _router(sessions)

    async def publish(request: Request) -> Response:
        return await _answered(request, sessions.create(request, None))

    _at(router, "POST", sessions.path, publish)
    return router


def whep_router(joining: Joining, keys: KeyRing) -> APIRouter:
    """Playing the room, or what `participant` (identities) and `track` (sids or names) of the query choose."""
    sessions = HttpSessions(joining, keys, "/whep/v1")
    router = _router(sessions)

    async def play(request: Request) -> Response:
        query = request.query_params
        participants, tracks = query.getlist("participant"), query.getlist("track")
        if len(participants) + len(tracks) > _NAMES_KEPT:
            raise DescriptionRefused(f"At most {_NAMES_KEPT} participants and tracks can be chosen.")
        playlist = Playlist(frozenset(participants), frozenset(tracks), joining.limits)
        return await _answered(request, sessions.create(request, playlist))

    _at(router, "POST", sessions.path, play)
    return router


def _router(sessions: HttpSessions) -> APIRouter:
    """What both protocols answer alike."""
    router = APIRouter(include_in_schema=False)

    async def nothing_to_see() -> Response:
        return Response(status_code=204)  # RFC 9725 section 4.1 keeps GET for later

    async def options() -> Response:
        origin = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "*"}
        allowed = {"Access-Control-Allow-Headers": "*", "Access-Control-Allow-Methods": _METHODS}
        return Response(status_code=200, headers={**origin, **allowed, "Accept-Post": SDP})

    async def patch(request: Request, sid: str) -> Response:
        return await _answered(request, sessions.patch(request, sid))

    async def delete(request: Request, sid: str) -> Response:
        return await _answered(request, sessions.delete(request, sid))

    session = sessions.path + "/{sid}"
    for path in (sessions.path, session):
        _at(router, "GET", path, nothing_to_see)
        _at(router, "HEAD", path, nothing_to_see)
        _at(router, "OPTIONS", path, options)
    _at(router, "PATCH", session, patch)
    _at(router, "DELETE", session, delete)
    return router


def _at(router: APIRouter, method: str, path: str, endpoint: Callable[..., Awaitable[Response]]) -> None:
    """With and without a slash at the end: some encoders add one to the address they are given."""
    for spelling in (path, path + "/"):
        router.add_api_route(spelling, endpoint, methods=[method])


async def _answered(request: Request, work: Awaitable[Response]) -> Response:
    try:
        return await work
    except AuraError as error:
        log.info("media.http_session_refused", code=error.code, path=request.url.path.split("/")[1])
        error.extra.setdefault("error", error.detail or error.title)
        if isinstance(error, InvalidInput):
            error.status = 400
        return problem(error, request_id_of(request))


def _check_grants(claims: Claims, offer: str, playlist: Playlist | None) -> None:
    """Raises DescriptionRefused, Forbidden."""
    offered = sections(offer)
    sends, receives = any(s.sends for s in offered), any(s.receives for s in offered)
    if playlist is None:
        if sends and not claims.video.can_publish:
            raise Forbidden("The token does not permit publishing.")
        if not sends and not receives:
            raise DescriptionRefused("The offer has no media to publish.")
        return
    if not claims.video.can_subscribe:
        raise Forbidden("The token does not permit subscribing.")
    if sends or not receives:
        raise DescriptionRefused("A player offers recvonly sections only.")


def _require(request: Request, content_type: str) -> None:
    given = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given != content_type:
        raise WrongContentType(f"unsupported content-type, {content_type} is expected")


async def _text(request: Request, limit: int) -> str:
    body = await request.body()
    if len(body) > limit:
        raise PayloadTooLarge(f"At most {limit} bytes are accepted here.")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise DescriptionRefused("The body is not UTF-8.") from error


def _tag(ufrag: str) -> str:
    """LiveKit leaves out the quotes that RFC 9110 section 8.8.3 asks for; both are understood in If-Match."""
    return f'"{ufrag}"'


def _links(servers: Iterable[ICEServer]) -> Iterator[str]:
    """RFC 9725 section 4.6."""
    for server in servers:
        for url in server.urls:
            link = f'<{url}>; rel="ice-server"'
            if server.username:
                link += f'; username="{server.username}"; credential="{server.credential}"; credential-type="password"'
            yield link
