"""What rooms do with joins, tracks and the engine's events; the engine is scripted."""

import time
from typing import Any

import pytest
from livekit.protocol.models import (
    ClientInfo,
    DisconnectReason,
    Encryption,
    ParticipantInfo,
    TrackSource,
    TrackType,
)
from livekit.protocol.room import RoomConfiguration
from livekit.protocol.rtc import AddTrackRequest, JoinRequest, RequestResponse, SignalRequest
from tests.media.scripted import Client, Server

from auralink.kit.errors import InvalidInput
from auralink.media import membership, publishing
from auralink.media.joining import RoomFull, RoomMissing
from auralink.media.keys import PLATFORM
from auralink.media.session import Session
from auralink.media.token_refresh import refresh_token


def publish(server: Server, session: Session, cid: str = "camera", **options: Any) -> str:
    """Announce a camera and offer it; returns its sid."""
    request = AddTrackRequest(cid=cid, type=TrackType.VIDEO, source=TrackSource.CAMERA, **options)
    session.handle(SignalRequest(add_track=request))
    mid = str(len(session.me.tracks))
    section = {"mid": mid, "kind": "video", "cid": cid, "codecs": ["video/VP8"], "rids": []}
    server.reports.handle(("answer", session.me.peer, 1, "v=0", {}, [*session.me.sections, section]))
    return next(sid for sid, track in session.me.tracks.items() if track.cid == cid)


def test_a_join_is_answered_first_and_others_are_told() -> None:
    server = Server()
    _, ann = server.join("ann")
    _, bob = server.join("bob")
    assert ann.received[0].HasField("join")
    assert [p.identity for p in bob.of("join")[0].other_participants] == ["ann"]
    assert ann.of("update")[-1].participants[0].identity == "bob"
    assert server.events.names == ["room_started", "participant_joined", "participant_joined"]


def test_only_encrypted_tracks_have_a_mark_for_what_the_server_puts_in() -> None:
    server = Server()
    session, client = server.join("ann")
    publish(server, session, "plain")
    publish(server, session, "secret", encryption=Encryption.GCM)
    marks = [options["sif_trailer"] for _, options in server.engine.named("publish")]
    assert marks == [b"", client.of("join")[0].sif_trailer]


def test_clients_that_show_tracks_by_their_first_packet_are_known() -> None:
    server = Server()
    for sdk in (ClientInfo.GO, ClientInfo.JS):
        server.join(str(sdk), about=ClientInfo(sdk=sdk))
    assert [options["shows_tracks_by_packet"] for _, options in server.engine.named("create_peer")] == [True, False]


def test_a_track_is_matched_whichever_comes_first() -> None:
    server = Server()
    session, _ = server.join("ann")
    section = {"mid": "5", "kind": "video", "cid": "late", "codecs": ["video/VP8"], "rids": []}
    server.reports.handle(("answer", session.me.peer, 1, "v=0", {}, [section]))
    assert not server.engine.named("publish")
    session.handle(SignalRequest(add_track=AddTrackRequest(cid="late", type=TrackType.VIDEO)))
    (_, options), *_ = server.engine.named("publish")
    assert options["mid"] == "5"


def test_who_is_there_gets_a_new_track_and_who_comes_gets_the_old_ones() -> None:
    server = Server()
    session, _ = server.join("ann")
    bob, _ = server.join("bob")
    publish(server, session)
    cyd, _ = server.join("cyd")
    assert [arguments[0] for arguments, _ in server.engine.named("subscribe")] == [bob.me.peer, cyd.me.peer]


def test_publishing_needs_the_permission_for_the_source() -> None:
    server = Server()
    session, client = server.join("ann", video={"canPublishSources": ["microphone"]})
    session.handle(SignalRequest(add_track=AddTrackRequest(cid="c", type=TrackType.VIDEO, source=TrackSource.CAMERA)))
    assert client.of("request_response")[0].reason == RequestResponse.NOT_ALLOWED
    assert not session.me.tracks


def test_a_publisher_decides_who_takes_its_tracks() -> None:
    server = Server()
    session, _ = server.join("ann")
    server.join("bob")
    publish(server, session)
    request = SignalRequest()
    request.subscription_permission.all_participants = False
    session.handle(request)
    assert len(server.engine.named("unsubscribe")) == 1


