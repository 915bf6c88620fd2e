"""Records what happens in rooms that organisations open with key pairs of their own, as events of the organisation."""

from auralink.kit.auth import Principal
from auralink.kit.clock import Clock
from auralink.kit.db import Database
from auralink.rooms.events import TenantRoomReported
from auralink.rooms.history_store import HistoryStore
from auralink.rooms.reports import ReportKind, TenantReport

_LEAVING = (ReportKind.PARTICIPANT_LEFT.value, ReportKind.PARTICIPANT_ABORTED.value)


class TenantRooms:
    def __init__(self, database: Database, store: HistoryStore, clock: Clock) -> None:
        self._database = database
        self._store = store
        self._clock = clock

    async def take_in(self, report: TenantReport) -> None:
        """Durable when this returns; a repetition changes nothing. Raises DatabaseUnavailable."""
        async with self._database.transaction(Principal.system()) as tx:
            if await self._store.is_new(tx, report.id, self._clock.now()):
                tx.emit(_event(report))


def _event(report: TenantReport) -> TenantRoomReported:
    who, what = report.participant, report.track
    reason = report.end_reason if report.event == ReportKind.ROOM_FINISHED.value else ""
    if who and report.event in _LEAVING:
        reason = who.leave_reason
    return TenantRoomReported(
        org_id=report.org_id,
        occurred_at=report.at,
        event=report.event,
        room=report.room,
        session=report.session,
        participant=who.sid if who else "",
        identity=who.identity if who else "",
        name=who.name if who else "",
        track=what.sid if what else "",
        kind=what.kind if what else "",
        source=what.source if what else "",
        reason=reason,
    )
