"""A participant that signals by HTTP (WHIP, WHEP): one offer, one answer, afterwards only its ICE may change.

To the room it is a participant like any other; what a WebSocket would be told ends here.
"""

import asyncio
from collections.abc import Callable

from livekit.protocol.models import DisconnectReason, TrackSource, TrackType, VideoLayer, VideoQuality
from livekit.protocol.rtc import AddTrackRequest, ICEServer, JoinRequest, SessionDescription, SignalResponse

from auralink.kit.errors import Unavailable
from auralink.media import membership
from auralink.media.engine import OfferedSection
from auralink.media.ice_fragment import (
    DescriptionRefused,
    Fragment,
    credentials,
    for_player,
    fragment_of,
    sections,
    with_credentials,
)
from auralink.media.joining import Joining
from auralink.media.participant import Connection
from auralink.media.playlist import Playlist
from auralink.media.session import Session
from auralink.media.sids import new_sid
from auralink.media.tokens import Claims

_ANSWER_S = 10.0
"""The engine answers within milliseconds; this is for one that has stopped."""
_LAYERS = (VideoQuality.LOW, VideoQuality.MEDIUM, VideoQuality.HIGH)


class HttpSession:
    """Made by `open`; lives on the event loop. `playlist` is a player's, None for who publishes."""

    def __init__(self, joining: Joining, claims: Claims, offer: str, playlist: Playlist | None) -> None:
        self._joining = joining
        self._claims = claims
        self._offer = offer
        self._sections = sections(offer)
        self._playlist = playlist
        self._connection = Connection(send=self._told, close=self._closed, refused=self._refused)
        self._session: Session | None = None
        self._offers = 0
        self._awaited: tuple[int, asyncio.Future[str]] | None = None
        self._changing = asyncio.Lock()
        self._renewing = False
        self._on_end: Callable[[], None] = lambda: None
        self.ended = False
        self.ice_servers: list[ICEServer] = []
        self.ufrag = ""
        """Of our ICE session: the entity tag."""

    async def open(self, on_end: Callable[[], None]) -> str:
        """Joins, and answers the offer. `on_end` is called once when the participant is gone, whoever ended it."""
        self._on_end = on_end
        request = JoinRequest()
        request.connection_settings.auto_subscribe = self._receives and (self._playlist is None or self._playlist.all)
        self._session = session = self._joining.join(self._claims, request, self._connection)
        if self._playlist:
            self._playlist.begin(session.room, session.me)
        try:
            async with self._changing:
                answer = await self._exchange(self._offer)
        except BaseException:
            self.end(DisconnectReason.JOIN_FAILURE)
            raise
        self.ufrag, _ = credentials(answer)
        return for_player(answer, self._sections, session.room.sid) if self._playlist else answer

    @property
    def sid(self) -> str:
        return self._session.me.sid if self._session else ""

    def is_of(self, claims: Claims) -> bool:
        """Does this token speak for the same participant?"""
        mine = self._claims
        return (mine.tenant, mine.video.room, mine.identity) == (claims.tenant, claims.video.room, claims.identity)

    @property
    def _receives(self) -> bool:
        return any(section.receives for section in self._sections)

    # --- changes of ICE ------------------------------------------------------------------------------------------

    def trickle(self, fragment: Fragment) -> None:
        """ICE-lite: the client's checks tell us its addresses, so its candidates only have to belong to the session.
        Raises DescriptionRefused."""
        known = {section.mid for section in self._sections}
        if any(mid not in known for mid in fragment.mids):
            raise DescriptionRefused("The fragment's mid is not one of the offer.")
        ufrag, password = credentials(self._offer)
        if fragment.ufrag not in ("", ufrag) or fragment.password not in ("", password):
            raise DescriptionRefused("The fragment's ICE credentials are not those of the offer.")

    async def restart_ice(self, fragment: Fragment) -> str:
        """Our new end of the transport, as a fragment. Media goes on meanwhile. Raises DescriptionRefused."""
        if not fragment.ufrag or not fragment.password:
            raise DescriptionRefused("An ICE restart needs a=ice-ufrag and a=ice-pwd.")
        async with self._changing:
            offer = with_credentials(self._offer, fragment)
            answer = await self._exchange(offer)
            self._offer = offer
            self.ufrag, _ = credentials(answer)
            return fragment_of(answer)

    def end(self, reason: "DisconnectReason" = DisconnectReason.CLIENT_INITIATED) -> None:
        if self._session:
            membership.remove(self._session.room, self._session.me, reason)
        self._closed()

    # --- what the room says --------------------------------------------------------------------------------------

    async def _exchange(self, offer: str) -> str:
        """Raises DescriptionRefused, Unavailable."""
        answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._awaited = self._send(offer), answer
        try:
            async with asyncio.timeout(_ANSWER_S):
                return await answer
        except TimeoutError as error:
            raise Unavailable("The media engine did not answer.") from error
        finally:
            self._awaited = None

    def _send(self, offer: str) -> int:
        self._offers += 1
        if self._session:
            self._session.offer(SessionDescription(type="offer", sdp=offer, id=self._offers))
        return self._offers

    def _told(self, message: SignalResponse) -> None:
        match message.WhichOneof("message"):
            case "join":
                self.ice_servers = list(message.join.ice_servers)
            case "answer":
                self._answered(message.answer)
            case "update" if self._playlist and self._session:
                self._playlist.follow(self._session.room, self._session.me, message.update.participants)
                self._renew()
            case "media_sections_requirement":
                self._renew()

    def _answered(self, answer: SessionDescription) -> None:
        if self._session and not self._playlist:
            self._publish(self._session)
        if self._awaited and self._awaited[0] == answer.id and not self._awaited[1].done():
            self._awaited[1].set_result(answer.sdp)

    def _refused(self, message: str) -> None:
        self._fail(DescriptionRefused(message))

    def _closed(self) -> None:
        self._fail(Unavailable("The session ended before it was answered."))
        if not self.ended:
            self.ended = True
            self._on_end()

    def _fail(self, error: Exception) -> None:
        if self._awaited and not self._awaited[1].done():
            self._awaited[1].set_exception(error)

    def _publish(self, session: Session) -> None:
        """Nobody announces tracks here, so each section the client sends in is one, named as LiveKit names them."""
        known = {track.mid for track in session.me.tracks.values()}
        for section in session.me.sections:
            if section["mid"] not in known:
                session.add_track(_track_of(section))

    def _renew(self) -> None:
        """More is to be played than sections are bound. Applying the same offer again gives free sections to what
        waits; the client need not know, for its answer left all of them open."""
        if not self._renewing:
            self._renewing = True
            asyncio.get_running_loop().call_soon(self._renew_now)

    def _renew_now(self) -> None:
        self._renewing = False
        session = self._session
        if session and self._playlist and self._playlist.may_bind(session.room, session.me, self._sections):
            self._send(self._offer)


def _track_of(section: OfferedSection) -> AddTrackRequest:
    audio = section["kind"] == "audio"
    qualities = _LAYERS[: max(len(section["rids"]), 1)]
    return AddTrackRequest(
        cid=section["cid"] or new_sid("TR_"),
        name="synthesized-microphone" if audio else "synthesized-camera",
        type=TrackType.AUDIO if audio else TrackType.VIDEO,
        source=TrackSource.MICROPHONE if audio else TrackSource.CAMERA,
        disable_dtx=True,
        stream="camera",
        layers=[] if audio else [VideoLayer(quality=quality) for quality in qualities],
    )
