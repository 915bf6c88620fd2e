"""The engine takes no commands for a while: nothing of what was asked is lost, or the clients are told to come anew."""

from livekit.protocol.models import DisconnectReason
from livekit.protocol.rtc import LeaveRequest, SignalRequest
from tests.media.scripted import Server
from tests.media.test_rooms import publish

from auralink.media.engine_commands import MAX_WAITING, MAX_WAITING_BYTES, RETRY_S
from auralink.media.keys import PLATFORM
from auralink.media.lingering import LINGER_S
from auralink.media.session import Session


def asked(server: Server, since: int = 0) -> list[str]:
    return [name for name, _, _ in server.engine.commands[since:]]


def take_only(session: Session, sid: str, width: int) -> None:
    session.handle(SignalRequest(track_setting={"track_sids": [sid], "width": width, "height": width}))


def test_what_is_asked_of_a_full_engine_is_done_later_and_in_order() -> None:
    server = Server()
    ann, _ = server.join("ann")
    sid = publish(server, ann)
    server.engine.full, before = True, len(server.engine.commands)
    bob, client = server.join("bob")
    ann.handle(SignalRequest(mute={"sid": sid, "muted": True}))
    bob.handle(SignalRequest(offer={"type": "offer", "sdp": "v=0", "id": 1}))
    server.clock.advance(1)
    assert not asked(server, before)
    assert client.of("join"), "signalling goes on meanwhile"
    assert not client.of("leave")
    server.engine.full = False
    ann.handle(SignalRequest(mute={"sid": sid, "muted": False}))
    assert not asked(server, before), "not before what waits"
    server.clock.advance(RETRY_S)
    assert asked(server, before) == ["create_peer", "subscribe", "set_muted", "offer", "set_muted"]
    assert [muted for (_, muted), _ in server.engine.named("set_muted")] == [True, False]
    ann.handle(SignalRequest(mute={"sid": sid, "muted": True}))
    assert asked(server)[-1] == "set_muted", "at once again"


def test_the_engine_may_fill_up_again_between_two_of_them() -> None:
    server = Server()
    ann, _ = server.join("ann")
    sid = publish(server, ann)
    bob, _ = server.join("bob")
    server.engine.full, before = True, len(server.engine.commands)
    for width in range(1, 6):
        take_only(bob, sid, width)
    server.engine.takes = 2
    server.clock.advance(RETRY_S)
    assert len(asked(server, before)) == 2
    server.engine.full = False
    server.clock.advance(RETRY_S)
    assert [options["width"] for _, options in server.engine.named("set_subscription")] == [1, 2, 3, 4, 5]


def test_a_room_that_begins_while_the_engine_is_full_is_made_first() -> None:
    server = Server()
    server.engine.full = True
    server.join("ann", connect=False)
    server.engine.full = False
    server.clock.advance(RETRY_S)
    assert asked(server) == ["create_room", "create_peer"]


def test_who_leaves_before_the_engine_knows_it_leaves_nothing_behind() -> None:
    server = Server()
    server.engine.full = True
    ann, _ = server.join("ann", connect=False)
    ann.handle(SignalRequest(leave=LeaveRequest()))
    server.clock.advance(LINGER_S)
    assert "close_peer" not in asked(server), "it would come before the peer"
    server.engine.full = False
    server.clock.advance(RETRY_S)
    assert asked(server) == ["create_room", "create_peer", "close_peer"]


def test_another_room_s_commands_do_not_wait() -> None:
    """It may be on a shard that does keep up."""
    server = Server()
    ann, _ = server.join("ann")
    server.join("eve", "elsewhere")
    server.engine.full = True
    ann.handle(SignalRequest(offer={"type": "offer", "sdp": "v=0", "id": 1}))
    server.engine.full, before = False, len(server.engine.commands)
    server.join("mallory", "elsewhere")
    assert asked(server, before) == ["create_peer"]


def overwhelm(server: Server, session: Session, sid: str) -> None:
    server.engine.full = True
    for count in range(MAX_WAITING + 1):
        take_only(session, sid, count + 1)


def test_clients_of_a_room_for_which_too_much_waits_build_it_anew() -> None:
    server = Server()
    ann, publisher = server.join("ann")
    sid = publish(server, ann)
    bob, subscriber = server.join("bob")
    overwhelm(server, bob, sid)
    before = len(server.engine.commands)
    server.clock.advance(0)
    for client in (publisher, subscriber):
        (told,) = client.of("leave")
        assert (told.reason, told.action) == (DisconnectReason.MEDIA_FAILURE, LeaveRequest.Action.RECONNECT)
        assert client.closed
    assert server.rooms.find("lobby", tenant=PLATFORM) is None
    server.clock.advance(LINGER_S)
    assert asked(server, before) == ["close_peer", "close_peer", "close_room"], "these are always taken"
    server.engine.full = False
    server.clock.advance(RETRY_S)
    assert asked(server, before)[-1] == "close_room", "nothing of the old room is left"
    again, client = server.join("ann")
    assert again.room is not ann.room
    assert not client.of("leave")
    assert asked(server)[-2:] == ["create_room", "create_peer"]


def test_descriptions_that_wait_are_bounded_too() -> None:
    server = Server()
    ann, client = server.join("ann")
    server.engine.full = True
    offer = SignalRequest(offer={"type": "offer", "sdp": "v" * 1_000_000, "id": 1})
    for _ in range(MAX_WAITING_BYTES // 1_000_000 + 1):
        assert not client.of("leave")
        ann.handle(offer)
        server.clock.advance(0)
    assert client.of("leave")[0].action == LeaveRequest.Action.RECONNECT


def test_a_command_that_fails_later_costs_itself_only() -> None:
    server = Server()
    ann, _ = server.join("ann")
    server.engine.full, before = True, len(server.engine.commands)
    for number in (1, 2):
        ann.handle(SignalRequest(offer={"type": "offer", "sdp": "v=0", "id": number}))
    server.engine.full, server.engine.breaks = False, ValueError("of the first one")
    server.clock.advance(RETRY_S)
    assert [arguments[1] for _, arguments, _ in server.engine.commands[before:]] == [2]


def test_nothing_is_asked_of_an_engine_that_ends() -> None:
    server = Server()
    server.engine.full = True
    server.join("ann", connect=False)
    server.rooms.close()
    server.engine.full = False
    server.clock.advance(RETRY_S)
    assert "create_room" not in asked(server)
