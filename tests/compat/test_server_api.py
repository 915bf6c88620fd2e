"""LiveKit's server API, by the official `livekit-api` client, and what participants see of it."""

import asyncio
import time

import aiohttp
import pytest
from livekit import api, rtc
from tests.compat.clients import holds, joined, told
from tests.compat.conftest import MediaServer, both_paths


async def test_a_room_is_created_listed_and_deleted(server: MediaServer, room: str) -> None:
    async with server.api() as client:
        made = await client.room.create_room(api.CreateRoomRequest(name=room, metadata="about", max_participants=3))
        again = await client.room.create_room(api.CreateRoomRequest(name=room))
        assert (made.name, made.metadata, made.max_participants) == (room, "about", 3)
        assert again.sid == made.sid, "creating a room that exists gives that room"
        listed = await client.room.list_rooms(api.ListRoomsRequest(names=[room]))
        assert [r.sid for r in listed.rooms] == [made.sid]
        await client.room.delete_room(api.DeleteRoomRequest(room=room))
        assert not (await client.room.list_rooms(api.ListRoomsRequest(names=[room]))).rooms


async def test_participants_are_listed_and_found(server: MediaServer, room: str) -> None:
    async with server.api() as client, joined(server, room, "ann"):
        listed = await client.room.list_participants(api.ListParticipantsRequest(room=room))
        assert [p.identity for p in listed.participants] == ["ann"]
        found = await client.room.get_participant(api.RoomParticipantIdentity(room=room, identity="ann"))
        assert found.name == "Ann"
        with pytest.raises(api.TwirpError) as refused:
            await client.room.get_participant(api.RoomParticipantIdentity(room=room, identity="nobody"))
        assert refused.value.code == api.TwirpErrorCode.NOT_FOUND


@both_paths
async def test_a_removed_participant_is_told_so(server: MediaServer, room: str) -> None:
    async with server.api() as client, joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        await holds("bob sees ann", lambda: "ann" in bob.room.remote_participants)
        ended = asyncio.create_task(told(ann.room, "disconnected"))
        gone = asyncio.create_task(told(bob.room, "participant_disconnected"))
        await asyncio.sleep(0)
        await client.room.remove_participant(api.RoomParticipantIdentity(room=room, identity="ann"))
        assert (await ended)[0] == rtc.DisconnectReason.PARTICIPANT_REMOVED
        assert (await gone)[0].identity == "ann"


async def test_deleting_a_room_ends_it_for_all(server: MediaServer, room: str) -> None:
    async with server.api() as client, joined(server, room, "ann") as ann:
        ended = asyncio.create_task(told(ann.room, "disconnected"))
        await asyncio.sleep(0)
        await client.room.delete_room(api.DeleteRoomRequest(room=room))
        assert (await ended)[0] == rtc.DisconnectReason.ROOM_DELETED


@both_paths
async def test_the_server_mutes_a_track(server: MediaServer, room: str) -> None:
    async with server.api() as client, joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        await ann.publish()
        await bob.sees_more()
        muted = asyncio.create_task(told(bob.room, "track_muted"))
        await asyncio.sleep(0)
        sid = next(iter(ann.room.local_participant.track_publications))
        answer = await client.room.mute_published_track(
            api.MuteRoomTrackRequest(room=room, identity="ann", track_sid=sid, muted=True)
        )
        assert answer.track.muted
        await muted


@both_paths
async def test_permissions_change_during_the_call(server: MediaServer, room: str) -> None:
    async with server.api() as client, joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        await ann.publish()
        await bob.sees_more()
        await client.room.update_participant(
            api.UpdateParticipantRequest(
                room=room,
                identity="ann",
                name="Ann the Quiet",
                permission=api.ParticipantPermission(can_subscribe=True, can_publish=False, can_publish_data=True),
            )
        )
        seen = bob.room.remote_participants["ann"]
        await holds("her tracks are gone", lambda: not seen.track_publications)
        await holds("her name changed", lambda: seen.name == "Ann the Quiet")


@both_paths
async def test_the_server_sends_data(server: MediaServer, room: str) -> None:
    async with server.api() as client, joined(server, room, "ann") as ann:
        request = api.SendDataRequest(room=room, data=b"from above", kind=0, destination_identities=["ann"])
        await client.room.send_data(request)
        await ann.hears(b"from above")