def test_who_loses_or_gains_a_track_is_told() -> None:
    server = Server()
    session, _ = server.join("ann")
    _, bob = server.join("bob")
    _, deaf = server.join("deaf", video={"canSubscribe": False})
    sid = publish(server, session)
    for everybody in (False, False, True, True):
        session.handle(SignalRequest(subscription_permission={"all_participants": everybody}))
    told = bob.of("subscription_permission_update")
    assert [(t.participant_sid, t.track_sid, t.allowed) for t in told] == [
        (session.me.sid, sid, False),
        (session.me.sid, sid, True),
    ]
    assert not deaf.of("subscription_permission_update")


@pytest.mark.parametrize(("protocol", "answers"), [(13, 0), (14, 0), (15, 1), (17, 1)])
def test_old_clients_hear_of_a_metadata_change_by_the_update_alone(protocol: int, answers: int) -> None:
    server = Server()
    session, client = server.join("ann", protocol=protocol, video={"canUpdateOwnMetadata": True})
    session.handle(SignalRequest(update_metadata={"metadata": "m", "request_id": 1}))
    assert len(client.of("request_response")) == answers
    assert client.of("update")[-1].participants[0].metadata == "m"


def test_the_same_identity_replaces_the_first() -> None:
    server = Server()
    _, first = server.join("ann")
    _, second = server.join("ann")
    assert first.of("leave")[0].reason == DisconnectReason.DUPLICATE_IDENTITY
    assert first.closed
    assert not second.of("leave")


def test_a_second_join_that_is_refused_leaves_the_first_alone() -> None:
    server = Server()
    _, first = server.join("ann")
    with pytest.raises(InvalidInput):
        server.join("ann", name="n" * 300)
    assert not first.closed
    assert not first.of("leave")


def test_who_comes_and_goes_leaves_nothing_behind() -> None:
    server = Server()
    server.join("host")
    for number in range(50):
        session, _ = server.join(f"guest {number}")
        session.handle(SignalRequest(leave={}))
    assert len(server.rooms.by_peer) == 1


def test_who_resumes_hears_of_those_who_left_meanwhile() -> None:
    server = Server()
    ann, client = server.join("ann")
    bob, _ = server.join("bob")
    server.joining.signal_lost(ann, client.connection)
    bob.handle(SignalRequest(leave={}))
    back = Client()
    claims = server.keys.verify(server.token("ann"))
    assert server.joining.resume(claims, JoinRequest(participant_sid=ann.me.sid), back.connection)
    assert back.received[0].HasField("reconnect")
    told = {p.identity: p.state for p in back.of("update")[0].participants}
    assert told == {"bob": ParticipantInfo.State.DISCONNECTED, "ann": ParticipantInfo.State.ACTIVE}


def test_media_goes_on_without_signalling_and_half_a_minute_later_all_is_resumed() -> None:
    server = Server()
    ann, client = server.join("ann")
    bob, _ = server.join("bob")
    sid = publish(server, ann)
    server.joining.signal_lost(ann, client.connection)
    told = len(server.engine.commands)
    server.clock.advance(30)
    assert len(server.engine.commands) == told, "the engine forwards as before"
    assert (ann.me.active, list(ann.me.tracks), list(bob.me.subscriptions)) == (True, [sid], [sid])
    back = Client()
    claims = server.keys.verify(server.token("ann"))
    request = JoinRequest(participant_sid=ann.me.sid)
    request.sync_state.publish_tracks.add().track.sid = sid
    resumed = server.joining.resume(claims, request, back.connection)
    assert resumed is not None
    assert resumed.me is ann.me
    assert back.received[0].HasField("reconnect")
    assert not back.of("leave"), "no full reconnect"
    assert "participant_left" not in server.events.names


def test_what_was_to_be_told_meanwhile_is_told_after_the_resume() -> None:
    server = Server()
    ann, client = server.join("ann")
    bob, _ = server.join("bob")
    taken = publish(server, bob)
    mine = publish(server, ann, cid="mine")
    server.joining.signal_lost(ann, client.connection)
    bob.handle(SignalRequest(subscription_permission={"all_participants": False}))
    server.reports.handle(("track_ended", ann.me.tracks[mine].id))
    back = Client()
    claims = server.keys.verify(server.token("ann"))
    server.joining.resume(claims, JoinRequest(participant_sid=ann.me.sid), back.connection)
    assert back.received[0].HasField("reconnect")
    assert [(u.track_sid, u.allowed) for u in back.of("subscription_permission_update")] == [(taken, False)]
    assert [u.track_sid for u in back.of("track_unpublished")] == [mine]
    again = Client()
    server.joining.resume(claims, JoinRequest(participant_sid=ann.me.sid), again.connection)
    assert not again.of("track_unpublished"), "once is enough"


