"""SQL of what happened in rooms. Runs as the system; whoever writes holds the room's row lock."""

from datetime import datetime, timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from auralink.kit.db import Tx
from auralink.kit.ids import OrgId, RoomId, UserId
from auralink.rooms.domain import ParticipantStatus
from auralink.rooms.models import ParticipantRow, RoomRow, SessionRow, TrackRow, WebhookRow
from auralink.rooms.reports import ReportedParticipant, ReportedTrack


class HistoryStore:
    async def is_new(self, tx: Tx, report_id: str, now: datetime) -> bool:
        """Remembers the report; whether it was not known before."""
        statement = insert(WebhookRow).values(id=report_id, received_at=now).on_conflict_do_nothing()
        return (await tx.session.execute(statement.returning(WebhookRow.id))).scalar_one_or_none() is not None

    async def lock_room(self, tx: Tx, room_id: RoomId) -> tuple[OrgId, bool] | None:
        """The room's organisation and whether it was deleted. Reports about one room are taken in one by one."""
        statement = select(RoomRow.org_id, RoomRow.deleted_at).where(RoomRow.id == room_id).with_for_update()
        row = (await tx.session.execute(statement)).one_or_none()
        return (row.org_id, row.deleted_at is not None) if row else None

    async def session(self, tx: Tx, room_id: RoomId, sid: str) -> SessionRow | None:
        return await tx.session.get(SessionRow, (room_id, sid))

    async def open_sessions(self, tx: Tx, room_id: RoomId) -> list[SessionRow]:
        statement = select(SessionRow).where(SessionRow.room_id == room_id, SessionRow.finished_at.is_(None))
        return list((await tx.session.scalars(statement.order_by(SessionRow.started_at))).all())

    async def add_session(
        self, tx: Tx, room_id: RoomId, org_id: OrgId, sid: str, started_at: datetime, finished_at: datetime | None
    ) -> SessionRow:
        row = SessionRow(room_id=room_id, sid=sid, org_id=org_id, started_at=started_at, finished_at=finished_at)
        tx.session.add(row)
        await tx.session.flush()
        return row

    async def participant(self, tx: Tx, room_id: RoomId, sid: str) -> ParticipantRow | None:
        return await tx.session.get(ParticipantRow, (room_id, sid))

    async def present(self, tx: Tx, room_id: RoomId, session: str) -> list[ParticipantRow]:
        statement = select(ParticipantRow).where(
            ParticipantRow.room_id == room_id,
            ParticipantRow.session_sid == session,
            ParticipantRow.status == ParticipantStatus.JOINED.value,
        )
        return list((await tx.session.scalars(statement.order_by(ParticipantRow.joined_at))).all())

    async def add_participant(
        self,
        tx: Tx,
        session: SessionRow,
        who: ReportedParticipant,
        user_id: UserId | None,
        joined_at: datetime,
        status: ParticipantStatus,
        left_at: datetime | None,
    ) -> ParticipantRow:
        row = ParticipantRow(
            room_id=session.room_id,
            sid=who.sid,
            session_sid=session.sid,
            org_id=session.org_id,
            identity=who.identity,
            user_id=user_id,
            name=who.name,
            kind=who.kind,
            status=status.value,
            joined_at=joined_at,
            left_at=left_at,
            leave_reason=who.leave_reason if left_at else None,
        )
        tx.session.add(row)
        await tx.session.flush()
        return row

    async def track(self, tx: Tx, room_id: RoomId, sid: str) -> TrackRow | None:
        return await tx.session.get(TrackRow, (room_id, sid))

    async def open_tracks(self, tx: Tx, participant: ParticipantRow) -> list[TrackRow]:
        statement = select(TrackRow).where(
            TrackRow.room_id == participant.room_id,
            TrackRow.participant_sid == participant.sid,
            TrackRow.unpublished_at.is_(None),
        )
        return list((await tx.session.scalars(statement.order_by(TrackRow.published_at, TrackRow.sid))).all())

    async def add_track(
        self, tx: Tx, participant: ParticipantRow, what: ReportedTrack, at: datetime, unpublished_at: datetime | None
    ) -> TrackRow:
        row = TrackRow(
            room_id=participant.room_id,
            sid=what.sid,
            participant_sid=participant.sid,
            org_id=participant.org_id,
            kind=what.kind,
            source=what.source,
            name=what.name,
            mime_type=what.mime_type,
            published_at=at,
            unpublished_at=unpublished_at,
        )
        tx.session.add(row)
        await tx.session.flush()
        return row

    async def forget_reports(self, tx: Tx, now: datetime, kept: timedelta, batch: int) -> int:
        """Forget up to `batch` report ids older than `kept`; nobody repeats a report that late."""
        old = select(WebhookRow.id).where(WebhookRow.received_at < now - kept).limit(batch)
        gone = await tx.session.execute(delete(WebhookRow).where(WebhookRow.id.in_(old)).returning(WebhookRow.id))
        return len(gone.all())
