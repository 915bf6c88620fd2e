"""SQL of rooms and invites. What happened in rooms: history_store.py."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, and_, func, or_, select, update

from auralink.kit.db import Tx
from auralink.kit.ids import OrgId, RoomId, UserId
from auralink.kit.pagination import PageRequest, fetch_page
from auralink.rooms.domain import (
    Invite,
    InviteId,
    JoinPolicy,
    Participant,
    ParticipantStatus,
    Room,
    RoomSettings,
    RoomStatus,
    RoomView,
)
from auralink.rooms.models import InviteRow, ParticipantRow, RoomRow, SessionRow


class RoomStore:
    async def add(self, tx: Tx, room: Room) -> None:
        settings = room.settings
        tx.session.add(
            RoomRow(
                id=room.id,
                org_id=room.org_id,
                created_by=room.created_by,
                name=settings.name,
                join_policy=settings.join_policy.value,
                max_participants=settings.max_participants,
                empty_timeout_seconds=settings.empty_timeout_seconds,
                metadata_=settings.metadata,
                created_at=room.created_at,
                updated_at=room.updated_at,
            )
        )
        await tx.session.flush()

    async def get(self, tx: Tx, room_id: RoomId, *, lock: bool = False) -> Room | None:
        """None for a room that was deleted or is not this transaction's principal's to see."""
        statement = select(RoomRow).where(RoomRow.id == room_id, RoomRow.deleted_at.is_(None))
        row = (await tx.session.scalars(statement.with_for_update() if lock else statement)).one_or_none()
        return _room(row) if row else None

    async def page(
        self, tx: Tx, orgs: Sequence[OrgId], request: PageRequest, now: datetime
    ) -> tuple[list[RoomView], str | None]:
        """Newest first: ids grow with time."""
        rows, cursor = await fetch_page(
            tx,
            select(RoomRow).where(RoomRow.org_id.in_(orgs), RoomRow.deleted_at.is_(None)),
            request=request,
            keys=[RoomRow.id],
            kinds=[RoomId],
            key_of=lambda row: [row.id],
        )
        return await self._views(tx, [_room(row) for row in rows], now), cursor

    async def view(self, tx: Tx, room: Room, now: datetime) -> RoomView:
        return (await self._views(tx, [room], now))[0]

    async def change(self, tx: Tx, room_id: RoomId, changes: dict[str, object], now: datetime) -> Room:
        columns = {"metadata_" if name == "metadata" else name: value for name, value in changes.items()}
        statement = update(RoomRow).where(RoomRow.id == room_id).values(**columns, updated_at=now).returning(RoomRow)
        return _room((await tx.session.scalars(statement, execution_options={"populate_existing": True})).one())

    async def delete(self, tx: Tx, room_id: RoomId, now: datetime) -> None:
        await tx.session.execute(update(RoomRow).where(RoomRow.id == room_id).values(deleted_at=now, updated_at=now))

    async def add_invite(self, tx: Tx, room: Room, invite: Invite, created_by: UserId | None) -> None:
        tx.session.add(
            InviteRow(
                id=invite.id,
                room_id=room.id,
                org_id=room.org_id,
                code=invite.code,
                created_by=created_by,
                created_at=invite.created_at,
                expires_at=invite.expires_at,
            )
        )
        await tx.session.flush()

    async def open_invites(
        self, tx: Tx, room_id: RoomId, request: PageRequest, now: datetime
    ) -> tuple[list[Invite], str | None]:
        rows, cursor = await fetch_page(
            tx,
            select(InviteRow).where(InviteRow.room_id == room_id, _invite_is_open(now)),
            request=request,
            keys=[InviteRow.id],
            kinds=[InviteId],
            key_of=lambda row: [row.id],
        )
        return [_invite(row) for row in rows], cursor

    async def invited_room(self, tx: Tx, code: str, now: datetime) -> Room | None:
        """The room a code opens, as long as code and room exist."""
        statement = (
            select(RoomRow)
            .join(InviteRow, and_(InviteRow.room_id == RoomRow.id, InviteRow.org_id == RoomRow.org_id))
            .where(InviteRow.code == code, _invite_is_open(now), RoomRow.deleted_at.is_(None))
        )
        row = (await tx.session.scalars(statement)).one_or_none()
        return _room(row) if row else None

    async def revoke_invite(self, tx: Tx, room_id: RoomId, invite_id: InviteId, now: datetime) -> bool:
        """Whether there was such an invite, revoked before or not."""
        statement = (
            update(InviteRow)
            .where(InviteRow.id == invite_id, InviteRow.room_id == room_id)
            .values(revoked_at=func.coalesce(InviteRow.revoked_at, now))
            .returning(InviteRow.id)
        )
        return (await tx.session.execute(statement)).scalar_one_or_none() is not None

    async def participants(self, tx: Tx, room_id: RoomId, request: PageRequest) -> tuple[list[Participant], str | None]:
        """Everyone who was ever in the room, latest first."""
        rows, cursor = await fetch_page(
            tx,
            select(ParticipantRow).where(ParticipantRow.room_id == room_id),
            request=request,
            keys=[ParticipantRow.joined_at, ParticipantRow.sid],
            kinds=[datetime, str],
            key_of=lambda row: [row.joined_at, row.sid],
        )
        return [_participant(row) for row in rows], cursor

    async def _views(self, tx: Tx, rooms: Sequence[Room], now: datetime) -> list[RoomView]:
        ids = [room.id for room in rooms]
        active = select(SessionRow.room_id).where(SessionRow.room_id.in_(ids), SessionRow.finished_at.is_(None))
        actives = set((await tx.session.scalars(active)).all())
        newest = (
            select(InviteRow.room_id, InviteRow.code)
            .where(InviteRow.room_id.in_(ids), _invite_is_open(now))
            .order_by(InviteRow.id)
        )
        codes = {row.room_id: row.code for row in await tx.session.execute(newest)}
        return [
            RoomView(
                room=room,
                status=RoomStatus.ACTIVE if room.id in actives else RoomStatus.WAITING,
                invite_code=None if room.settings.join_policy is JoinPolicy.MEMBERS else codes.get(room.id),
            )
            for room in rooms
        ]


def _invite_is_open(now: datetime) -> ColumnElement[bool]:
    return and_(InviteRow.revoked_at.is_(None), or_(InviteRow.expires_at.is_(None), InviteRow.expires_at > now))


def _room(row: RoomRow) -> Room:
    return Room(
        id=row.id,
        org_id=row.org_id,
        created_by=row.created_by,
        settings=RoomSettings(
            name=row.name,
            join_policy=JoinPolicy(row.join_policy),
            max_participants=row.max_participants,
            empty_timeout_seconds=row.empty_timeout_seconds,
            metadata=row.metadata_,
        ),
        created_at=row.created_at,
        updated_at=row.updated_at,
    )


def _invite(row: InviteRow) -> Invite:
    return Invite(row.id, row.room_id, row.code, row.created_at, row.expires_at, row.revoked_at)


def _participant(row: ParticipantRow) -> Participant:
    return Participant(
        sid=row.sid,
        identity=row.identity,
        name=row.name,
        kind=row.kind,
        status=ParticipantStatus(row.status),
        joined_at=row.joined_at,
        left_at=row.left_at,
        leave_reason=row.leave_reason,
    )
