"""What livekit-client does with media: layers, codecs, adaptive stream, dynacast, end-to-end encryption."""

import pytest
from livekit import api
from tests.browser.conftest import Call
from tests.compat.conftest import MediaServer

pytestmark = pytest.mark.asyncio(loop_scope="session")

# As livekit-client sends 1280x720: a quarter, a half and the whole.
_LOW, _MEDIUM, _HIGH = 320, 640, 1280


async def test_camera_and_microphone_are_seen_and_heard_both_ways(call: Call, path: dict[str, bool]) -> None:
    ada, bob = await call("ada", **path), await call("bob", **path)

    for one in (ada, bob):
        await one.local("me.enableCameraAndMicrophone()")

    await ada("receives", "bob", "camera")
    await ada("receives", "bob", "microphone")
    await bob("receives", "ada", "camera")
    await bob("receives", "ada", "microphone")


@pytest.mark.parametrize("codec", ["vp8", "h264"])
async def test_a_subscriber_gets_the_simulcast_layer_it_asks_for(call: Call, codec: str) -> None:
    ada, bob = await call("ada"), await call("bob")
    await ada("publishVideo", {"videoCodec": codec, "simulcast": True})
    await bob("hasWidth", "ada", "camera", _HIGH)
    assert (await bob("codec", "ada", "camera")).lower() == f"video/{codec}"

    for name, width in (("LOW", _LOW), ("MEDIUM", _MEDIUM), ("HIGH", _HIGH)):
        await bob("quality", "ada", "camera", name)
        await bob("hasWidth", "ada", "camera", width)


@pytest.mark.parametrize("codec", ["vp9", "av1"])
async def test_a_subscriber_gets_the_spatial_layer_it_asks_for(call: Call, codec: str) -> None:
    ada, bob = await call("ada"), await call("bob")
    await ada("publishVideo", {"videoCodec": codec, "scalabilityMode": "L3T3_KEY"}, {"width": 640, "height": 360})
    await bob("hasWidth", "ada", "camera", 640)
    assert (await bob("codec", "ada", "camera")).lower() == f"video/{codec}"

    await bob("quality", "ada", "camera", "LOW")
    await bob("hasWidth", "ada", "camera", 320)
    await bob("quality", "ada", "camera", "HIGH")
    await bob("hasWidth", "ada", "camera", 640)


async def test_adaptive_stream_takes_the_layer_that_fits_the_element_and_none_when_hidden(call: Call) -> None:
    ada, bob = await call("ada"), await call("bob", adaptiveStream={"pixelDensity": 1})
    await ada("publishVideo", {"videoCodec": "vp8", "simulcast": True})

    await bob("attach", "ada", "camera", 160, 90)
    await bob("hasWidth", "ada", "camera", _LOW)
    await bob("resize", "ada", 1280, 720)
    await bob("hasWidth", "ada", "camera", _HIGH)
    await bob("resize", "ada", 0, 0)
    await bob("goesQuiet", "ada", "camera")
    await bob("resize", "ada", 160, 90)
    await bob("hasWidth", "ada", "camera", _LOW)


async def test_dynacast_stops_the_layers_nobody_takes(call: Call) -> None:
    ada, bob = await call("ada", dynacast=True), await call("bob")
    await ada("publishVideo", {"videoCodec": "vp8", "simulcast": True})
    await bob("hasWidth", "ada", "camera", _HIGH)

    await bob("quality", "ada", "camera", "LOW")
    await ada("sendsOnly", ["q"])
    await bob("subscribe", "ada", "camera", False)
    await ada("sendsOnly", [])
    await bob("subscribe", "ada", "camera", True)
    await bob("receives", "ada", "camera")


async def test_end_to_end_encrypted_media_is_decoded_with_the_key_only(call: Call) -> None:
    ada, bob = await call("ada", e2ee="a shared secret"), await call("bob", e2ee="a shared secret")
    eve = await call("eve", e2ee="not the secret")

    await ada.local("me.enableCameraAndMicrophone()")

    await bob("receives", "ada", "camera")
    await bob("receives", "ada", "microphone")
    await eve("sees", "EncryptionError")
    assert await eve.page.evaluate("caller.packetRate('ada', 'camera')") > 0, "packets reach her, pictures do not"
    assert await eve("decoded", "ada", "camera") == 0


async def test_a_shared_screen_comes_beside_the_camera(call: Call, path: dict[str, bool]) -> None:
    ada, bob = await call("ada", **path), await call("bob", **path)
    await ada.local("me.setCameraEnabled(true)")
    await bob("receives", "ada", "camera")

    await ada("publishVideo", {"source": "screen_share"}, {"width": 1280, "height": 720}, "screen_share")

    await bob("receives", "ada", "screen_share")
    await bob("receives", "ada", "camera")


async def test_who_speaks_is_told(call: Call) -> None:
    ada, bob = await call("ada"), await call("bob")
    await ada.local("me.setMicrophoneEnabled(true)")

    await bob("receives", "ada", "microphone")
    await bob("sees", "Speakers:ada")


