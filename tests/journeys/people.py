"""Programs that use the platform as the outside world does: REST for accounts and rooms, the official SDK for calls."""

import asyncio
import itertools
import math
import uuid
import warnings
from array import array
from collections.abc import Awaitable
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

import httpx
from livekit import rtc

CALL_TIMEOUT_S = 30.0
CLOSE_TIMEOUT_S = 10.0
SAMPLE_RATE = 48_000
SAMPLES = SAMPLE_RATE // 100
WIDTH, HEIGHT = 320, 240


@dataclass(frozen=True)
class Ticket:
    """What `POST rooms/{id}/token` answers."""

    token: str
    url: str
    identity: str
    room: str


class Person:
    """An account and its REST client."""

    def __init__(self, client: httpx.AsyncClient, account: dict[str, Any]) -> None:
        self.client = client
        self.account = account

    @classmethod
    async def sign_up(cls, base_url: str) -> Self:
        client = httpx.AsyncClient(base_url=f"{base_url}/api/v1", timeout=CALL_TIMEOUT_S)
        name = uuid.uuid4().hex[:12]
        body = {"email": f"{name}@example.org", "password": f"correct horse {name}", "name": f"Person {name}"}
        answer = await client.post("/auth/signup", json=body)
        assert answer.status_code == httpx.codes.CREATED, answer.text
        person = cls(client, answer.json())
        person._use(answer.json())
        return person

    async def refresh(self) -> None:
        """The access token lives for some minutes; those who stay longer exchange it."""
        answer = await self.client.post("/auth/refresh", json={"refresh_token": self.account["refresh_token"]})
        assert answer.status_code == httpx.codes.OK, answer.text
        self._use(answer.json())

    def _use(self, account: dict[str, Any]) -> None:
        self.account = account
        self.client.headers["Authorization"] = f"Bearer {account['access_token']}"

    async def create_room(self) -> "OpenRoom":
        """A room that guests may enter with its invite."""
        answer = await self.client.post("/rooms", json={"name": "A room", "join_policy": "invite"})
        assert answer.status_code == httpx.codes.CREATED, answer.text
        return OpenRoom(self, answer.json()["id"], answer.json()["invite_code"])

    async def ticket(self, room_id: str) -> Ticket:
        """The account's own; a second one of the same account replaces the first in the call."""
        return _ticket(await self.client.post(f"/rooms/{room_id}/token", json={}))

    async def guest_ticket(self, invite: str, display_name: str = "Guest") -> Ticket:
        """Somebody new each time."""
        return _ticket(await self.client.post(f"/invites/{invite}/token", json={"display_name": display_name}))

    async def events(self, room_id: str) -> list[dict[str, Any]]:
        """Everything that happened in the room so far, oldest first."""
        items: list[dict[str, Any]] = []
        cursor: str | None = None
        while True:
            page = await self.client.get("/events", params={"limit": 100, "room_id": room_id, "after": cursor or "0"})
            assert page.status_code == httpx.codes.OK, page.text
            if not page.json()["items"]:
                return items
            items += page.json()["items"]
            cursor = page.json()["next_cursor"]

    async def event(self, room_id: str, kind: str, count: int = 1) -> list[dict[str, Any]]:
        """Wait until so many events of this type are recorded; they come through the media server's webhooks."""
        async with asyncio.timeout(CALL_TIMEOUT_S):
            while True:
                found = [event for event in await self.events(room_id) if event["type"] == kind]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.1)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.client.aclose()


@dataclass(frozen=True)
class OpenRoom:
    owner: Person
    id: str
    invite: str

    async def host(self) -> Ticket:
        return await self.owner.ticket(self.id)

    async def guest(self) -> Ticket:
        return await self.owner.guest_ticket(self.invite)


def _ticket(answer: httpx.Response) -> Ticket:
    assert answer.status_code == httpx.codes.CREATED, answer.text
    return Ticket(**{name: answer.json()[name] for name in ("token", "url", "identity", "room")})


