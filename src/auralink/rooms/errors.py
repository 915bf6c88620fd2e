"""What can go wrong with rooms.

RoomNotFound, InviteNotFound, ParticipantNotFound   404, also for those of other tenants
NotRoomHost                                         403
MediaUnavailable                                    503
WebhookRefused                                      401
MalformedWebhook                                    400
"""

from auralink.kit.errors import AuraError, Forbidden, NotFound, Unauthenticated, Unavailable


class RoomNotFound(NotFound):
    code = "room_not_found"
    title = "There is no such room"


class InviteNotFound(NotFound):
    """Unknown, expired and revoked invites are answered alike."""

    code = "invite_not_found"
    title = "This invite is not valid (any more)"


class ParticipantNotFound(NotFound):
    code = "participant_not_found"
    title = "This participant is not in the room"


class NotRoomHost(Forbidden):
    code = "not_room_host"
    title = "Only the room's hosts may do that"


class MediaUnavailable(Unavailable):
    code = "media_unavailable"
    title = "The media server does not answer"


class WebhookRefused(Unauthenticated):
    code = "webhook_refused"
    title = "The webhook is not signed by our media server"


class MalformedWebhook(AuraError):
    code = "malformed_webhook"
    status = 400
    title = "The webhook's body is not a LiveKit event"
