"""Data tracks and data blobs as participants ask for them; the engine is scripted."""

from typing import Any

import pytest
from livekit.protocol.models import (
    DataBlob,
    DataBlobKey,
    DataTrackFrameEncoding,
    DataTrackInfo,
    ParticipantPermission,
)
from livekit.protocol.rtc import (
    GetDataBlobRequest,
    JoinRequest,
    LeaveRequest,
    PublishDataTrackRequest,
    PublishDataTrackResponse,
    RequestResponse,
    SignalRequest,
    StoreDataBlobRequest,
    SyncState,
    UnpublishDataTrackRequest,
    UpdateDataSubscription,
)
from tests.media.scripted import Client, Server

from auralink.media import membership
from auralink.media.limits import Limits
from auralink.media.session import Session


def publish(session: Session, handle: int = 7, name: str = "position", **options: Any) -> None:
    request = PublishDataTrackRequest(pub_handle=handle, name=name, **options)
    session.handle(SignalRequest(publish_data_track_request=request))


def subscribe(session: Session, sid: str, *, on: bool = True) -> None:
    update = UpdateDataSubscription(updates=[UpdateDataSubscription.Update(track_sid=sid, subscribe=on)])
    session.handle(SignalRequest(update_data_subscription=update))


def sid_of(client: Client) -> str:
    return str(client.of("publish_data_track_response")[-1].info.sid)


def handles(client: Client) -> dict[int, str]:
    told = client.of("data_track_subscriber_handles")
    return {handle: track.track_sid for handle, track in told[-1].sub_handles.items()} if told else {}


def test_a_data_track_is_announced_and_its_packets_get_the_subscribers_handle() -> None:
    server = Server()
    ann, ann_client = server.join("ann")
    bob, bob_client = server.join("bob")
    publish(ann, 7)
    info = ann_client.of("publish_data_track_response")[0].info
    seen = bob_client.of("update")[-1].participants[0]
    assert info.sid.startswith("DTR_")
    assert [t.sid for t in seen.data_tracks] == [info.sid]
    assert seen.is_publisher
    (track, _), *_ = server.engine.named("publish_data")
    assert track == (ann.me.peer, track[1], 7)
    assert not server.engine.named("subscribe_data"), "nobody asked"
    subscribe(bob, info.sid)
    ((peer, id_, handle), _), *_ = server.engine.named("subscribe_data")
    assert (peer, id_) == (bob.me.peer, track[1])
    assert handles(bob_client) == {handle: info.sid}
    told = bob_client.of("data_track_subscriber_handles")[-1].sub_handles[handle]
    assert (told.publisher_identity, told.publisher_sid) == ("ann", ann.me.sid)


def test_who_takes_all_gets_tracks_before_and_after_it_came() -> None:
    server = Server()
    ann, ann_client = server.join("ann")
    publish(ann, 1, "first")
    bob, bob_client = server.join("bob", all_data=True)
    publish(ann, 2, "second")
    assert len(set(handles(bob_client))) == 2
    bob_wants_less = sid_of(ann_client)
    subscribe(bob, bob_wants_less, on=False)
    assert bob_wants_less not in handles(bob_client).values()
    assert len(server.engine.named("unsubscribe_data")) == 1


def test_a_wish_for_a_track_to_come_is_kept() -> None:
    server = Server()
    ann, _ = server.join("ann")
    bob, bob_client = server.join("bob", connect=False)
    publish(ann)
    subscribe(bob, next(iter(ann.me.data_tracks)))
    assert not handles(bob_client)
    server.reports.handle(("connected", bob.me.peer))
    assert list(handles(bob_client).values()) == list(ann.me.data_tracks)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({"pub_handle": 0, "name": "a"}, RequestResponse.INVALID_HANDLE),
        ({"pub_handle": 65_536, "name": "a"}, RequestResponse.INVALID_HANDLE),
        ({"pub_handle": 8, "name": ""}, RequestResponse.INVALID_NAME),
        ({"pub_handle": 8, "name": "n" * 257}, RequestResponse.INVALID_NAME),
        ({"pub_handle": 7, "name": "a"}, RequestResponse.DUPLICATE_HANDLE),
        ({"pub_handle": 8, "name": "position"}, RequestResponse.DUPLICATE_NAME),
        (
            {"pub_handle": 8, "name": "a", "frame_encoding": DataTrackFrameEncoding(custom="c" * 33)},
            RequestResponse.INVALID_REQUEST,
        ),
    ],
)
def test_a_data_track_that_cannot_be_is_refused_with_the_reason(request_: dict[str, Any], reason: int) -> None:
    server = Server()
    ann, client = server.join("ann")
    publish(ann)
    ann.handle(SignalRequest(publish_data_track_request=PublishDataTrackRequest(**request_)))
    (refused,) = client.of("request_response")
    assert refused.reason == reason
    assert refused.publish_data_track.pub_handle == request_["pub_handle"]
    assert len(ann.me.data_tracks) == 1


def test_who_may_not_publish_data_publishes_no_data_track_and_loses_those_it_has() -> None:
    server = Server()
    mute, client = server.join("mute", video={"canPublishData": False})
    publish(mute)
    assert client.of("request_response")[0].reason == RequestResponse.NOT_ALLOWED
    ann, ann_client = server.join("ann")
    _, bob_client = server.join("bob", all_data=True)
    publish(ann)
    assert handles(bob_client)
    membership.change_permission(ann.room, ann.me, ParticipantPermission(can_subscribe=True, can_publish=True))
    assert not ann.me.data_tracks
    assert handles(bob_client) == {}
    assert len(ann_client.of("unpublish_data_track_response")) == 1


