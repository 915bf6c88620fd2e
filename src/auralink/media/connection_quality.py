"""How good each participant's connections are, told to itself and to those who take something of it."""

from livekit.protocol.models import ConnectionQuality
from livekit.protocol.rtc import ConnectionQualityInfo, ConnectionQualityUpdate, SignalResponse

from auralink.media.participant import Participant
from auralink.media.room import Room

_GOOD_SCORE, _EXCELLENT_SCORE = 2.5, 4.0


def reported(room: Room, me: Participant, peer: int, score: float) -> None:
    """The score, 1 (bad) to 5, of one of its connections. As in LiveKit, only another quality is told."""
    me.scores[peer] = score
    score = min(me.scores.values())
    # LOST is never said: browsers reconnect on it while the engine decides by itself when a peer is gone.
    quality = ConnectionQuality.POOR
    if score >= _EXCELLENT_SCORE:
        quality = ConnectionQuality.EXCELLENT
    elif score >= _GOOD_SCORE:
        quality = ConnectionQuality.GOOD
    known = me.quality
    if known is not None and known.quality == quality:
        return
    me.quality = ConnectionQualityInfo(participant_sid=me.sid, quality=quality, score=max(score, 1.0))
    others = [other for other in room.participants.values() if other is not me]
    heard = [] if known else [o.quality for o in others if o.quality and not o.grant.hidden and me.takes(o)]
    me.send(_qualities([me.quality, *heard]))
    if not me.grant.hidden:
        message = _qualities([me.quality])
        for other in others:
            if other.takes(me):
                other.send(message)


def _qualities(infos: list[ConnectionQualityInfo]) -> SignalResponse:
    return SignalResponse(connection_quality=ConnectionQualityUpdate(updates=infos))
