"""WHEP: a room is played by a client that negotiates once."""

import asyncio

import pytest
from tests.compat.clients import holds, joined
from tests.compat.conftest import MediaServer
from tests.whip.peer import HttpPeer, Restartable, playing, publishing


async def test_a_player_shows_what_an_sdk_participant_publishes(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as ann:
        await ann.publish()
        async with playing(server, server.token(room, "player")) as player:
            await holds("sound and pictures are decoded", lambda: player.seen("0") > 50 and player.seen("1") > 20)
            assert "player" in ann.room.remote_participants
            assert (await player.delete()).status_code == 200
            await holds("the player has left", lambda: "player" not in ann.room.remote_participants)


async def test_what_starts_after_the_player_is_played_too(server: MediaServer, room: str) -> None:
    async with playing(server, server.token(room, "player")) as player, joined(server, room, "ann") as ann:
        await asyncio.sleep(0.5)
        assert not player.frames
        await ann.publish()
        await holds("sound and pictures are decoded", lambda: player.seen("0") > 50 and player.seen("1") > 20)


async def test_the_next_publisher_takes_the_sections_of_one_who_left(server: MediaServer, room: str) -> None:
    async with playing(server, server.token(room, "player")) as player, joined(server, room, "bob") as bob:
        async with joined(server, room, "ann") as ann:
            await ann.publish()
            await holds("ann is played", lambda: player.seen("1") > 20)
            await bob.publish()
        await asyncio.sleep(0.5)  # what was under way from ann
        before = player.seen("1")
        await holds("bob is played", lambda: player.seen("1") > before + 20)


@pytest.mark.parametrize("codec", ["video/VP8", "video/H264"])
async def test_a_decoder_shows_black_when_its_track_has_ended(server: MediaServer, room: str, codec: str) -> None:
    tokens = [server.token(room, who) for who in ("player", "encoder")]
    async with playing(server, tokens[0]) as player, publishing(server, tokens[1], codec) as encoder:
        await holds("the encoder is played", lambda: player.seen("1") > 20)
        assert player.picture
        assert player.picture.width == 320
        assert (await encoder.delete()).status_code == 200
        await holds("a tiny picture is decoded", lambda: player.picture is not None and player.picture.width == 16)
    assert player.picture.height == 16
    luma = bytes(player.picture.planes[0])
    assert max(luma[:16]) <= 16, "black (ITU-R BT.601)"


async def test_a_hidden_player_is_seen_by_nobody(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as ann:
        await ann.publish()
        async with playing(server, server.token(room, "player", hidden=True)) as player:
            await holds("pictures are decoded", lambda: player.seen("1") > 20)
            assert "player" not in ann.room.remote_participants


async def test_a_player_may_choose_one_participant(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        await ann.publish()
        query = "?participant=bob&track=camera"
        async with playing(server, server.token(room, "player"), query) as player:
            await bob.publish()
            await holds("bob's camera is played", lambda: player.seen("1") > 20)
            assert player.seen("0") == 0, "neither microphone was asked for"


async def test_several_sections_play_several_participants(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as ann, joined(server, room, "bob") as bob:
        await ann.publish()
        await bob.publish()
        async with playing(server, server.token(room, "player"), audio=2, video=2) as player:
            await holds("all four are decoded", lambda: all(player.seen(mid) > 20 for mid in "0123"))


async def test_a_player_may_restart_ice(server: MediaServer, room: str) -> None:
    async with joined(server, room, "ann") as ann, playing(server, server.token(room, "player")) as player:
        await ann.publish()
        await holds("pictures are decoded", lambda: player.seen("1") > 20)
        restart = Restartable(player.connection)
        try:
            answer = await player.patch(await restart.fragment("0"), "*")
            assert answer.status_code == 200
            await restart.use(answer.text)
            before = player.seen("1")
            await holds("pictures go on", lambda: player.seen("1") > before + 20)
        finally:
            await restart.stop()


async def test_a_player_that_offers_to_send_is_refused(server: MediaServer, room: str) -> None:
    peer = HttpPeer(server, "/whep/v1", server.token(room, "player"))
    try:
        peer.connection.addTransceiver("audio", direction="sendrecv")
        await peer.connection.setLocalDescription(await peer.connection.createOffer())
        assert (await peer.post(peer.connection.localDescription.sdp)).status_code == 400
    finally:
        await peer.close()
