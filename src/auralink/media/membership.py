"""Who is in a room: coming, being connected, going, and the end of the room for all."""

from livekit.protocol.models import DisconnectReason, ParticipantInfo, ParticipantPermission, RoomEndReason
from livekit.protocol.rtc import LeaveRequest

from auralink.media import publishing, subscribing
from auralink.media.participant import Participant
from auralink.media.room import Room, leave


def add(room: Room, me: Participant) -> None:
    room.participants[me.identity] = me
    room.by_peer.update(dict.fromkeys(me.peers, me))
    room.ever_joined = True
    me.state = ParticipantInfo.State.JOINED
    me.touch()
    room.broadcast_participant(me, to_self=False)
    for track in room.announced_tracks():
        subscribing.follow_wishes(room, me, track)
    room.on_change(room)


def activate(room: Room, me: Participant) -> None:
    """The peer connection is up."""
    if me.active:
        return
    me.state = ParticipantInfo.State.ACTIVE
    me.touch()
    room.broadcast_participant(me)
    room.events.record("participant_joined", room.info(), me.info())
    for track in list(me.tracks.values()):
        if track.mid:
            publishing.announce(room, track)
    room.data_tracks.reconsider_subscriber(me)
    room.tell_changed()


def remove(room: Room, me: Participant, reason: "DisconnectReason", *, tell_others: bool = True) -> None:
    """Idempotent. The caller has told the participant itself."""
    if room.participants.get(me.identity) is not me:
        return
    was_active = me.active
    for track in list(me.tracks.values()):
        publishing.end(room, track, leaving=True)
    del room.participants[me.identity]
    room.speakers.left(me)
    for renegotiation in (me.offers, me.section_requests):
        if renegotiation:
            renegotiation.close()
    for sid in list(me.subscriptions):
        if taken := room.find_track(sid):
            subscribing.drop(room, me, taken)
    for peer in me.peers:
        room.by_peer.pop(peer, None)
        room.gone_peers.append(peer)
    room.lingering.keep(room.id, me.peers)
    room.data_tracks.left(me)
    me.calls.abandon()
    me.state = ParticipantInfo.State.DISCONNECTED
    me.disconnect_reason = reason
    me.touch()
    if not me.grant.hidden:
        room.departed.append(me.info())
    if tell_others:
        room.broadcast_participant(me, to_self=False)
    name = "participant_left" if was_active else "participant_connection_aborted"
    room.events.record(name, room.info(), me.info())
    if not room.closed:
        room.tell_changed()
    room.on_change(room)


def dismiss(
    room: Room,
    me: Participant,
    reason: "DisconnectReason",
    action: "LeaveRequest.Action" = LeaveRequest.Action.DISCONNECT,
    *,
    tell_others: bool = True,
) -> None:
    """Tell it to go, or with RECONNECT to come again as another participant of its identity."""
    me.send(leave(reason, action))
    remove(room, me, reason, tell_others=tell_others)
    me.disconnect_signal()


def change_permission(room: Room, me: Participant, permission: ParticipantPermission) -> None:
    me.grant = me.grant.with_permission(permission)
    for track in list(me.tracks.values()):
        if not me.grant.may_publish(track.info.source):
            publishing.end(room, track)
    subscribing.reconsider_subscriber(room, me)
    room.data_tracks.reconsider_publisher(me)
    me.touch()
    room.broadcast_participant(me)


def close(
    room: Room,
    reason: "DisconnectReason",
    end: "RoomEndReason" = RoomEndReason.ROOM_END_API_DELETE,
    action: "LeaveRequest.Action" = LeaveRequest.Action.DISCONNECT,
) -> None:
    if room.closed:
        return
    room.closed = True
    for participant in list(room.participants.values()):
        dismiss(room, participant, reason, action, tell_others=False)
    room.lingering.end_room(room.id)
    room.data_out.close()
    room.history.clear()
    room.events.record("room_finished", room.info(), end=end)
    room.on_change(room)