def test_an_unpublished_track_and_those_of_who_leaves_end_for_everybody() -> None:
    server = Server()
    ann, ann_client = server.join("ann")
    bob, bob_client = server.join("bob", all_data=True)
    publish(ann, 1, "first")
    publish(ann, 2, "second")
    ann.handle(SignalRequest(unpublish_data_track_request=UnpublishDataTrackRequest(pub_handle=1)))
    assert ann_client.of("unpublish_data_track_response")[0].info.name == "first"
    assert list(handles(bob_client).values()) == [sid_of(ann_client)]
    ann.handle(SignalRequest(unpublish_data_track_request=UnpublishDataTrackRequest(pub_handle=1)))
    assert ann_client.of("request_response")[0].reason == RequestResponse.NOT_FOUND
    ann.handle(SignalRequest(leave=LeaveRequest()))
    assert handles(bob_client) == {}
    assert not bob.me.data_handles
    assert len(server.engine.named("unpublish_data")) == 2


def test_who_is_not_permitted_does_not_get_a_data_track() -> None:
    server = Server()
    ann, _ = server.join("ann")
    _, bob_client = server.join("bob", all_data=True)
    publish(ann)
    closed = SignalRequest()
    closed.subscription_permission.all_participants = False
    ann.handle(closed)
    assert handles(bob_client) == {}
    opened = SignalRequest()
    opened.subscription_permission.all_participants = True
    ann.handle(opened)
    assert list(handles(bob_client).values()) == list(ann.me.data_tracks)


def test_a_resume_keeps_data_tracks_and_tells_the_handles_again() -> None:
    server = Server()
    ann, ann_client = server.join("ann")
    bob, bob_client = server.join("bob", all_data=True)
    publish(ann)
    server.joining.signal_lost(bob, bob_client.connection)
    back = Client()
    claims = server.keys.verify(server.token("bob"))
    assert server.joining.resume(claims, JoinRequest(participant_sid=bob.me.sid), back.connection)
    assert handles(back) == handles(bob_client)
    known = SyncState(publish_data_tracks=[PublishDataTrackResponse(info=DataTrackInfo(sid=sid_of(ann_client)))])
    ann.handle(SignalRequest(sync_state=known))
    assert not ann_client.of("leave")
    lost = SyncState(publish_data_tracks=[PublishDataTrackResponse(info=DataTrackInfo(sid="DTR_unknown"))])
    ann.handle(SignalRequest(sync_state=lost))
    assert ann_client.of("leave")[0].action == LeaveRequest.Action.RECONNECT


def store(session: Session, key: str, contents: bytes, request_id: int = 1) -> None:
    blob = DataBlob(key=DataBlobKey(generic=key), contents=contents)
    session.handle(SignalRequest(store_data_blob_request=StoreDataBlobRequest(request_id=request_id, blob=blob)))


def fetch(session: Session, owner: str, key: str) -> None:
    request = GetDataBlobRequest(request_id=9, participant_identity=owner, key=DataBlobKey(generic=key))
    session.handle(SignalRequest(get_data_blob_request=request))


def test_a_stored_blob_is_fetched_by_others() -> None:
    server = Server()
    ann, ann_client = server.join("ann")
    bob, bob_client = server.join("bob")
    store(ann, "schema", b"first", request_id=3)
    store(ann, "schema", b"second")
    assert ann_client.of("store_data_blob_response")[0].request_id == 3
    fetch(bob, "ann", "schema")
    (found,) = bob_client.of("get_data_blob_response")
    assert (found.request_id, found.blob.contents) == (9, b"second")
    fetch(bob, "ann", "other")
    fetch(bob, "zoe", "schema")
    assert [r.reason for r in bob_client.of("request_response")] == [RequestResponse.NOT_FOUND] * 2


def test_blobs_are_bounded_per_participant() -> None:
    server = Server()
    ann, client = server.join("ann")
    store(ann, "a", bytes(60_000))
    store(ann, "a", bytes(60_000))
    assert not client.of("request_response"), "the same again replaces the first"
    for key, contents in (("b", bytes(5_000)), ("k" * 257, b"x"), ("", b"x"), ("c", b"")):
        store(ann, key, contents)
    assert [r.reason for r in client.of("request_response")] == [
        RequestResponse.LIMIT_EXCEEDED,
        RequestResponse.INVALID_REQUEST,
        RequestResponse.INVALID_REQUEST,
        RequestResponse.INVALID_REQUEST,
    ]


def test_blobs_can_be_turned_off() -> None:
    server = Server(Limits(data_blobs=False))
    ann, client = server.join("ann")
    store(ann, "a", b"x")
    assert client.of("request_response")[0].reason == RequestResponse.NOT_ALLOWED


def test_who_comes_to_many_data_tracks_is_told_of_all_handles_at_once() -> None:
    server = Server()
    for number in range(20):
        session, _ = server.join(f"p{number}")
        publish(session, 1)
    _, client = server.join("late", all_data=True)
    assert len(handles(client)) == 20
    assert len(client.of("data_track_subscriber_handles")) == 1
