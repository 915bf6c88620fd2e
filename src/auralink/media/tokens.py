"""LiveKit access tokens: who may join what and do what there.

HS256 JWTs signed by an API key's secret (livekit-wire: `iss` is the key, `sub` the identity). The grants are
self-contained, so a token is judged without asking anybody.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from google.protobuf.json_format import ParseDict, ParseError
from livekit.protocol.models import ParticipantInfo, ParticipantPermission, TrackSource
from livekit.protocol.room import RoomConfiguration

from auralink.kit.clock import Clock, SystemClock
from auralink.kit.errors import Unauthenticated
from auralink.media.keys import KeyPair

LEEWAY = timedelta(seconds=60)
_OPTIONS: Any = {"require": ["exp", "iss"], "verify_aud": False}
"""LiveKit's tokens name no audience; one that does is judged by the rest."""
_SOURCES = {
    "camera": TrackSource.CAMERA,
    "microphone": TrackSource.MICROPHONE,
    "screen_share": TrackSource.SCREEN_SHARE,
    "screen_share_audio": TrackSource.SCREEN_SHARE_AUDIO,
}
SOURCE_NAMES = {source: name for name, source in _SOURCES.items()}

_KINDS = {
    "standard": ParticipantInfo.Kind.STANDARD,
    "ingress": ParticipantInfo.Kind.INGRESS,
    "egress": ParticipantInfo.Kind.EGRESS,
    "sip": ParticipantInfo.Kind.SIP,
    "agent": ParticipantInfo.Kind.AGENT,
    "connector": ParticipantInfo.Kind.CONNECTOR,
    "bridge": ParticipantInfo.Kind.BRIDGE,
}


class TokenRefused(Unauthenticated):
    code = "token_refused"
    title = "The access token is not accepted"


class UnknownKey(LookupError):
    """There is no such pair (any more)."""


@dataclass(frozen=True)
class VideoGrant:
    """The `video` claim. `can_publish`, `can_subscribe` and `can_publish_data` are allowed when absent."""

    room: str = ""
    room_join: bool = False
    room_create: bool = False
    room_list: bool = False
    room_admin: bool = False
    can_publish: bool = True
    can_subscribe: bool = True
    can_publish_data: bool = True
    can_publish_sources: tuple["TrackSource", ...] = ()
    can_update_own_metadata: bool = False
    can_subscribe_metrics: bool = False
    hidden: bool = False
    recorder: bool = False
    agent: bool = False

    def permission(self) -> ParticipantPermission:
        return ParticipantPermission(
            can_subscribe=self.can_subscribe,
            can_publish=self.can_publish,
            can_publish_data=self.can_publish_data,
            can_publish_sources=self.can_publish_sources,
            can_update_metadata=self.can_update_own_metadata,
            can_subscribe_metrics=self.can_subscribe_metrics,
            hidden=self.hidden,
            recorder=self.recorder,
            agent=self.agent,
        )

    def with_permission(self, permission: ParticipantPermission) -> "VideoGrant":
        return replace(
            self,
            can_subscribe=permission.can_subscribe,
            can_publish=permission.can_publish,
            can_publish_data=permission.can_publish_data,
            can_publish_sources=tuple(permission.can_publish_sources),
            can_update_own_metadata=permission.can_update_metadata,
            can_subscribe_metrics=permission.can_subscribe_metrics,
            hidden=permission.hidden,
            recorder=permission.recorder,
        )

    def may_publish(self, source: "TrackSource") -> bool:
        return self.can_publish and (not self.can_publish_sources or source in self.can_publish_sources)


@dataclass(frozen=True)
class Claims:
    """A verified token."""

    api_key: str
    tenant: str
    """Of the key: the only rooms this token speaks of are this tenant's."""
    identity: str
    name: str
    kind: "ParticipantInfo.Kind"
    metadata: str
    attributes: Mapping[str, str]
    video: VideoGrant
    room_config: RoomConfiguration | None
    sha256: str
    expires_at: datetime
    raw: Mapping[str, Any] = field(repr=False)

    def publishing_twin(self, name: str) -> "Claims":
        """Of a second connection of the same person, which only publishes. Raises TokenRefused."""
        if not self.video.can_publish:
            raise TokenRefused("the token does not permit publishing")
        return replace(self, identity=f"{self.identity}#{name}", video=replace(self.video, can_subscribe=False))


