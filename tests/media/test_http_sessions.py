"""Participants that signal by HTTP, against a scripted engine: what the room sees of them."""

import asyncio
import re
from typing import Any

import pytest
from livekit.protocol.models import DisconnectReason, ParticipantInfo, TrackSource, VideoQuality
from tests.media.scripted import Server

from auralink.media import membership
from auralink.media.engine import OfferedSection
from auralink.media.http_session import HttpSession
from auralink.media.ice_fragment import DescriptionRefused, Fragment, fragment_of, parse_fragment, sections
from auralink.media.playlist import Playlist

UFRAG, PASSWORD = "a=ice-ufrag:abcd", "a=ice-pwd:abcdefghijklmnopqrstuv"
OWN = "a=ice-ufrag:{0}\r\na=ice-pwd:ourpasswordourpassword0\r\na=candidate:1 1 udp 1 127.0.0.1 9 typ host\r\n"


def sdp(*media: tuple[str, str], credentials: str = f"{UFRAG}\r\n{PASSWORD}\r\n") -> str:
    """Sections by (kind, direction), with mids from 0."""
    text = "v=0\r\no=- 1 1 IN IP4 0.0.0.0\r\ns=-\r\nt=0 0\r\n"
    text += f"a=group:BUNDLE {' '.join(str(mid) for mid in range(len(media)))}\r\n"
    for mid, (kind, direction) in enumerate(media):
        text += f"m={kind} 9 UDP/TLS/RTP/SAVPF 96\r\na=mid:{mid}\r\na={direction}\r\n{credentials}"
    return text


PUBLISH = sdp(("audio", "sendonly"), ("video", "sendonly"))
PLAY = sdp(("audio", "recvonly"), ("video", "recvonly"))
OFFERED: list[OfferedSection] = [
    {"mid": "0", "kind": "audio", "cid": "", "codecs": ["audio/opus"], "rids": []},
    {"mid": "1", "kind": "video", "cid": "", "codecs": ["video/VP8"], "rids": ["q", "h", "f"]},
]


class Http:
    """One session, and the engine's part in it."""

    def __init__(self, server: Server, offer: str, playlist: Playlist | None = None, **claims: Any) -> None:
        self.server = server
        self.session = HttpSession(server.joining, server.keys.verify(server.token("http", **claims)), offer, playlist)
        self.ended = 0

    async def open(self, offered: list[OfferedSection] | None = None) -> str:
        opening = asyncio.create_task(self.session.open(self._end))
        await asyncio.sleep(0)
        self.answer("ours", offered or [])
        return await opening

    @property
    def peer(self) -> int:
        (_room,) = self.server.rooms.all()
        return next(p.peer for p in _room.participants.values() if p.identity == "http")

    def answer(self, ufrag: str, offered: list[OfferedSection]) -> None:
        arguments, _ = self.server.engine.named("offer")[-1]
        peer, offer_id, offer = arguments
        text = re.sub(r"a=ice-ufrag:\S+\s+a=ice-pwd:\S+\s+", OWN.format(ufrag), offer)
        text = text.replace("a=recvonly", "a=inactive").replace("a=sendonly", "a=recvonly")
        self.server.reports.handle(("answer", peer, offer_id, text, {}, offered))

    def _end(self) -> None:
        self.ended += 1


async def test_each_section_of_an_encoder_is_a_track_with_its_layers() -> None:
    server = Server()
    _, ann = server.join("ann")
    http = Http(server, PUBLISH, kind="ingress")
    await http.open(OFFERED)
    server.reports.handle(("connected", http.peer))
    seen = [p for update in ann.of("update") for p in update.participants if p.identity == "http"][-1]
    assert seen.kind == ParticipantInfo.Kind.INGRESS
    audio, video = sorted(seen.tracks, key=lambda track: track.mid)
    assert (audio.source, video.source) == (TrackSource.MICROPHONE, TrackSource.CAMERA)
    assert not audio.simulcast
    assert video.simulcast
    assert [layer.quality for layer in video.layers] == [VideoQuality.LOW, VideoQuality.MEDIUM, VideoQuality.HIGH]


async def test_the_webhooks_of_an_encoder_are_those_of_any_participant() -> None:
    server = Server()
    http = Http(server, PUBLISH)
    await http.open(OFFERED)
    server.reports.handle(("connected", http.peer))
    http.session.end()
    assert server.events.names == [
        "room_started",
        "participant_joined",
        *["track_published"] * 2,
        *["track_unpublished"] * 2,
        "participant_left",
    ]
    assert http.ended == 1


