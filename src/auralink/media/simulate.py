"""Failures that a client asks for to try itself out (SimulateScenario); what LiveKit's server does on each."""

import structlog
from livekit.protocol.models import DisconnectReason, SpeakerInfo
from livekit.protocol.rtc import CandidateProtocol, LeaveRequest, SignalResponse, SimulateScenario, SpeakersChanged

from auralink.media import membership, moving
from auralink.media.fallback import Preference
from auralink.media.participant import Participant
from auralink.media.room import Room, leave
from auralink.media.timers import Later

log = structlog.get_logger(__name__)

_LONGEST_SPEECH_S = 60
_PREFERENCES: dict[int, Preference] = {CandidateProtocol.TCP: Preference.TCP, CandidateProtocol.TLS: Preference.TLS}
"""UDP means all, as with LiveKit."""


def simulate(room: Room, me: Participant, scenario: SimulateScenario, later: Later) -> None:
    match scenario.WhichOneof("scenario"):
        case "speaker_update":
            _speak(room, me, active=True)
            later(min(scenario.speaker_update, _LONGEST_SPEECH_S), lambda: _speak(room, me, active=False))
        case "node_failure":
            _vanish(room, me, DisconnectReason.SERVER_SHUTDOWN)
        case "migration":
            _vanish(room, me, DisconnectReason.MIGRATION)
        case "server_leave":
            me.send(leave(DisconnectReason.SERVER_SHUTDOWN))
            _vanish(room, me, DisconnectReason.SERVER_SHUTDOWN)
        case "leave_request_full_reconnect":
            me.send(leave(DisconnectReason.UNKNOWN_REASON, LeaveRequest.Action.RECONNECT))
            _vanish(room, me, DisconnectReason.UNKNOWN_REASON)
        case "switch_candidate_protocol":
            room.fallbacks.prefer(room.who(me), _PREFERENCES.get(scenario.switch_candidate_protocol, Preference.ALL))
            moving.renegotiate(room, me)
            if me.offers:
                me.offers.restart()
        case "subscriber_bandwidth":
            room.engine.limit_bandwidth(me.receiver, max(scenario.subscriber_bandwidth, 0))
        case "disconnect_signal_on_resume":
            me.resume_cuts.cut_once_told()
        case "disconnect_signal_on_resume_no_messages":
            me.resume_cuts.cut_silently()
        case other:
            log.debug("media.simulation_ignored", scenario=other)


def _speak(room: Room, me: Participant, *, active: bool) -> None:
    if room.participants.get(me.identity) is me:
        info = SpeakerInfo(sid=me.sid, level=0.9 if active else 0.0, active=active)
        room.broadcast(SignalResponse(speakers_changed=SpeakersChanged(speakers=[info])))


def _vanish(room: Room, me: Participant, reason: "DisconnectReason") -> None:
    """The client finds its signal connection closed, and that nobody knows it when it wants to resume."""
    membership.remove(room, me, reason)
    me.disconnect_signal()
