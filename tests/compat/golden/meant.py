"""Where this server answers otherwise than LiveKit on purpose, and why: by step, our status and our code."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Meant:
    status: int
    code: str
    why: str


_TOKEN = "Twirp's clients read JSON with a code; LiveKit's middleware answers plain text, with the token in it."
_SOON = "Said at once and in LiveKit's words for it; LiveKit waits for an answer from nobody and says 'unavailable'."
_ABSENT = "There is no such service here: `unimplemented` tells it from a slip and is not retried."
_NOWHERE = "LiveKit says 'not implemented' as an unknown error of status 500, which clients retry elsewhere."

MEANT: dict[str, Meant] = {
    "no name": Meant(400, "invalid_argument", "A room without a name is a mistake of the caller."),
    "with egress": Meant(501, "unimplemented", "A room that is not recorded must not be believed to be."),
    "a token that is none": Meant(401, "unauthenticated", _TOKEN),
    "a token without Bearer": Meant(401, "unauthenticated", _TOKEN),
    "an expired token": Meant(401, "unauthenticated", _TOKEN),
    "a token of another secret": Meant(401, "unauthenticated", _TOKEN),
    "a token of an unknown key": Meant(401, "unauthenticated", _TOKEN),
    "a token of an unsigned kind": Meant(401, "unauthenticated", _TOKEN),
    "no such service": Meant(404, "bad_route", "As Twirp's specification has it; LiveKit answers plain text."),
    "an egress": Meant(501, "unimplemented", _ABSENT),
    "an egress without the grant": Meant(501, "unimplemented", _ABSENT),
    "an ingress": Meant(501, "unimplemented", _ABSENT),
    "a participant is forwarded": Meant(501, "unimplemented", _NOWHERE),
    "a participant is moved": Meant(501, "unimplemented", _NOWHERE),
    "a track of nobody": Meant(404, "not_found", _SOON),
    "subscriptions of nobody": Meant(404, "not_found", _SOON),
    "dispatches of a missing room": Meant(404, "not_found", _SOON),
    "MutePublishedTrack in a missing room": Meant(404, "not_found", _SOON),
    "UpdateSubscriptions in a missing room": Meant(404, "not_found", _SOON),
    "SendData in a missing room": Meant(404, "not_found", _SOON),
    "ForwardParticipant in a missing room": Meant(501, "unimplemented", _NOWHERE),
    "MoveParticipant in a missing room": Meant(501, "unimplemented", _NOWHERE),
    "DeleteDispatch in a missing room": Meant(404, "not_found", _SOON),
}
