"""Reads LiveKit webhooks: who sent it, whether the body is the one that was signed, and what it says.

https://docs.livekit.io/home/server/webhooks/ - the Authorization header is a bare HS256 token of our key pair whose
claim `sha256` is the base64 SHA-256 of the body; the body is protobuf JSON.
"""

import base64
import binascii
import hashlib
import hmac
import json
from datetime import UTC, datetime

import jwt
from google.protobuf.json_format import Parse, ParseError
from livekit.api import TokenVerifier
from livekit.protocol.models import (
    DisconnectReason,
    ParticipantInfo,
    RoomEndReason,
    TrackInfo,
    TrackSource,
    TrackType,
)
from livekit.protocol.webhook import WebhookEvent

from auralink.kit.ids import InvalidId, OrgId, RoomId
from auralink.rooms.errors import MalformedWebhook, WebhookRefused
from auralink.rooms.reports import MediaReport, ReportedParticipant, ReportedTrack, ReportKind, TenantReport

_LONGEST_TEXT = 256
_LONGEST_ID = 128
_LATEST = 253_402_300_799  # the last second of the year 9999, which is what PostgreSQL and Python share
_KINDS = {kind.value: kind for kind in ReportKind}


class WebhookReader:
    def __init__(self, api_key: str, api_secret: str) -> None:
        self._verifier = TokenVerifier(api_key, api_secret)

    def read(self, authorization: str | None, body: bytes) -> MediaReport | TenantReport | None:
        """The report, or None for one that is not about a room of ours. Raises WebhookRefused, MalformedWebhook."""
        self._check_signature(authorization, body)
        try:
            event = Parse(body.decode(), WebhookEvent(), ignore_unknown_fields=True)
            tenant = _tenant(body)
            return _tenant_report(tenant, event) if tenant else _report(event)
        except (ParseError, UnicodeDecodeError, OverflowError, ValueError) as error:
            raise MalformedWebhook from error

    def _check_signature(self, authorization: str | None, body: bytes) -> None:
        if not authorization:
            raise WebhookRefused("The Authorization header is missing.")
        try:
            claims = self._verifier.verify(authorization.removeprefix("Bearer ").strip())
            signed = base64.b64decode(claims.sha256 or "", validate=True)
        except (jwt.InvalidTokenError, binascii.Error, ValueError, TypeError) as error:
            raise WebhookRefused("The token is not valid, or has expired.") from error
        if not hmac.compare_digest(signed, hashlib.sha256(body).digest()):
            raise WebhookRefused("The body is not the one that was signed.")


def _tenant(body: bytes) -> str:
    """Whose key opened the room, as our media role says it; empty for the rooms of the platform. A tenant chooses its
    room names freely, so such an event must never be taken for one of the rooms made over the API."""
    content = json.loads(body)
    return str(content.get("tenant") or "") if isinstance(content, dict) else ""


def _tenant_report(tenant: str, event: WebhookEvent) -> TenantReport | None:
    """Of a room that was opened with an organisation's own key pair; None for a tenant we do not know."""
    try:
        org_id = OrgId.parse(tenant)
    except InvalidId:
        return None
    if not event.event or not 1 <= len(event.id) <= _LONGEST_ID:
        raise MalformedWebhook("The event has no name or no id.")
    return TenantReport(
        id=_clean(event.id),
        org_id=org_id,
        event=_clean(event.event),
        at=_time(event.created_at) or datetime.now(UTC),
        room=_clean(event.room.name),
        session=_clean(event.room.sid),
        participant=_participant(event.participant) if event.participant.sid else None,
        track=_track(event.track) if event.track.sid else None,
        end_reason=_name(RoomEndReason, event.room_end_reason).removeprefix("room_end_"),
    )


def _report(event: WebhookEvent) -> MediaReport | None:
    if not event.event:
        raise MalformedWebhook("The event has no name.")
    kind = _KINDS.get(event.event)
    if kind is None:
        return None
    try:
        room_id = RoomId.parse(event.room.name)
    except InvalidId:
        return None
    if not 1 <= len(event.id) <= _LONGEST_ID:
        raise MalformedWebhook("The event has no id.")
    participant = _participant(event.participant) if event.participant.sid and event.participant.identity else None
    track = _track(event.track) if event.track.sid else None
    needs_participant = kind not in (ReportKind.ROOM_STARTED, ReportKind.ROOM_FINISHED)
    needs_track = kind in (ReportKind.TRACK_PUBLISHED, ReportKind.TRACK_UNPUBLISHED)
    if (needs_participant and not participant) or (needs_track and not track):
        raise MalformedWebhook("The event lacks its participant or track.")
    return MediaReport(
        id=_clean(event.id),
        kind=kind,
        room_id=room_id,
        session=_clean(event.room.sid),
        at=_time(event.created_at) or datetime.now(UTC),
        participant=participant,
        track=track,
        end_reason=_name(RoomEndReason, event.room_end_reason).removeprefix("room_end_"),
    )


def _participant(info: ParticipantInfo) -> ReportedParticipant:
    joined_ms = info.joined_at_ms or info.joined_at * 1000
    return ReportedParticipant(
        sid=_clean(info.sid),
        identity=_clean(info.identity),
        name=_clean(info.name),
        kind=_name(ParticipantInfo.Kind, info.kind),
        joined_at=_time(joined_ms / 1000),
        leave_reason=_name(DisconnectReason, info.disconnect_reason),
    )


def _track(info: TrackInfo) -> ReportedTrack:
    return ReportedTrack(
        sid=_clean(info.sid),
        kind=_name(TrackType, info.type),
        source=_name(TrackSource, info.source),
        name=_clean(info.name),
        mime_type=_clean(info.mime_type),
    )


def _name(enum: object, value: int) -> str:
    """The lower-case name of a protobuf enum's value; a server newer than we are may know more of them."""
    try:
        return str(enum.Name(value)).lower()  # type: ignore[attr-defined]
    except ValueError:
        return f"unknown_{value}"


def _time(seconds: float) -> datetime | None:
    if seconds > _LATEST:
        raise MalformedWebhook("A time lies too far in the future.")
    return datetime.fromtimestamp(seconds, UTC) if seconds > 0 else None


def _clean(text: str) -> str:
    """What clients chose, such as names, cut to a length we keep; PostgreSQL takes no NUL."""
    return text.replace("\0", "")[:_LONGEST_TEXT]
