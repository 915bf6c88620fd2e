"""A track that may come in a second codec, for those who cannot have the first; the engine is scripted."""

from typing import Any

import pytest
from livekit.protocol.models import BackupCodecPolicy, SimulcastCodecInfo, TrackInfo, TrackType, VideoLayer
from livekit.protocol.rtc import AddTrackRequest, JoinRequest, RequestResponse, SignalRequest, SimulcastCodec
from tests.media.scripted import Client, Server

from auralink.media.engine import OfferedSection
from auralink.media.session import Session

SIMULCAST, REGRESSION = BackupCodecPolicy.SIMULCAST, BackupCodecPolicy.REGRESSION


def section(mid: str, cid: str) -> OfferedSection:
    return {"mid": mid, "kind": "video", "cid": cid, "codecs": ["video/VP8", "video/VP9"], "rids": []}


class Call:
    """Ann publishes VP9 and may add VP8; Bob has VP9, Eve only VP8."""

    def __init__(self, policy: "BackupCodecPolicy" = BackupCodecPolicy.PREFER_REGRESSION) -> None:
        self.server = Server()
        self.ann, self.publisher = self.server.join("ann")
        self.bob, self.bobs = self.server.join("bob")
        self.eve, self.eves = self.server.join("eve")
        codecs = [SimulcastCodec(codec="vp9", cid="camera"), SimulcastCodec(codec="vp8")]
        announced = AddTrackRequest(
            cid="camera", type=TrackType.VIDEO, simulcast_codecs=codecs, backup_codec_policy=policy
        )
        self.ann.handle(SignalRequest(add_track=announced))
        self.offer(section("1", "camera"))
        (self.track,) = self.ann.me.tracks.values()
        self.report("track_started", self.track.id, "video/VP9")
        self.report("qualities_wanted", self.track.id, ["low", "medium", "high"])

    def report(self, *event: Any) -> None:
        self.server.reports.handle(event)  # type: ignore[arg-type]

    def offer(self, *sections: OfferedSection) -> None:
        self.report("answer", self.ann.me.peer, 1, "v=0", {}, [*self.ann.me.sections, *sections])

    def cannot(self, who: Session) -> None:
        """`who` has no decoder for VP9."""
        self.report("subscription_failed", who.me.receiver, self.track.codecs[0].id, "no codec")

    def add_backup(self) -> int:
        """As livekit-client does when it is asked to. Gives the engine's id."""
        codec = SimulcastCodec(codec="vp8", cid="backup", layers=[VideoLayer(quality=1), VideoLayer(quality=0)])
        request = AddTrackRequest(cid="backup", sid=self.sid, type=TrackType.VIDEO, simulcast_codecs=[codec])
        self.ann.handle(SignalRequest(add_track=request))
        self.offer(section("2", "backup"))
        assert self.track.backup
        return self.track.backup.id

    def start_backup(self) -> int:
        backup = self.add_backup()
        self.report("track_started", backup, "video/VP8")
        return backup

    @property
    def sid(self) -> str:
        return self.track.info.sid

    def asked(self) -> dict[str, list[bool]]:
        """What the publisher was told last: per codec, which qualities to send."""
        update = self.publisher.of("subscribed_quality_update")[-1]
        return {codec.codec: [quality.enabled for quality in codec.qualities] for codec in update.subscribed_codecs}

    def moves(self) -> list[tuple[int, ...]]:
        return [arguments for arguments, _ in self.server.engine.named("move_subscription")]


ALL, NONE = [True] * 3, [False] * 3


def test_both_codecs_are_told_from_the_beginning_the_second_without_an_m_line() -> None:
    call = Call()
    published: TrackInfo = call.publisher.of("track_published")[0].track
    layered, plain = [
        VideoLayer.Mode.MULTIPLE_SPATIAL_LAYERS_PER_STREAM,
        VideoLayer.Mode.ONE_SPATIAL_LAYER_PER_STREAM,
    ]
    assert list(published.codecs) == [
        SimulcastCodecInfo(mime_type="video/vp9", cid="camera", video_layer_mode=layered),
        SimulcastCodecInfo(mime_type="video/vp8", video_layer_mode=plain),
    ]
    seen: TrackInfo = call.bobs.of("update")[-1].participants[0].tracks[0]
    assert [(codec.mime_type, codec.mid) for codec in seen.codecs] == [("video/VP9", "1"), ("video/vp8", "")]
    assert (seen.mime_type, seen.mid) == ("video/VP9", "1")