async def test_a_full_room_refuses_the_next(server: MediaServer, room: str) -> None:
    async with server.api() as client:
        await client.room.create_room(api.CreateRoomRequest(name=room, max_participants=1))
    async with joined(server, room, "ann"):
        with pytest.raises(rtc.ConnectError):
            async with joined(server, room, "bob"):
                pass


@pytest.mark.parametrize("method", ["ListRooms", "CreateRoom", "DeleteRoom", "ListParticipants", "RemoveParticipant"])
async def test_without_the_grant_nothing_is_answered(server: MediaServer, room: str, method: str) -> None:
    url = f"{server.url.replace('ws', 'http', 1)}/twirp/livekit.RoomService/{method}"
    headers = {"Authorization": f"Bearer {server.token(room, 'ann')}"}
    async with aiohttp.ClientSession() as client, client.post(url, json={"room": room}, headers=headers) as answer:
        assert answer.status == 401
        assert (await answer.json())["code"] == "unauthenticated"


@pytest.mark.parametrize("slash", ["", "/"])
async def test_json_answers_have_every_field_in_snake_case(server: MediaServer, room: str, slash: str) -> None:
    """Also where the client was given an address that ends in a slash."""
    grants = api.VideoGrants(room_create=True)
    token = api.AccessToken(server.key, server.secret).with_grants(grants).to_jwt()
    url = f"{server.url.replace('ws', 'http', 1)}{slash}/twirp/livekit.RoomService/CreateRoom"
    headers = {"Authorization": f"Bearer {token}"}
    async with aiohttp.ClientSession() as client, client.post(url, json={"name": room}, headers=headers) as answer:
        body = await answer.json()
    assert body["name"] == room
    assert body["num_participants"] == 0
    assert body["metadata"] == ""


async def test_nobody_is_unmuted_from_afar(server: MediaServer, room: str) -> None:
    async with server.api() as client, joined(server, room, "ann") as ann:
        await ann.publish()
        sid = next(iter(ann.room.local_participant.track_publications))
        for muted in (True, False):
            request = api.MuteRoomTrackRequest(room=room, identity="ann", track_sid=sid, muted=muted)
            if muted:
                await client.room.mute_published_track(request)
                continue
            with pytest.raises(api.TwirpError) as refused:
                await client.room.mute_published_track(request)
            assert refused.value.code == api.TwirpErrorCode.FAILED_PRECONDITION


async def test_a_removed_participants_token_can_be_revoked(server: MediaServer, room: str) -> None:
    async with server.api() as client:
        async with joined(server, room, "ann") as ann:
            ended = asyncio.create_task(told(ann.room, "disconnected"))
            await asyncio.sleep(0)
            soon = int(time.time()) + 60
            request = api.RoomParticipantIdentity(room=room, identity="ann", revoke_token_ts=soon)
            await client.room.remove_participant(request)
            await ended
        with pytest.raises(rtc.ConnectError):
            async with joined(server, room, "ann"):
                pass
        async with joined(server, room, "bob"):
            pass


async def test_those_who_are_there_and_those_who_publish_are_counted(server: MediaServer, room: str) -> None:
    people = joined(server, room, "ann"), joined(server, room, "bob")
    async with server.api() as client, people[0] as ann, people[1] as bob, joined(server, room, "tape", recorder=True):
        await ann.publish()
        await bob.sees_more()
        listed = await client.room.list_rooms(api.ListRoomsRequest(names=[room]))
    assert (listed.rooms[0].num_participants, listed.rooms[0].num_publishers) == (2, 1)
    assert listed.rooms[0].active_recording


async def test_services_that_are_not_here_say_so(server: MediaServer) -> None:
    async with server.api() as client:
        for call in (
            client.egress.list_egress(api.ListEgressRequest()),
            client.ingress.list_ingress(api.ListIngressRequest()),
            client.sip.list_inbound_trunk(api.ListSIPInboundTrunkRequest()),
        ):
            with pytest.raises(api.TwirpError) as refused:
                await call
            assert refused.value.code == api.TwirpErrorCode.UNIMPLEMENTED
