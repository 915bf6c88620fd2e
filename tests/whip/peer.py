"""WHIP and WHEP clients made of aiortc and plain HTTP requests."""

import asyncio
import fractions
import math
from array import array
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
from aioice import Candidate, Connection
from aiortc import RTCBundlePolicy, RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription
from aiortc.mediastreams import AudioStreamTrack, MediaStreamError, MediaStreamTrack, VideoStreamTrack
from av import AudioFrame, VideoFrame
from tests.compat.conftest import MediaServer
from tests.journeys.people import CALL_TIMEOUT_S

SDP, FRAGMENT = "application/sdp", "application/trickle-ice-sdpfrag"
RATE, SAMPLES = 48_000, 960


class Tone(AudioStreamTrack):
    """440 Hz."""

    async def recv(self) -> AudioFrame:
        silence = await super().recv()  # keeps the time, at 8 kHz
        start = silence.pts * (RATE // silence.sample_rate)
        angles = (math.tau * 440 * (start + n) / RATE for n in range(SAMPLES))
        frame = AudioFrame(format="s16", layout="mono", samples=SAMPLES)
        frame.planes[0].update(array("h", (int(8000 * math.sin(a)) for a in angles)).tobytes())
        frame.pts, frame.sample_rate = start, RATE
        frame.time_base = fractions.Fraction(1, RATE)
        return frame


class Picture(VideoStreamTrack):
    """320 x 240, of a grey that changes with every frame."""

    level = 0

    async def recv(self) -> VideoFrame:
        pts, time_base = await self.next_timestamp()
        self.level = (self.level + 3) % 200
        frame = VideoFrame(320, 240, "yuv420p")
        for plane, value in zip(frame.planes, (self.level + 16, 128, 128), strict=True):
            plane.update(bytes([value]) * plane.buffer_size)
        frame.pts, frame.time_base = pts, time_base
        return frame


class HttpPeer:
    """One peer connection and the HTTP session that goes with it."""

    def __init__(self, server: MediaServer, endpoint: str, token: str) -> None:
        self.base = server.url.replace("ws", "http", 1)
        self.endpoint = self.base + endpoint
        self.client = httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=CALL_TIMEOUT_S)
        bundle = RTCBundlePolicy.MAX_BUNDLE  # aiortc loses the fourth section otherwise
        self.connection = RTCPeerConnection(RTCConfiguration(iceServers=[], bundlePolicy=bundle))
        self.session = ""
        self.etag = ""
        self.frames: dict[str, int] = {}
        """Decoded frames by section."""
        self.picture: VideoFrame | None = None
        """The newest one decoded."""
        self.tasks: list[asyncio.Task[None]] = []
        self.connection.on("track", self._on_track)

    async def open(self) -> httpx.Response:
        """Offer, and apply the answer."""
        await self.connection.setLocalDescription(await self.connection.createOffer())
        answer = await self.post(self.connection.localDescription.sdp)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        assert answer.headers["content-type"] == SDP
        self.session = self.base + answer.headers["location"]
        self.etag = answer.headers["etag"]
        await self.connection.setRemoteDescription(RTCSessionDescription(answer.text, "answer"))
        return answer

    async def post(self, offer: str, content_type: str = SDP) -> httpx.Response:
        return await self.client.post(self.endpoint, content=offer, headers={"Content-Type": content_type})

    async def patch(self, fragment: str, etag: str | None) -> httpx.Response:
        headers = {"Content-Type": FRAGMENT} | ({"If-Match": etag} if etag else {})
        return await self.client.patch(self.session, content=fragment, headers=headers)

    async def delete(self) -> httpx.Response:
        return await self.client.delete(self.session)

    def seen(self, mid: str) -> int:
        return self.frames.get(mid, 0)

    async def close(self) -> None:
        for task in self.tasks:
            task.cancel()
        await asyncio.gather(*self.tasks, return_exceptions=True)
        await self.connection.close()
        await self.client.aclose()

    def _on_track(self, track: MediaStreamTrack) -> None:
        mid = next(t.mid for t in self.connection.getTransceivers() if t.receiver.track is track)
        self.tasks.append(asyncio.create_task(self._count(mid, track)))

    async def _count(self, mid: str, track: MediaStreamTrack) -> None:
        while True:
            try:
                frame = await track.recv()
            except MediaStreamError:
                return
            if isinstance(frame, VideoFrame):
                self.picture = frame
            self.frames[mid] = self.seen(mid) + 1


