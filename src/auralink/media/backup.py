"""Backup codecs: what those get who cannot have a track in its first codec.

A publisher announces the backup and sends it only when it is asked to, by dynacast. In the engine it is a track of its
own, and a subscription moves between the two in the section it has.
"""

from livekit.protocol.models import BackupCodecPolicy

from auralink.media import dynacast
from auralink.media.participant import Participant, PublishedTrack, Subscription, TrackCodec
from auralink.media.qualities import QUALITIES
from auralink.media.room import Room

_REGRESSES_BELOW = 5
"""Participants in a room, from which on PREFER_REGRESSION sends both codecs: the first one is better for most."""


def codec_for(track: PublishedTrack, *, needs_backup: bool) -> TrackCodec:
    """What a subscriber gets now."""
    backup = track.backup
    return backup if backup and backup.info.mid and (needs_backup or track.regressed) else track.codecs[0]


def unsupported(room: Room, me: Participant, track: PublishedTrack, engine_id: int) -> bool:
    """`me` cannot have the track in that codec. Is there a backup that it may get instead?"""
    subscription = me.subscriptions.get(track.info.sid)
    if subscription is None or track.backup is None or engine_id != track.codecs[0].id:
        return False
    subscription.needs_backup = True
    _place(room, me, track)
    ask(room, track)
    return True


def ask(room: Room, track: PublishedTrack) -> None:
    """Has the publisher send a backup that has no m-line yet while somebody needs it; later the engine says so."""
    backup = track.backup
    if backup is None or backup.info.mid:
        return
    needed = any(subscription.needs_backup for _, subscription in _subscriptions(room, track))
    if needed or backup.wanted is not None:
        dynacast.wanted(track, backup, QUALITIES if needed else ())


def follow_audio(room: Room, track: PublishedTrack) -> None:
    """Tells the publisher which of two audio codecs somebody takes. Of video the engine says it, layer by layer."""
    if track.kind == "audio" and track.backup:
        taken = [subscription.codec for _, subscription in _subscriptions(room, track)]
        for codec in track.bound:
            dynacast.wanted(track, codec, QUALITIES if codec in taken else ())


def published(room: Room, track: PublishedTrack) -> None:
    """The backup has its m-line: who waited for it gets it."""
    for other, _ in _subscriptions(room, track):
        _place(room, other, track)


def started(room: Room, track: PublishedTrack) -> None:
    """Media of the backup are here: maybe it is what everybody gets from now on."""
    policy = track.info.backup_codec_policy
    small = len(room.participants) < _REGRESSES_BELOW
    if policy == BackupCodecPolicy.REGRESSION or (policy == BackupCodecPolicy.PREFER_REGRESSION and small):
        track.regressed = True
        published(room, track)


def withdrawn(room: Room, track: PublishedTrack) -> None:
    """The backup lost its m-line: all that got it wait for the first codec, or for another backup."""
    track.regressed = False
    for other, _ in _subscriptions(room, track):
        _place(room, other, track)


def _place(room: Room, me: Participant, track: PublishedTrack) -> None:
    subscription = me.subscriptions[track.info.sid]
    codec = codec_for(track, needs_backup=subscription.needs_backup)
    if codec is not subscription.codec:
        room.engine.move_subscription(me.receiver, subscription.codec.id, codec.id)
        subscription.codec = codec
        follow_audio(room, track)


def _subscriptions(room: Room, track: PublishedTrack) -> list[tuple[Participant, Subscription]]:
    sid = track.info.sid
    return [(p, p.subscriptions[sid]) for p in room.participants.values() if sid in p.subscriptions]