def test_what_is_kept_for_who_is_away_is_bounded() -> None:
    server = Server()
    ann, client = server.join("ann")
    server.joining.signal_lost(ann, client.connection)
    for number in range(2_000):
        ann.handle(SignalRequest(mute={"sid": f"TR_{number}"}))
    back = Client()
    claims = server.keys.verify(server.token("ann"))
    server.joining.resume(claims, JoinRequest(participant_sid=ann.me.sid), back.connection)
    told = back.of("request_response")
    assert len(told) == 500
    assert told[-1].mute.sid == "TR_1999"


def test_a_name_without_end_is_refused() -> None:
    server = Server()
    session, client = server.join("ann")
    session.handle(SignalRequest(add_track=AddTrackRequest(cid="c", name="n" * 10_000, type=TrackType.VIDEO)))
    assert client.of("request_response")[0].reason == RequestResponse.LIMIT_EXCEEDED
    assert not session.me.tracks


def test_nothing_tells_of_a_hidden_participant() -> None:
    server = Server()
    ghost, ghost_client = server.join("ghost", video={"hidden": True})
    _, ann = server.join("ann")
    server.reports.handle(("speakers", ghost.room.id, [(ghost.me.peer, 0.9, True)]))
    server.reports.handle(("quality", ghost.me.peer, 4.9))
    assert not ann.of("speakers_changed")
    assert not ann.of("connection_quality")
    assert len(ghost_client.of("connection_quality")) == 1


def test_a_change_of_quality_is_told_to_those_who_take_something_of_the_participant() -> None:
    server = Server()
    ann, ann_client = server.join("ann")
    publish(server, ann)
    bob, bob_client = server.join("bob")
    _, cyd_client = server.join("cyd")
    server.reports.handle(("quality", bob.me.peer, 4.9))
    assert len(bob_client.of("connection_quality")) == 1
    assert not ann_client.of("connection_quality"), "she takes nothing of his"
    for score in (4.8, 4.9, 2.0):
        server.reports.handle(("quality", ann.me.peer, score))
    for client in (ann_client, cyd_client):
        told = [update.updates[0].score for update in client.of("connection_quality")]
        assert told == pytest.approx([4.8, 2.0]), "only when it becomes another quality"
    _, dan_client = server.join("dan")
    dan = next(p for p in ann.room.participants.values() if p.identity == "dan")
    server.reports.handle(("quality", dan.peer, 4.9))
    first = dan_client.of("connection_quality")[0]
    assert {info.participant_sid for info in first.updates} == {dan.sid, ann.me.sid}, "with those known already"


def test_a_full_room_refuses_and_agents_do_not_count() -> None:
    server = Server()
    config = {"roomConfig": {"maxParticipants": 1}}
    server.join("robot", kind="agent", **config)
    server.join("ann", **config)
    with pytest.raises(RoomFull):
        server.join("bob", **config)


def test_without_auto_create_a_missing_room_is_not_made() -> None:
    server = Server(auto_create=False)
    with pytest.raises(RoomMissing, match="requested room does not exist"):
        server.join("ann")


def test_a_lost_signal_ends_a_call_that_was_never_up_and_keeps_one_that_was() -> None:
    server = Server()
    up, up_client = server.join("ann")
    waiting, waiting_client = server.join("bob", connect=False)
    server.joining.signal_lost(up, up_client.connection)
    server.joining.signal_lost(waiting, waiting_client.connection)
    assert list(up.room.participants) == ["ann"]
    assert "participant_connection_aborted" in server.events.names


def test_whose_media_never_comes_up_is_given_up_on() -> None:
    server = Server()
    _, client = server.join("ann", connect=False)
    server.rooms.give_up_on(time.time() * 1000 + 1)
    assert client.of("leave")[0].reason == DisconnectReason.JOIN_FAILURE


def test_an_idle_room_ends_after_its_time() -> None:
    server = Server()
    session, _ = server.join("ann")
    session.handle(SignalRequest(leave={}))
    server.rooms.close_idle(time.monotonic() + 19)
    assert server.rooms.find("lobby", tenant=PLATFORM)
    server.rooms.close_idle(time.monotonic() + 21)
    assert server.rooms.find("lobby", tenant=PLATFORM) is None
    assert server.events.names[-1] == "room_finished"