def test_the_backup_is_asked_for_when_somebody_needs_it_and_no_sooner() -> None:
    call = Call()
    assert call.asked() == {"vp9": ALL}
    call.cannot(call.eve)
    assert call.asked() == {"vp9": ALL, "vp8": ALL}
    assert not call.eves.of("subscription_response"), "it is on its way"


def test_nobody_needs_it_any_more_before_it_came() -> None:
    call = Call()
    call.cannot(call.eve)
    call.eve.handle(SignalRequest(subscription={"track_sids": [call.sid], "subscribe": False}))
    assert call.asked() == {"vp9": ALL, "vp8": NONE}


def test_who_leaves_needs_nothing() -> None:
    call = Call()
    call.cannot(call.eve)
    call.eve.handle(SignalRequest(leave={}))
    assert call.asked() == {"vp9": ALL, "vp8": NONE}


def test_each_gets_what_it_can_where_both_are_sent() -> None:
    call = Call(SIMULCAST)
    call.cannot(call.eve)
    backup = call.start_backup()
    assert call.moves() == [(call.eve.me.receiver, call.track.id, backup)]
    call.report("qualities_wanted", backup, ["low"])
    assert call.asked() == {"vp9": ALL, "vp8": [True, False, False]}
    call.report("qualities_wanted", backup, [])
    assert call.asked() == {"vp9": ALL, "vp8": NONE}


@pytest.mark.parametrize("policy", [REGRESSION, BackupCodecPolicy.PREFER_REGRESSION])
def test_all_get_the_backup_once_it_flows_where_only_one_is_to_be_sent(policy: "BackupCodecPolicy") -> None:
    call = Call(policy)
    call.cannot(call.eve)
    backup = call.add_backup()
    assert call.moves() == [(call.eve.me.receiver, call.track.id, backup)], "the picture of the others goes on"
    call.report("track_started", backup, "video/VP8")
    assert call.moves()[1:] == [(call.bob.me.receiver, call.track.id, backup)]
    late, _ = call.server.join("late")
    (peer, track), _ = call.server.engine.named("subscribe")[-1]
    assert (peer, track) == (late.me.receiver, backup)


def test_a_large_room_keeps_the_better_codec_for_most() -> None:
    call = Call()
    for number in range(2):
        call.server.join(f"guest {number}")
    call.cannot(call.eve)
    call.start_backup()
    assert len(call.moves()) == 1


def test_the_backup_is_part_of_its_track() -> None:
    call = Call(SIMULCAST)
    call.cannot(call.eve)
    backup = call.add_backup()
    (_, first), (_, second) = call.server.engine.named("publish")
    assert (second["sid"], second["stream_id"]) == (first["sid"], first["stream_id"])
    assert [quality for quality, *_ in second["layers"]] == ["low", "medium"]
    seen: TrackInfo = call.bobs.of("update")[-1].participants[0].tracks[0]
    assert [(codec.cid, codec.mid) for codec in seen.codecs] == [("camera", "1"), ("backup", "2")]
    assert (seen.mime_type, seen.mid) == ("video/VP9", "1")

    call.ann.handle(SignalRequest(mute={"sid": call.sid, "muted": True}))
    assert [arguments for arguments, _ in call.server.engine.named("set_muted")] == [
        (call.track.id, True),
        (backup, True),
    ]
    settings = {"track_sids": [call.sid], "disabled": True}
    call.eve.handle(SignalRequest(track_setting=settings))
    (peer, track), _ = call.server.engine.named("set_subscription")[-1]
    assert (peer, track) == (call.eve.me.receiver, backup)

    call.report("track_ended", call.track.id)
    assert {arguments for arguments, _ in call.server.engine.named("unpublish")} == {(call.track.id,), (backup,)}
    assert not call.ann.room.tracks