async def test_an_ice_restart_publishes_nothing_twice_and_answers_with_our_new_end() -> None:
    server = Server()
    http = Http(server, PUBLISH)
    await http.open(OFFERED)
    fragment = Fragment("efgh", "p" * 22, ("0",), ())
    restarting = asyncio.create_task(http.session.restart_ice(fragment))
    await asyncio.sleep(0)
    offer = server.engine.named("offer")[-1][0][2]
    assert offer.count("a=ice-ufrag:efgh") == 2, "in each section"
    http.answer("fresh", OFFERED)
    assert "a=ice-ufrag:fresh" in await restarting
    assert http.session.ufrag == "fresh"
    (room,) = server.rooms.all()
    assert len(room.participants["http"].tracks) == 2
    with pytest.raises(DescriptionRefused, match="credentials"):
        http.session.trickle(Fragment("abcd", "", (), ()))  # of the ICE session before


async def test_an_offer_the_engine_refuses_is_refused_with_its_reason_and_leaves_nobody_behind() -> None:
    server = Server()
    http = Http(server, PUBLISH)
    opening = asyncio.create_task(http.session.open(http._end))
    await asyncio.sleep(0)
    server.reports.handle(("offer_rejected", http.peer, 1, "no sha-256 fingerprint"))
    with pytest.raises(DescriptionRefused) as refused:
        await opening
    assert refused.value.detail == "no sha-256 fingerprint"
    (room,) = server.rooms.all()
    assert not room.participants


async def test_a_request_that_is_given_up_takes_its_participant_along() -> None:
    server = Server()
    http = Http(server, PUBLISH)
    opening = asyncio.create_task(http.session.open(http._end))
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    (room,) = server.rooms.all()
    assert not room.participants


async def test_whoever_ends_a_session_it_is_forgotten_once() -> None:
    server = Server()
    http = Http(server, PUBLISH)
    await http.open(OFFERED)
    (room,) = server.rooms.all()
    membership.close(room, DisconnectReason.ROOM_DELETED)
    http.session.end()
    assert http.ended == 1
    assert http.session.ended


async def test_all_sections_of_a_player_stay_open_and_form_one_stream() -> None:
    server = Server()
    answer = await Http(server, PLAY, Playlist()).open()
    (room,) = server.rooms.all()
    assert [section.direction for section in sections(answer)] == ["sendonly", "sendonly"]
    assert answer.count(f"a=msid:{room.sid} ") == 2


async def test_a_free_section_is_offered_again_when_something_waits_but_not_for_ever() -> None:
    server = Server()
    http = Http(server, PLAY, Playlist())
    await http.open()
    encoder = Http(server, PUBLISH)
    encoder.session = HttpSession(server.joining, server.keys.verify(server.token("encoder")), PUBLISH, None)
    opening = asyncio.create_task(encoder.session.open(encoder._end))
    await asyncio.sleep(0)
    encoder.answer("ours", OFFERED)
    await opening
    (room,) = server.rooms.all()
    server.reports.handle(("connected", room.participants["encoder"].peer))
    before = len(server.engine.named("offer"))
    for _ in range(3):
        server.reports.handle(("sections_needed", http.peer, 0, 0))
        await asyncio.sleep(0)
    assert len(server.engine.named("offer")) == before + 1, "the same offer gains nothing a second time"
    assert server.engine.named("offer")[-1][0][2] == PLAY


@pytest.mark.parametrize("text", ["", "nonsense", "a=ice-ufrag:x y\r\n", "a=ice-pwd:short\r\n", "m=audio 9 X 0\r\n"])
def test_a_fragment_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(DescriptionRefused):
        parse_fragment(text)


def test_a_fragment_names_its_section_and_its_candidates() -> None:
    candidate = "1 1 udp 2130706431 192.0.2.1 3478 typ host"
    fragment = parse_fragment(f"{UFRAG}\n{PASSWORD}\nm=audio 9 X 0\na=mid:0\na=candidate:{candidate}\n")
    assert fragment == Fragment("abcd", "abcdefghijklmnopqrstuv", ("0",), (candidate,))


def test_our_end_is_that_of_the_first_section_in_use() -> None:
    answer = sdp(("audio", "inactive"), ("video", "sendonly")).replace("BUNDLE 0 1", "BUNDLE 1")
    lines = fragment_of(answer).splitlines()
    assert "m=video 9 UDP/TLS/RTP/SAVPF 96" in lines
    assert "a=mid:1" in lines
    assert UFRAG in lines
    assert not any(line.startswith("a=sendonly") for line in lines)
