"""Turns reports of the media server into history and events. Reports may come twice, late or out of order.

What is written follows from three rules, so that readers of events can rely on their order (see events.py):
- a report about something unknown implies what must have come before it (someone who leaves had joined);
- an end is final: what comes after it about the same thing changes nothing;
- the end of something ends all it contains (a finished room has nobody in it).
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TypedDict

from auralink.identity import AccountNotFound, People
from auralink.kit.auth import Principal
from auralink.kit.clock import Clock
from auralink.kit.db import Database, Tx
from auralink.kit.ids import OrgId, RoomId, UserId
from auralink.rooms.domain import ParticipantStatus, user_of
from auralink.rooms.events import (
    ParticipantAborted,
    ParticipantJoined,
    ParticipantLeft,
    RoomFinished,
    RoomRevived,
    RoomStarted,
    TrackPublished,
    TrackUnpublished,
)
from auralink.rooms.history_store import HistoryStore
from auralink.rooms.models import ParticipantRow, SessionRow, TrackRow
from auralink.rooms.reports import MediaReport, ReportedParticipant, ReportedTrack, ReportKind


class RoomHistory:
    def __init__(self, database: Database, store: HistoryStore, people: People, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._people = people
        self._clock = clock

    async def take_in(self, report: MediaReport) -> None:
        """Record a report, durably when this returns. A repetition and one about a room that never was change nothing.
        Raises DatabaseUnavailable."""
        async with self._database.transaction(Principal.system()) as tx:
            await self._record(tx, report)

    async def _record(self, tx: Tx, report: MediaReport) -> None:
        if not await self._store.is_new(tx, report.id, self._clock.now()):
            return
        found = await self._store.lock_room(tx, report.room_id)
        if found is None:
            return
        org_id, deleted = found
        chapter = _Chapter(tx, self._store, self._people, report, org_id)
        started = await chapter.write()
        if deleted and started:
            tx.emit(RoomRevived(org_id=org_id, room_id=report.room_id, occurred_at=report.at))


@dataclass(slots=True)
class _Chapter:
    """One report being written down."""

    tx: Tx
    store: HistoryStore
    people: People
    report: MediaReport
    org_id: OrgId
    started: bool = False

    async def write(self) -> bool:
        """Returns whether this report opened the room."""
        session = await self._session()
        report, who, what = self.report, self.report.participant, self.report.track
        match report.kind:
            case ReportKind.ROOM_FINISHED:
                await self._finish(session, report.at, report.end_reason)
            case ReportKind.PARTICIPANT_JOINED if who:
                await self._stay(session, who)
            case ReportKind.PARTICIPANT_LEFT if who:
                await self._leave(session, who)
            case ReportKind.PARTICIPANT_ABORTED if who:
                await self._abort(session, who)
            case ReportKind.TRACK_PUBLISHED if who and what:
                await self._publish(session, who, what)
            case ReportKind.TRACK_UNPUBLISHED if who and what:
                track = await self._publish(session, who, what)
                await self._unpublish(await self._stay(session, who), track, report.at)
        return self.started

    async def _session(self) -> SessionRow:
        """The session reported about. A new one supersedes the one before, whose end was not reported."""
        report = self.report
        known = await self.store.session(self.tx, report.room_id, report.session)
        if known:
            return known
        others = await self.store.open_sessions(self.tx, report.room_id)
        if any(other.started_at > report.at for other in others):
            return await self.store.add_session(
                self.tx, report.room_id, self.org_id, report.session, report.at, finished_at=report.at
            )
        for other in others:
            await self._finish(other, report.at, "superseded")
        session = await self.store.add_session(
            self.tx, report.room_id, self.org_id, report.session, report.at, finished_at=None
        )
        self.started = True
        self.tx.emit(
            RoomStarted(org_id=self.org_id, room_id=report.room_id, occurred_at=report.at, session=report.session)
        )
        return session

    async def _finish(self, session: SessionRow, at: datetime, reason: str) -> None:
        if session.finished_at is not None:
            return
        for participant in await self.store.present(self.tx, session.room_id, session.sid):
            await self._end_stay(participant, ParticipantStatus.LEFT, at, "room_closed")
        session.finished_at = at
        self.tx.emit(
            RoomFinished(
                org_id=self.org_id, room_id=session.room_id, occurred_at=at, session=session.sid, reason=reason
            )
        )

    async def _stay(self, session: SessionRow, who: ReportedParticipant) -> ParticipantRow:
        """The stay reported about; a new one begins here, unless its session is over already."""
        known = await self.store.participant(self.tx, session.room_id, who.sid)
        if known:
            return known
        over = session.finished_at is not None
        joined_at = min(who.joined_at or self.report.at, self.report.at)
        row = await self.store.add_participant(
            self.tx,
            session,
            who,
            await self._account(who),
            joined_at,
            ParticipantStatus.LEFT if over else ParticipantStatus.JOINED,
            left_at=self.report.at if over else None,
        )
        if not over:
            self.tx.emit(ParticipantJoined(occurred_at=joined_at, **_about(row)))
        return row

    async def _leave(self, session: SessionRow, who: ReportedParticipant) -> None:
        participant = await self._stay(session, who)
        await self._end_stay(participant, ParticipantStatus.LEFT, self.report.at, who.leave_reason)

    async def _abort(self, session: SessionRow, who: ReportedParticipant) -> None:
        """Of someone who never got through there is no joining to tell."""
        known = await self.store.participant(self.tx, session.room_id, who.sid)
        if known:
            await self._end_stay(known, ParticipantStatus.ABORTED, self.report.at, who.leave_reason)
            return
        row = await self.store.add_participant(
            self.tx,
            session,
            who,
            await self._account(who),
            min(who.joined_at or self.report.at, self.report.at),
            ParticipantStatus.ABORTED,
            left_at=self.report.at,
        )
        if session.finished_at is None:
            self.tx.emit(ParticipantAborted(occurred_at=self.report.at, reason=who.leave_reason, **_about(row)))

    async def _end_stay(
        self, participant: ParticipantRow, status: ParticipantStatus, at: datetime, reason: str
    ) -> None:
        if participant.left_at is not None:
            return
        for track in await self.store.open_tracks(self.tx, participant):
            await self._unpublish(participant, track, at)
        participant.status = status.value
        participant.left_at = at
        participant.leave_reason = reason
        kind = ParticipantAborted if status is ParticipantStatus.ABORTED else ParticipantLeft
        self.tx.emit(kind(occurred_at=at, reason=reason, **_about(participant)))

    async def _publish(self, session: SessionRow, who: ReportedParticipant, what: ReportedTrack) -> TrackRow:
        participant = await self._stay(session, who)
        known = await self.store.track(self.tx, session.room_id, what.sid)
        if known:
            return known
        over = participant.left_at is not None
        at = self.report.at
        track = await self.store.add_track(self.tx, participant, what, at, unpublished_at=at if over else None)
        if not over:
            self.tx.emit(TrackPublished(occurred_at=at, **_about_track(participant, track)))
        return track

    async def _unpublish(self, participant: ParticipantRow, track: TrackRow, at: datetime) -> None:
        if track.unpublished_at is not None:
            return
        track.unpublished_at = at
        self.tx.emit(TrackUnpublished(occurred_at=at, **_about_track(participant, track)))

    async def _account(self, who: ReportedParticipant) -> UserId | None:
        """Tokens can be minted by hand with any identity, so one that looks like an account's may be nobody's."""
        user_id = user_of(who.identity)
        if user_id is None:
            return None
        try:
            return (await self.people.get(self.tx, user_id)).id
        except AccountNotFound:
            return None


class _AboutParticipant(TypedDict):
    org_id: OrgId
    room_id: RoomId
    session: str
    participant: str
    identity: str
    name: str


class _AboutTrack(TypedDict):
    org_id: OrgId
    room_id: RoomId
    participant: str
    identity: str
    track: str
    kind: str
    source: str


def _about(row: ParticipantRow) -> _AboutParticipant:
    return {
        "org_id": row.org_id,
        "room_id": row.room_id,
        "session": row.session_sid,
        "participant": row.sid,
        "identity": row.identity,
        "name": row.name,
    }


def _about_track(participant: ParticipantRow, track: TrackRow) -> _AboutTrack:
    return {
        "org_id": track.org_id,
        "room_id": track.room_id,
        "participant": participant.sid,
        "identity": participant.identity,
        "track": track.sid,
        "kind": track.kind,
        "source": track.source,
    }