class KeyRing:
    """The API keys this server accepts, and the one it signs with. The tenants' may be replaced at any time."""

    def __init__(self, pairs: Mapping[str, str], *, clock: Clock | None = None) -> None:
        """`pairs` are the platform's own, by key; the first one signs."""
        if not pairs:
            raise ValueError("at least one API key is needed")
        self._clock = clock or SystemClock()
        self._own = {key: KeyPair(key, secret) for key, secret in pairs.items()}
        self._tenants: dict[str, KeyPair] = {}

    @property
    def default_key(self) -> str:
        return next(iter(self._own))

    def set_tenants(self, pairs: Iterable[KeyPair]) -> None:
        """All pairs of all tenants from now on; one that is not among them is not accepted any more."""
        self._tenants = {pair.key: pair for pair in pairs}

    def tenant_pairs(self) -> list[KeyPair]:
        return list(self._tenants.values())

    def knows(self, api_key: str) -> bool:
        return self._pair(api_key) is not None

    def _pair(self, api_key: str) -> KeyPair | None:
        return self._own.get(api_key) or self._tenants.get(api_key)

    def sign(self, api_key: str, claims: Mapping[str, Any]) -> str:
        """Raises UnknownKey for a pair that was revoked meanwhile."""
        pair = self._pair(api_key)
        if pair is None:
            raise UnknownKey
        return jwt.encode({**claims, "iss": api_key}, pair.secret, algorithm="HS256")

    def verify(self, token: str) -> Claims:
        """Raises TokenRefused saying what is wrong, never echoing the token."""
        try:
            unverified = jwt.decode(token, options={"verify_signature": False})
            pair = self._pair(str(unverified.get("iss", "")))
            if pair is None:
                raise TokenRefused("invalid API key")
            body = _decode(token, pair.secrets(self._clock.now()))
        except OverflowError as error:
            raise TokenRefused("invalid token: exp") from error
        except jwt.ExpiredSignatureError as error:
            raise TokenRefused("token has expired") from error
        except jwt.PyJWTError as error:
            raise TokenRefused("invalid token") from error
        return _claims(pair, body)


def _decode(token: str, secrets: Sequence[str]) -> dict[str, Any]:
    """By whichever secret signed it. Raises jwt.PyJWTError."""
    for secret in secrets[:-1]:
        try:
            return jwt.decode(token, secret, algorithms=["HS256"], leeway=LEEWAY, options=_OPTIONS)
        except jwt.InvalidSignatureError:
            continue
    return jwt.decode(token, secrets[-1], algorithms=["HS256"], leeway=LEEWAY, options=_OPTIONS)


def _claims(pair: KeyPair, body: Mapping[str, Any]) -> Claims:
    video = body.get("video") or {}
    if not isinstance(video, Mapping):
        raise TokenRefused("invalid token: video")
    can_publish = _flag(video, "canPublish", True)
    return Claims(
        api_key=pair.key,
        tenant=pair.tenant,
        identity=str(body.get("sub") or body.get("identity") or body.get("jti") or ""),
        name=str(body.get("name") or ""),
        kind=_kind(str(body.get("kind") or "standard"), video),
        metadata=str(body.get("metadata") or ""),
        attributes=_attributes(body.get("attributes")),
        video=VideoGrant(
            room=str(video.get("room") or ""),
            room_join=_flag(video, "roomJoin"),
            room_create=_flag(video, "roomCreate"),
            room_list=_flag(video, "roomList"),
            room_admin=_flag(video, "roomAdmin"),
            can_publish=can_publish,
            can_subscribe=_flag(video, "canSubscribe", True),
            can_publish_data=_flag(video, "canPublishData", can_publish),
            can_publish_sources=_sources(video.get("canPublishSources")),
            can_update_own_metadata=_flag(video, "canUpdateOwnMetadata"),
            can_subscribe_metrics=_flag(video, "canSubscribeMetrics"),
            hidden=_flag(video, "hidden"),
            recorder=_flag(video, "recorder"),
            agent=_flag(video, "agent"),
        ),
        room_config=_room_config(body.get("roomConfig")),
        sha256=str(body.get("sha256") or ""),
        expires_at=_expiry(body["exp"]),
        raw=body,
    )


def _expiry(value: Any) -> datetime:
    try:
        return datetime.fromtimestamp(float(value), tz=UTC)
    except (TypeError, ValueError, OverflowError, OSError) as error:
        raise TokenRefused("invalid token: exp") from error


def _sources(value: Any) -> tuple["TrackSource", ...]:
    if value is None:
        return ()
    if not isinstance(value, list):
        raise TokenRefused("invalid token: canPublishSources")
    return tuple(_SOURCES[name] for name in value if isinstance(name, str) and name in _SOURCES)


def _flag(grants: Mapping[str, Any], name: str, default: bool = False) -> bool:
    value = grants.get(name)
    return default if value is None else value is True


def _kind(name: str, video: Mapping[str, Any]) -> "ParticipantInfo.Kind":
    if _flag(video, "agent"):
        return ParticipantInfo.Kind.AGENT
    kind = _KINDS.get(name.lower())
    if kind is None:
        raise TokenRefused("invalid token: kind")
    return kind


def _attributes(value: Any) -> dict[str, str]:
    if value is None:
        return {}
    if not isinstance(value, Mapping) or not all(isinstance(v, str) for v in value.values()):
        raise TokenRefused("invalid token: attributes")
    return dict(value)


def _room_config(value: Any) -> RoomConfiguration | None:
    if value is None:
        return None
    try:
        return ParseDict(value, RoomConfiguration(), ignore_unknown_fields=True)
    except ParseError as error:
        raise TokenRefused("invalid token: roomConfig") from error
