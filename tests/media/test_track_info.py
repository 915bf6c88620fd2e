"""What others are told of a track, from what its publisher announced."""

from typing import Any

from livekit.protocol.models import AudioTrackFeature, BackupCodecPolicy, TrackInfo, TrackType, VideoQuality
from livekit.protocol.rtc import AddTrackRequest, SignalRequest
from tests.media.scripted import Server

from auralink.media.session import Session

STEREO, NO_DTX = AudioTrackFeature.TF_STEREO, AudioTrackFeature.TF_NO_DTX
ECHO = AudioTrackFeature.TF_ECHO_CANCELLATION


def add(session: Session, **announced: Any) -> TrackInfo:
    session.handle(SignalRequest(add_track=AddTrackRequest(cid="cid", **announced)))
    (track,) = session.me.tracks.values()
    return track.info


def test_the_flags_of_an_audio_track_are_features_too_each_once() -> None:
    session, client = Server().join("ann")
    add(session, type=TrackType.AUDIO, stereo=True, disable_dtx=True, audio_features=[ECHO, STEREO, ECHO])
    (published,) = client.of("track_published")
    assert list(published.track.audio_features) == [ECHO, STEREO, NO_DTX]


def test_an_audio_track_may_come_in_two_codecs_unless_its_publisher_wants_one() -> None:
    for wanted, kept in [
        (BackupCodecPolicy.PREFER_REGRESSION, BackupCodecPolicy.SIMULCAST),
        (BackupCodecPolicy.REGRESSION, BackupCodecPolicy.REGRESSION),
    ]:
        session, _ = Server().join("ann")
        assert add(session, type=TrackType.AUDIO, backup_codec_policy=wanted).backup_codec_policy == kept
    session, _ = Server().join("ann")
    assert add(session, type=TrackType.VIDEO).backup_codec_policy == BackupCodecPolicy.PREFER_REGRESSION


def test_changed_features_change_the_flags() -> None:
    session, _ = Server().join("ann")
    info = add(session, type=TrackType.AUDIO, stereo=True)
    session.handle(SignalRequest(update_audio_track={"track_sid": info.sid, "features": [NO_DTX, NO_DTX]}))
    assert (info.stereo, info.disable_dtx, list(info.audio_features)) == (False, True, [NO_DTX])


def test_features_of_audio_mean_nothing_to_a_video_track() -> None:
    session, _ = Server().join("ann")
    info = add(session, type=TrackType.VIDEO)
    session.handle(SignalRequest(update_audio_track={"track_sid": info.sid, "features": [STEREO]}))
    assert not info.audio_features
    assert not info.stereo


def test_layers_are_told_lowest_first() -> None:
    session, _ = Server().join("ann")
    order = [VideoQuality.HIGH, VideoQuality.LOW, VideoQuality.MEDIUM]
    info = add(session, type=TrackType.VIDEO, layers=[{"quality": quality} for quality in order])
    assert [layer.quality for layer in info.layers] == sorted(order)
