"""Who speaks in a room: told to the speakers themselves and to those who take something of them, only what changed."""

from collections.abc import Iterable

from livekit.protocol.models import SpeakerInfo
from livekit.protocol.rtc import SignalResponse, SpeakersChanged

from auralink.media.participant import Participant

_LEVEL_STEPS = 8
"""Levels are told in eighths: finer differences would only make messages."""


class Speakers:
    """Of one room."""

    def __init__(self) -> None:
        self._speaking: dict[str, SpeakerInfo] = {}
        """What was told last of those who speak, by participant sid."""

    def changed(self, present: Iterable[Participant], levels: Iterable[tuple[Participant, float, bool]]) -> None:
        """`levels`: speaker, level from 0 to 1, whether it speaks; of those for whom that changed."""
        news = [(who, info) for who, level, active in levels if (info := self._note(who, level, active))]
        if not news:
            return
        messages: dict[tuple[str, ...], SignalResponse] = {}
        for me in present:
            heard = [info for who, info in news if who is me or me.takes(who)]
            if heard:
                # Most hear the same speakers: they share one message, which is then encoded once.
                sids = tuple(info.sid for info in heard)
                message = messages.get(sids) or messages.setdefault(sids, _message(heard))
                me.send(message)

    def _note(self, who: Participant, level: float, active: bool) -> SpeakerInfo | None:
        """What is new about it, if anything."""
        if who.grant.hidden:
            return None
        info = SpeakerInfo(sid=who.sid, level=round(level * _LEVEL_STEPS) / _LEVEL_STEPS, active=active)
        if (not active and who.sid not in self._speaking) or self._speaking.get(who.sid) == info:
            return None
        if active:
            self._speaking[who.sid] = info
        else:
            del self._speaking[who.sid]
        return info

    def heard(self, me: Participant, who: Participant) -> None:
        """`me` took the first track of `who`."""
        if info := self._speaking.get(who.sid):
            me.send(_message([info]))

    def unheard(self, me: Participant, who: Participant) -> None:
        """`me` takes nothing of `who` any more, and would not be told when it falls silent."""
        if who.sid in self._speaking:
            me.send(_message([SpeakerInfo(sid=who.sid, level=0, active=False)]))

    def left(self, who: Participant) -> None:
        self._speaking.pop(who.sid, None)


def _message(speakers: list[SpeakerInfo]) -> SignalResponse:
    return SignalResponse(speakers_changed=SpeakersChanged(speakers=speakers))