async def test_a_publisher_chooses_who_may_take_its_tracks(call: Call) -> None:
    ada, bob, eve = await call("ada"), await call("bob"), await call("eve")
    await ada.local("me.setTrackSubscriptionPermissions(false, [{participantIdentity: 'bob', allowAll: true}])")
    await ada("publishVideo", {"videoCodec": "vp8"})

    await bob("receives", "ada", "camera")
    await eve("publicationOf", "ada", "camera")
    assert not await eve.local("room.remoteParticipants.get('ada').getTrackPublication('camera').isSubscribed")

    await ada.local("me.setTrackSubscriptionPermissions(true)")
    await eve("receives", "ada", "camera")


async def test_the_first_codec_is_what_subscribers_get_while_they_can(call: Call) -> None:
    ada, bob = await call("ada"), await call("bob")
    await ada("publishVideo", {"videoCodec": "vp9", "backupCodec": True}, {"width": 640, "height": 360})
    await bob("receives", "ada", "camera")
    assert (await bob("codec", "ada", "camera")).lower() == "video/vp9"


_SIMULCAST = 1
"""BackupCodecPolicy: both codecs are sent; without it a small call uses the backup for all once somebody needs it."""


async def test_who_has_no_decoder_for_the_first_codec_gets_the_backup(call: Call, path: dict[str, bool]) -> None:
    ada, bob = await call("ada", dynacast=True, **path), await call("bob", **path)
    await ada("publishVideo", {"videoCodec": "vp9", "backupCodecPolicy": _SIMULCAST}, {"width": 640, "height": 360})
    await bob("receives", "ada", "camera")
    await ada("sendsOnly", ["video/VP9"], "mime")

    eve = await call("eve", undecodable="video/VP9", **path)
    await eve("receives", "ada", "camera")
    assert await eve("codec", "ada", "camera") == "video/VP8"
    await ada("sendsOnly", ["video/VP8", "video/VP9"], "mime")
    assert await bob("codec", "ada", "camera") == "video/VP9"

    await eve("subscribe", "ada", "camera", False)
    await ada("sendsOnly", ["video/VP9"], "mime")
    await eve("subscribe", "ada", "camera", True)
    await eve("receives", "ada", "camera")
    await bob("receives", "ada", "camera")


async def test_a_small_call_uses_the_backup_for_all_once_somebody_needs_it(call: Call) -> None:
    ada, bob = await call("ada", dynacast=True), await call("bob")
    await ada("publishVideo", {"videoCodec": "vp9"}, {"width": 640, "height": 360})
    await bob("receives", "ada", "camera")
    assert await bob("codec", "ada", "camera") == "video/VP9"

    eve = await call("eve", undecodable="video/VP9")
    await eve("receives", "ada", "camera")
    await ada("sendsOnly", ["video/VP8"], "mime")
    await bob("receives", "ada", "camera")
    assert await bob("codec", "ada", "camera") == "video/VP8"


async def test_a_room_that_syncs_streams_gives_camera_and_microphone_in_one(
    call: Call, server: MediaServer, room: str, path: dict[str, bool]
) -> None:
    async with server.api() as client:
        await client.room.create_room(api.CreateRoomRequest(name=room, sync_streams=True))
    ada, bob = await call("ada", **path), await call("bob", **path)
    await ada.local("me.enableCameraAndMicrophone()")
    await bob("receives", "ada", "camera")
    await bob("receives", "ada", "microphone")
    streams = "['camera', 'microphone'].map((s) => room.remoteParticipants.get('ada').getTrackPublication(s)"
    camera, microphone = await bob.local(f"{streams}.track.mediaStream.id)")
    assert camera == microphone == f"{ada.sid}|camera"

    await ada("publishVideo", {"source": "screen_share"}, {"width": 640, "height": 360}, "screen_share")
    await bob("receives", "ada", "screen_share")
    await bob("subscribe", "ada", "camera", False)
    await bob("subscribe", "ada", "camera", True)
    await bob("receives", "ada", "camera")


async def test_encrypted_tracks_that_rest_or_are_taken_anew_come_back_without_an_error(
    call: Call, path: dict[str, bool]
) -> None:
    """What the server puts in at a mute and where a subscription ends has a mark, or it would be decrypted."""
    options = {"e2ee": "a shared secret", **path}
    ada, bob = await call("ada", **options), await call("bob", **options)
    await ada.local("me.enableCameraAndMicrophone()")
    for source in ("camera", "microphone"):
        await bob("receives", "ada", source)

    for source, method in (("microphone", "setMicrophoneEnabled"), ("camera", "setCameraEnabled")):
        await ada.local(f"me.{method}(false)")
        await bob("goesQuiet", "ada", source)
        await ada.local(f"me.{method}(true)")
        await bob("receives", "ada", source)

    for source in ("camera", "microphone"):
        await bob("subscribe", "ada", source, False)
        await bob("unsubscribed", "ada", source)
        await bob("subscribe", "ada", source, True)
        await bob("receives", "ada", source)

    events = await bob.page.evaluate("caller.state.events")
    assert "EncryptionError" not in events