class Call:
    """One participant by the official SDK, sending a tone and a moving picture and counting what comes in."""

    def __init__(self) -> None:
        self.room = rtc.Room()
        self.audio_frames = 0
        self.video_frames = 0
        self.arrived: set[str] = set()
        """Tracks, by sid, of which a frame came."""
        self.messages: asyncio.Queue[bytes] = asyncio.Queue()
        self.left: asyncio.Queue[str] = asyncio.Queue()
        self.disconnected = asyncio.Event()
        self._frame = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self.room.on("track_subscribed", self._on_track)
        self.room.on("data_received", lambda packet: self.messages.put_nowait(packet.data))
        self.room.on("participant_disconnected", lambda participant: self.left.put_nowait(participant.identity))
        self.room.on("disconnected", lambda *_: self.disconnected.set())

    async def join(self, ticket: Ticket, options: rtc.RoomOptions | None = None) -> Self:
        connecting = self.room.connect(ticket.url, ticket.token, options or rtc.RoomOptions())
        await asyncio.wait_for(connecting, CALL_TIMEOUT_S)
        return self

    async def publish(self) -> None:
        """Camera and microphone, until the call is closed."""
        microphone, camera = rtc.AudioSource(SAMPLE_RATE, 1), rtc.VideoSource(WIDTH, HEIGHT)
        for track, source in (
            (rtc.LocalAudioTrack.create_audio_track("microphone", microphone), rtc.TrackSource.SOURCE_MICROPHONE),
            (rtc.LocalVideoTrack.create_video_track("camera", camera), rtc.TrackSource.SOURCE_CAMERA),
        ):
            options = rtc.TrackPublishOptions(source=source, simulcast=False)
            await asyncio.wait_for(self.room.local_participant.publish_track(track, options), CALL_TIMEOUT_S)
        self._spawn(play_tone(microphone))
        self._spawn(play_picture(camera))

    async def say(self, message: bytes) -> None:
        await asyncio.wait_for(self.room.local_participant.publish_data(message, reliable=True), CALL_TIMEOUT_S)

    async def hears(self, message: bytes) -> None:
        while await asyncio.wait_for(self.messages.get(), CALL_TIMEOUT_S) != message:
            pass

    async def sees_more(self, frames: int = 10) -> None:
        """Both audio and video keep arriving."""
        audio, video = self.audio_frames + frames, self.video_frames + frames
        async with asyncio.timeout(CALL_TIMEOUT_S):
            while self.audio_frames < audio or self.video_frames < video:
                self._frame.clear()
                await self._frame.wait()

    async def close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await _ended("its streams", asyncio.gather(*self._tasks, return_exceptions=True))
        await _ended("the room", self.room.disconnect())

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    def _on_track(self, track: rtc.Track, *_: object) -> None:
        if track.kind == rtc.TrackKind.KIND_AUDIO:
            self._spawn(self._count_audio(track))
        else:
            self._spawn(self._count_video(track))

    async def _count_audio(self, track: rtc.Track) -> None:
        stream = rtc.AudioStream(track)
        try:
            async for _ in stream:
                self.audio_frames += 1
                self.arrived.add(track.sid)
                self._frame.set()
        finally:
            await stream.aclose()

    async def _count_video(self, track: rtc.Track) -> None:
        stream = rtc.VideoStream(track)
        try:
            async for _ in stream:
                self.video_frames += 1
                self.arrived.add(track.sid)
                self._frame.set()
        finally:
            await stream.aclose()

    def _spawn(self, work: Any) -> None:
        self._tasks.add(asyncio.create_task(work))


async def _ended(what: str, closing: Awaitable[object]) -> None:
    """On a busy machine the SDK rarely waits for ever where it closes. What a test asks is answered by then."""
    try:
        await asyncio.wait_for(closing, CLOSE_TIMEOUT_S)
    except TimeoutError:
        warnings.warn(f"the SDK did not close {what} in {CLOSE_TIMEOUT_S:.0f} s", stacklevel=2)


async def play_tone(source: rtc.AudioSource) -> None:
    """440 Hz, in frames of 10 ms; the source sets the pace."""
    # Five frames are 22 whole periods. Made once: ten callers that compute every sample keep a slow core busy.
    waves = (math.tau * 440 * sample / SAMPLE_RATE for sample in range(5 * SAMPLES))
    samples = array("h", (int(8000 * math.sin(wave)) for wave in waves))
    frames = [samples[at : at + SAMPLES].tobytes() for at in range(0, len(samples), SAMPLES)]
    for frame in itertools.cycle(frames):
        await source.capture_frame(rtc.AudioFrame(frame, SAMPLE_RATE, 1, SAMPLES))


async def play_picture(source: rtc.VideoSource, width: int = WIDTH, height: int = HEIGHT) -> None:
    """Grey levels that change with every frame, 20 a second."""
    level = 0
    while True:
        level = (level + 3) % 200
        luma = bytes([level + 16]) * (width * height)
        frame = luma + bytes([128]) * (width * height // 2)
        source.capture_frame(rtc.VideoFrame(width, height, rtc.VideoBufferType.I420, frame))
        await asyncio.sleep(0.05)