def test_a_failed_shard_sends_everybody_to_a_new_connection() -> None:
    server = Server()
    session, client = server.join("ann")
    server.reports.handle(("shard_failed", 0, [session.room.id]))
    (said,) = client.of("leave")  # a second one would be believed instead
    assert said.can_reconnect
    assert server.rooms.find("lobby", tenant=PLATFORM) is None


def test_a_refreshed_token_carries_what_may_be_done_now() -> None:
    server = Server()
    session, client = server.join("ann", video={"canPublishSources": ["camera"]})
    refresh_token(server.keys, session.me)
    claims = server.keys.verify(client.of("refresh_token")[-1])
    assert claims.video.can_publish_sources == (TrackSource.CAMERA,)
    assert claims.kind == ParticipantInfo.Kind.STANDARD


def test_who_is_told_to_leave_keeps_its_media_connection_until_it_could_read_why() -> None:
    server = Server()
    ann, _ = server.join("ann")
    bob, client = server.join("bob")
    publish(server, ann)
    membership.close(bob.room, DisconnectReason.ROOM_CLOSED)
    assert client.of("leave")
    assert len(server.engine.named("unsubscribe")) == 0, "its track is gone"
    assert not server.engine.named("close_peer")
    assert not server.engine.named("close_room")
    server.clock.advance(2)
    assert {arguments[0] for arguments, _ in server.engine.named("close_peer")} == {ann.me.peer, bob.me.peer}
    assert server.engine.commands[-1][:2] == ("close_room", (bob.room.id,))
    assert len(server.rooms._lingering) == 0


def test_who_is_removed_gets_nothing_more() -> None:
    server = Server()
    ann, _ = server.join("ann")
    bob, _ = server.join("bob")
    publish(server, ann)
    membership.remove(bob.room, bob.me, DisconnectReason.PARTICIPANT_REMOVED)
    assert [arguments[0] for arguments, _ in server.engine.named("unsubscribe")] == [bob.me.peer]


def test_a_new_track_does_not_take_the_section_of_one_that_ended() -> None:
    server = Server()
    session, _ = server.join("ann")
    old = publish(server, session, cid="old")
    publishing.end(session.room, session.me.tracks[old])
    session.handle(SignalRequest(add_track=AddTrackRequest(cid="new", type=TrackType.VIDEO)))
    assert len(server.engine.named("publish")) == 1, "its own section is still to come"
    stale = session.me.sections
    # The client sends on the old section still, and names the new track otherwise than announced.
    fresh = {"mid": "9", "kind": "video", "cid": "other", "codecs": ["video/VP8"], "rids": []}
    server.reports.handle(("answer", session.me.peer, 2, "v=0", {}, [*stale, fresh]))
    assert [options["mid"] for _, options in server.engine.named("publish")] == ["1", "9"]


def test_a_section_that_rested_carries_the_next_track() -> None:
    server = Server()
    session, _ = server.join("ann")
    old = publish(server, session, cid="old")
    used = session.me.sections
    server.reports.handle(("answer", session.me.peer, 2, "v=0", {}, []))
    server.reports.handle(("track_ended", session.me.tracks[old].id))
    session.handle(SignalRequest(add_track=AddTrackRequest(cid="new", type=TrackType.VIDEO)))
    server.reports.handle(("answer", session.me.peer, 3, "v=0", {}, used))
    assert [options["mid"] for _, options in server.engine.named("publish")] == ["1", "1"]


@pytest.mark.parametrize(
    ("browser", "protocol", "synced"), [("Chrome", 10, True), ("Chrome", 9, False), ("Firefox Mobile", 17, False)]
)
def test_streams_are_synced_for_clients_that_know_tracks_by_their_ids(
    browser: str, protocol: int, synced: bool
) -> None:
    server = Server()
    server.rooms.open("lobby", RoomConfiguration(sync_streams=True), tenant=PLATFORM)
    request = JoinRequest(client_info=ClientInfo(browser=browser, protocol=protocol))
    server.joining.join(server.keys.verify(server.token("ann")), request, Client().connection)
    assert server.engine.named("create_peer")[-1][1]["sync_streams"] is synced


def test_streams_are_synced_only_where_the_room_or_the_server_says_so() -> None:
    for server, synced in [(Server(), False), (Server(sync_streams=True), True)]:
        server.join("ann")
        assert server.engine.named("create_peer")[-1][1]["sync_streams"] is synced
