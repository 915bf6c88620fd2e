"""WHIP: what an encoder sends is seen in the room, and its session obeys RFC 9725."""

import asyncio

from livekit import rtc
from tests.compat.clients import holds, joined, told
from tests.compat.conftest import MediaServer
from tests.whip.peer import Restartable, publishing


async def test_an_encoder_is_seen_and_heard_by_an_sdk_participant(server: MediaServer, room: str) -> None:
    async with joined(server, room, "bob") as bob, publishing(server, server.token(room, "encoder")):
        await bob.sees_more(20)
        encoder = bob.room.remote_participants["encoder"]
        tracks = {track.name: track.source for track in encoder.track_publications.values()}
        assert tracks == {
            "synthesized-microphone": rtc.TrackSource.SOURCE_MICROPHONE,
            "synthesized-camera": rtc.TrackSource.SOURCE_CAMERA,
        }


async def test_delete_takes_the_encoder_out_of_the_room(server: MediaServer, room: str) -> None:
    async with joined(server, room, "bob") as bob, publishing(server, server.token(room, "encoder")) as encoder:
        await bob.sees_more()
        left = asyncio.create_task(told(bob.room, "participant_disconnected"))
        await asyncio.sleep(0)
        assert (await encoder.delete()).status_code == 200
        (gone,) = await left
        assert gone.identity == "encoder"
        assert (await encoder.delete()).status_code == 404
        assert (await encoder.patch("a=ice-ufrag:abcd\r\n", encoder.etag)).status_code == 404


async def test_an_encoder_that_vanishes_leaves_the_room(server: MediaServer, room: str) -> None:
    async with joined(server, room, "bob") as bob:
        async with publishing(server, server.token(room, "encoder")):
            await bob.sees_more()
        await holds("the encoder has left", lambda: "encoder" not in bob.room.remote_participants)


async def test_candidates_may_trickle_in(server: MediaServer, room: str) -> None:
    async with publishing(server, server.token(room, "encoder")) as encoder:
        fragment = "m=audio 9 UDP/TLS/RTP/SAVPF 0\r\na=mid:0\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n"
        assert (await encoder.patch(fragment, encoder.etag)).status_code == 204
        assert (await encoder.patch(fragment, encoder.etag.strip('"'))).status_code == 204, "as LiveKit writes it"
        assert (await encoder.patch(fragment, '"another"')).status_code == 412
        assert (await encoder.patch(fragment, None)).status_code == 428
        assert (await encoder.patch(fragment.replace("mid:0", "mid:9"), encoder.etag)).status_code == 400
        assert (await encoder.patch("a=ice-ufrag:other\r\n" + fragment, encoder.etag)).status_code == 400
        assert (await encoder.patch("nonsense", encoder.etag)).status_code == 400


async def test_media_goes_on_over_a_restarted_ice_session(server: MediaServer, room: str) -> None:
    async with joined(server, room, "bob") as bob, publishing(server, server.token(room, "encoder")) as encoder:
        await bob.sees_more()
        restart = Restartable(encoder.connection)
        try:
            answer = await encoder.patch(await restart.fragment("0"), "*")
            assert answer.status_code == 200
            assert answer.headers["etag"] != encoder.etag
            assert (await encoder.patch("a=mid:0\r\n", encoder.etag)).status_code == 412, "of the ICE session before"
            await restart.use(answer.text)
            await bob.sees_more(30)
        finally:
            await restart.stop()


async def test_a_second_session_of_an_identity_replaces_the_first(server: MediaServer, room: str) -> None:
    token = server.token(room, "encoder")
    async with joined(server, room, "bob") as bob, publishing(server, token) as first:
        await bob.sees_more()
        async with publishing(server, token) as second:
            await bob.sees_more()
            assert (await first.delete()).status_code == 404
            assert (await second.delete()).status_code == 200