def test_a_backup_that_ends_is_asked_for_again() -> None:
    call = Call(SIMULCAST)
    call.cannot(call.eve)
    backup = call.start_backup()
    call.report("track_ended", backup)
    assert call.moves()[1:] == [(call.eve.me.receiver, backup, call.track.id)]
    assert call.server.engine.named("unpublish") == [((backup,), {})]
    assert not call.publisher.of("track_unpublished"), "the track itself is there"
    call.cannot(call.eve)
    assert call.asked() == {"vp9": ALL, "vp8": ALL}
    again = call.start_backup()
    assert again != backup
    assert call.moves()[2:] == [(call.eve.me.receiver, call.track.id, again)]


def test_who_can_have_neither_is_told() -> None:
    call = Call(SIMULCAST)
    call.cannot(call.eve)
    backup = call.start_backup()
    call.report("subscription_failed", call.eve.me.receiver, backup, "no codec")
    assert call.eves.of("subscription_response")[0].track_sid == call.sid


def test_a_codec_of_a_track_that_is_not_there_is_refused() -> None:
    server = Server()
    session, client = server.join("ann")
    session.handle(SignalRequest(add_track=AddTrackRequest(cid="c", sid="TR_gone", type=TrackType.VIDEO)))
    assert refusal(client).reason == RequestResponse.NOT_FOUND


def test_a_codec_that_was_not_announced_is_ignored() -> None:
    call = Call()
    codec = SimulcastCodec(codec="h264", cid="other")
    request = AddTrackRequest(cid="other", sid=call.sid, type=TrackType.VIDEO, simulcast_codecs=[codec])
    call.ann.handle(SignalRequest(add_track=request))
    assert len(call.publisher.of("track_published")[-1].track.codecs) == 2
    call.offer(section("2", "other"))
    assert len(call.server.engine.named("publish")) == 1


def test_after_a_resume_the_publisher_hears_again_what_is_wanted() -> None:
    call = Call()
    call.cannot(call.eve)
    call.publisher.received.clear()
    call.server.joining.signal_lost(call.ann, call.publisher.connection)
    claims = call.server.keys.verify(call.server.token("ann"))
    back = Client()
    call.server.joining.resume(claims, JoinRequest(participant_sid=call.ann.me.sid), back.connection)
    (update,) = back.of("subscribed_quality_update")
    assert [codec.codec for codec in update.subscribed_codecs] == ["vp9", "vp8"]


def refusal(client: Client) -> RequestResponse:
    (response,) = client.of("request_response")
    return response


def audio_section(mid: str, cid: str) -> OfferedSection:
    return {"mid": mid, "kind": "audio", "cid": cid, "codecs": ["audio/opus", "audio/red"], "rids": []}


def test_of_two_audio_codecs_the_publisher_hears_which_are_taken() -> None:
    server = Server()
    ann, publisher = server.join("ann")
    bob, _ = server.join("bob")
    codecs = [SimulcastCodec(codec="red", cid="one"), SimulcastCodec(codec="opus", cid="two")]
    request = AddTrackRequest(cid="one", type=TrackType.AUDIO, simulcast_codecs=codecs)
    ann.handle(SignalRequest(add_track=request))
    sections = [audio_section("1", "one"), audio_section("2", "two")]
    server.reports.handle(("answer", ann.me.peer, 1, "v=0", {}, sections))
    (track,) = ann.me.tracks.values()

    def told() -> dict[str, bool]:
        update = publisher.of("subscribed_audio_codec_update")[-1]
        assert update.track_sid == track.info.sid
        return {codec.codec: codec.enabled for codec in update.subscribed_audio_codecs}

    assert told() == {"red": True, "opus": False}
    server.reports.handle(("subscription_failed", bob.me.receiver, track.codecs[0].id, "encrypted"))
    assert told() == {"red": False, "opus": True}
    bob.handle(SignalRequest(leave={}))
    assert told() == {"red": False, "opus": False}


def test_of_a_single_audio_codec_nothing_is_told() -> None:
    server = Server()
    ann, publisher = server.join("ann")
    server.join("bob")
    ann.handle(SignalRequest(add_track=AddTrackRequest(cid="one", type=TrackType.AUDIO)))
    server.reports.handle(("answer", ann.me.peer, 1, "v=0", {}, [audio_section("1", "one")]))
    assert not publisher.of("subscribed_audio_codec_update")