@asynccontextmanager
async def publishing(server: MediaServer, token: str, codec: str = "video/VP8") -> AsyncIterator[HttpPeer]:
    """A WHIP client that sends a tone and a picture."""
    peer = HttpPeer(server, "/whip/v1", token)
    try:
        peer.connection.addTransceiver(Tone(), direction="sendonly")
        camera = peer.connection.addTransceiver(Picture(), direction="sendonly")
        known = RTCRtpSender.getCapabilities("video").codecs
        camera.setCodecPreferences([one for one in known if one.mimeType in (codec, "video/rtx")])
        await peer.open()
        yield peer
    finally:
        await peer.close()


@asynccontextmanager
async def playing(server: MediaServer, token: str, query: str = "", **sections: int) -> AsyncIterator[HttpPeer]:
    """A WHEP client with so many sections of each kind, one if not said."""
    peer = HttpPeer(server, f"/whep/v1{query}", token)
    try:
        for kind in ("audio", "video"):
            for _ in range(sections.get(kind, 1)):
                peer.connection.addTransceiver(kind, direction="recvonly")
        await peer.open()
        yield peer
    finally:
        await peer.close()


class Restartable:
    """aiortc cannot restart ICE, so this puts a second ICE connection in the place of the first."""

    def __init__(self, connection: RTCPeerConnection) -> None:
        self._transport: Any = connection.getTransceivers()[0].sender.transport.transport
        self._received: asyncio.Queue[bytes] = asyncio.Queue()
        self._readers = [asyncio.create_task(self._read(self._transport._connection))]
        self._taken_over = asyncio.Event()
        self._transport._recv = self._recv
        self.fresh = Connection(ice_controlling=True)

    async def fragment(self, mid: str) -> str:
        """What the client sends to restart."""
        await self._taken_over.wait()  # until then DTLS waits for one more packet of the first connection
        await self.fresh.gather_candidates()
        candidates = [f"a=candidate:{c.to_sdp()}" for c in self.fresh.local_candidates]
        ours = [f"a=ice-ufrag:{self.fresh.local_username}", f"a=ice-pwd:{self.fresh.local_password}"]
        return "\r\n".join([*ours, "m=audio 9 UDP/TLS/RTP/SAVPF 0", f"a=mid:{mid}", *candidates, ""])

    async def use(self, answer: str) -> None:
        """Connect to the server's new end, and send there from now on."""
        lines = answer.splitlines()
        self.fresh.remote_is_lite = True
        self.fresh.remote_username = _value(lines, "ice-ufrag")
        self.fresh.remote_password = _value(lines, "ice-pwd")
        for line in lines:
            if line.startswith("a=candidate:") and " udp " in line.lower():
                await self.fresh.add_remote_candidate(Candidate.from_sdp(line.removeprefix("a=candidate:")))
        await self.fresh.add_remote_candidate(None)
        await self.fresh.connect()
        self._readers.append(asyncio.create_task(self._read(self.fresh)))
        self._transport._send = self.fresh.send

    async def stop(self) -> None:
        for reader in self._readers:
            reader.cancel()
        await asyncio.gather(*self._readers, return_exceptions=True)
        await self.fresh.close()

    async def _recv(self) -> bytes:
        self._taken_over.set()
        return await self._received.get()

    async def _read(self, connection: Connection) -> None:
        while True:
            self._received.put_nowait(await connection.recv())


def _value(lines: list[str], name: str) -> str:
    return next(line.removeprefix(f"a={name}:") for line in lines if line.startswith(f"a={name}:"))
