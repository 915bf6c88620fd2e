"""Who takes which track of a room: wishes, permissions and settings, turned into the engine's subscriptions."""

from collections.abc import Iterable

from livekit.protocol.rtc import (
    ConnectionQualityUpdate,
    SignalResponse,
    SubscriptionPermissionUpdate,
    TrackSubscribed,
)

from auralink.media import backup
from auralink.media.participant import Participant, PublishedTrack, Subscription, TrackSettings
from auralink.media.room import Room


def _permitted(me: Participant, track: PublishedTrack) -> bool:
    """Does its publisher let `me` have a track that it wants? `me` is told when that changes."""
    sid = track.info.sid
    permitted = track.publisher.permits(me, sid)
    if permitted == (sid in me.refused):
        (me.refused.discard if permitted else me.refused.add)(sid)
        update = SubscriptionPermissionUpdate(participant_sid=track.publisher.sid, track_sid=sid, allowed=permitted)
        me.send(SignalResponse(subscription_permission_update=update))
    return permitted


def follow_wishes(room: Room, me: Participant, track: PublishedTrack) -> None:
    """(Un)subscribe so that it matches what `me` wants and may have."""
    sid = track.info.sid
    mine = track.publisher is me
    wished = track.announced and me.grant.can_subscribe and me.wishes.get(sid, me.auto_subscribe) and not mine
    wanted = wished and _permitted(me, track)
    if wanted and sid not in me.subscriptions:
        settings = me.settings.get(sid) or TrackSettings(quality="low" if me.adaptive_stream else "high")
        codec = backup.codec_for(track, needs_backup=False)
        if not me.takes(track.publisher):
            _first_taken(room, me, track.publisher)
        me.subscriptions[sid] = Subscription(settings, codec)
        room.engine.subscribe(
            me.receiver,
            codec.id,
            enabled=settings.enabled,
            quality=settings.quality,
            width=settings.width,
            height=settings.height,
            fps=settings.fps,
            priority=settings.priority,
        )
        backup.follow_audio(room, track)
    elif not wanted and sid in me.subscriptions:
        drop(room, me, track)
        if not me.takes(track.publisher):
            room.speakers.unheard(me, track.publisher)


def _first_taken(room: Room, me: Participant, publisher: Participant) -> None:
    """From now on `me` hears of changes; this is what was there before."""
    room.speakers.heard(me, publisher)
    # Before its own first report it knows of nobody; with that come all it takes.
    if me.quality and publisher.quality and not publisher.grant.hidden:
        me.send(SignalResponse(connection_quality=ConnectionQualityUpdate(updates=[publisher.quality])))


def wish(room: Room, me: Participant, sids: Iterable[str], subscribe: bool) -> None:
    """Explicit (un)subscription; kept for tracks that are not there yet."""
    for sid in sids:
        me.wishes[sid] = subscribe
        if (track := room.find_track(sid)) and track.announced:
            follow_wishes(room, me, track)


def drop(room: Room, me: Participant, track: PublishedTrack) -> None:
    """Ends a subscription."""
    room.engine.unsubscribe(me.receiver, me.subscriptions.pop(track.info.sid).codec.id)
    backup.ask(room, track)
    backup.follow_audio(room, track)


def configure(room: Room, me: Participant, sid: str, settings: TrackSettings) -> None:
    me.settings[sid] = settings
    if subscription := me.subscriptions.get(sid):
        subscription.settings = settings
        room.engine.set_subscription(
            me.receiver,
            subscription.codec.id,
            enabled=settings.enabled,
            quality=settings.quality,
            width=settings.width,
            height=settings.height,
            fps=settings.fps,
            priority=settings.priority,
        )


def reconsider(room: Room, tracks: Iterable[PublishedTrack]) -> None:
    """Permissions changed."""
    for track in list(tracks):
        for other in room.participants.values():
            if other is not track.publisher:
                follow_wishes(room, other, track)


def reconsider_subscriber(room: Room, me: Participant) -> None:
    room.data_tracks.reconsider_subscriber(me)
    for track in room.announced_tracks():
        if track.publisher is not me:
            follow_wishes(room, me, track)


def bound(room: Room, me: Participant, track: PublishedTrack) -> None:
    """It has an m-line towards `me`."""
    subscription = me.subscriptions.get(track.info.sid)
    if subscription is None or subscription.bound:
        return
    first = not any(
        s.bound for p in room.participants.values() if (s := p.subscriptions.get(track.info.sid)) is not None
    )
    subscription.bound = True
    if first:
        track.publisher.send(SignalResponse(track_subscribed=TrackSubscribed(track_sid=track.info.sid)))
