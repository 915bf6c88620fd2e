"""Watches how participants reach us, and moves those to another way whose way fails; the rules are in `fallback`.

A client whose connection failed comes back by itself, or is told to; which ways it is told of then is decided here.
"""

import structlog

from auralink.media import candidates, devices
from auralink.media.fallback import Failure, Preference
from auralink.media.participant import Participant
from auralink.media.room import Room

log = structlog.get_logger(__name__)

_SIGNAL_FRESH_S = 10.0
"""Clients send a ping every five seconds. One of whom nothing was heard for longer had no network at all."""
_UP_WITHIN_S = 10.0
"""For who may take a few ways only. livekit-client gives up after 15."""


def described(room: Room, me: Participant, peer: int, sdp: str) -> str:
    """A description of ours as the participant gets it."""
    if peer == me.primary and me.ways.described_at is None:
        me.ways.described_at = room.fallbacks.now()
    return candidates.tcp_only(sdp) if me.ways.preference is Preference.TCP else sdp


def lost(room: Room, me: Participant, peer: int) -> None:
    """Nothing is heard of one of its connections any more."""
    if not me.ways.moved:
        _failed(room, me, short=me.ways.is_short(peer, room.fallbacks.now()))


def renegotiate(room: Room, me: Participant, *, lost: int | None = None) -> None:
    """Its connections restart ICE. `lost`: the one that its client says has failed."""
    now = room.fallbacks.now()
    if lost is not None and me.ways.is_short(lost, now):
        _failed(room, me, short=True)
    me.ways.negotiated_anew(room.fallbacks.preference(room.who(me)), now)


def is_stuck(room: Room, me: Participant) -> bool:
    """It may take a few ways only, and none of them came up."""
    since = me.ways.described_at
    narrowed = me.ways.preference is not room.fallbacks.widest
    return narrowed and not me.active and since is not None and room.fallbacks.now() - since > _UP_WITHIN_S


def stuck(room: Room, me: Participant) -> None:
    _failed(room, me, short=True)


def _failed(room: Room, me: Participant, *, short: bool) -> None:
    who = room.who(me)
    silent_s = me.connection.silent_s if me.connection else None
    if silent_s is None or silent_s() > _SIGNAL_FRESH_S:
        room.fallbacks.excuse(who)
        return
    failure = Failure(me.ways.neediest, short, devices.takes_ice_tcp(me.client))
    if room.fallbacks.failed(who, failure):
        log.info("media.moved", room=room.name, participant=me.sid, to=room.fallbacks.preference(who).name)
