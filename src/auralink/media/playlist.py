"""What a WHEP player is sent: everything it may have, or the participants and tracks its address names."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from livekit.protocol.models import ParticipantInfo

from auralink.media import subscribing
from auralink.media.ice_fragment import Section
from auralink.media.limits import Limits
from auralink.media.participant import Participant
from auralink.media.room import Room


@dataclass
class Playlist:
    """Of `identities` all tracks, of the others those in `tracks` (by sid or name); neither: everything."""

    identities: frozenset[str] = frozenset()
    tracks: frozenset[str] = frozenset()
    limits: Limits = field(default_factory=Limits)
    _left_out: frozenset[str] = field(default_factory=frozenset)
    """What waited in vain when sections were last given out."""

    @property
    def all(self) -> bool:
        return not self.identities and not self.tracks

    def begin(self, room: Room, me: Participant) -> None:
        self.follow(room, me, (p.info() for p in room.participants.values() if not p.grant.hidden))

    def follow(self, room: Room, me: Participant, participants: Iterable[ParticipantInfo]) -> None:
        """Wishes for what is chosen of these participants' tracks."""
        if self.all:
            return
        for participant in participants:
            sids = [t.sid for t in participant.tracks if self._chosen(participant.identity, t.sid, t.name)]
            new = [sid for sid in sids if sid not in me.wishes]
            if new and len(me.wishes) + len(new) <= self.limits.wishes_per_participant:
                subscribing.wish(room, me, new, True)

    def _chosen(self, identity: str, sid: str, name: str) -> bool:
        of_participant = not self.identities or identity in self.identities
        return of_participant and (not self.tracks or sid in self.tracks or name in self.tracks)

    def may_bind(self, room: Room, me: Participant, offered: Iterable[Section]) -> bool:
        """Is there a section of the kind of some track that waits? False when nothing changed since it was asked."""
        free = Counter(section.kind for section in offered if section.receives)
        waiting: dict[str, str] = {}
        for track in room.announced_tracks():
            subscription = me.subscriptions.get(track.info.sid)
            if subscription and subscription.bound:
                free[track.kind] -= 1
            elif subscription:
                waiting[track.info.sid] = track.kind
        if self._left_out == waiting.keys() or not any(free[kind] > 0 for kind in waiting.values()):
            return False
        self._left_out = frozenset(waiting)
        return True
