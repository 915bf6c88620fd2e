"""All SQL of identity. Everything here runs in the caller's transaction."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, delete, exists, func, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import aliased

from auralink.identity.aura_ids import AuraId
from auralink.identity.domain import Account, ClientKind, FamilyId, InstanceRole, RefreshState, SignupInvitationId
from auralink.identity.models import CredentialRow, RefreshTokenRow, SessionFamilyRow, SignupInvitationRow, UserRow
from auralink.kit.db import Tx
from auralink.kit.ids import UserId

_FIRST_OWNER_LOCK = 0x6175_7261_6F77_6E72  # "auraownr"


@dataclass(frozen=True, slots=True)
class StoredCredential:
    user_id: UserId
    password_hash: str


@dataclass(frozen=True, slots=True)
class PresentedToken:
    """A refresh token found by its hash, its family locked until the transaction ends."""

    family: FamilyId
    user_id: UserId
    client: ClientKind
    state: RefreshState


class AccountStore:
    async def has_owner(self, tx: Tx) -> bool:
        owner = select(exists().where(UserRow.instance_role == InstanceRole.OWNER))
        return bool((await tx.session.execute(owner)).scalar_one())

    async def claim_ownership(self, tx: Tx) -> bool:
        """Whether this transaction may make the instance's owner. Sign-ups that come while there is none wait here for
        one another; afterwards nobody waits."""
        if await self.has_owner(tx):
            return False
        await tx.session.execute(select(func.pg_advisory_xact_lock(_FIRST_OWNER_LOCK)))
        return not await self.has_owner(tx)

    async def email_is_taken(self, tx: Tx, email: str) -> bool:
        taken = select(exists().where(UserRow.email == email))
        return bool((await tx.session.execute(taken)).scalar_one())

    async def add(self, tx: Tx, account: Account, password_hash: str) -> str | None:
        """Insert the account; returns the name of the column that was taken in the meantime (`email` or `aura_id`), and
        then nothing has been written."""
        row = UserRow(
            id=account.id,
            email=account.email,
            name=account.name,
            aura_name=account.aura_id.name,
            aura_skeleton=account.aura_id.skeleton,
            instance_role=account.instance_role.value,
            created_at=account.created_at,
            updated_at=account.created_at,
        )
        try:
            async with tx.session.begin_nested():
                tx.session.add(row)
                await tx.session.flush()
        except IntegrityError as error:
            return _taken_column(error)
        tx.session.add(CredentialRow(user_id=account.id, password_hash=password_hash, changed_at=account.created_at))
        await tx.session.flush()
        return None

    async def aura_id_is_taken(self, tx: Tx, aura_id: AuraId) -> bool:
        taken = select(exists().where(UserRow.aura_skeleton == aura_id.skeleton))
        return bool((await tx.session.execute(taken)).scalar_one())

    async def get(self, tx: Tx, user_id: UserId) -> Account | None:
        """None also for a suspended account."""
        statement = select(UserRow).where(UserRow.id == user_id, UserRow.suspended_at.is_(None))
        row = (await tx.session.scalars(statement)).one_or_none()
        return _account(row) if row else None

    async def credential(self, tx: Tx, email: str) -> StoredCredential | None:
        statement = (
            select(CredentialRow.user_id, CredentialRow.password_hash)
            .join(UserRow, UserRow.id == CredentialRow.user_id)
            .where(UserRow.email == email, UserRow.suspended_at.is_(None))
        )
        row = (await tx.session.execute(statement)).one_or_none()
        return StoredCredential(row.user_id, row.password_hash) if row else None

    async def change_password_hash(self, tx: Tx, user_id: UserId, old: str, new: str, now: datetime) -> None:
        """Only while the hash is still `old`, so that an upgrade never undoes a password change."""
        await tx.session.execute(
            update(CredentialRow)
            .where(CredentialRow.user_id == user_id, CredentialRow.password_hash == old)
            .values(password_hash=new, changed_at=now)
        )

    async def update(
        self, tx: Tx, user_id: UserId, *, name: str | None, aura_id: AuraId | None, now: datetime
    ) -> Account | None:
        """The account after the change; None when the AuraID was taken. Raises NoResultFound for an unknown account."""
        values: dict[str, object] = {"updated_at": now}
        if name is not None:
            values["name"] = name
        if aura_id is not None:
            values |= {"aura_name": aura_id.name, "aura_skeleton": aura_id.skeleton}
        try:
            async with tx.session.begin_nested():
                statement = update(UserRow).where(UserRow.id == user_id).values(values).returning(UserRow)
                row = (await tx.session.scalars(statement, execution_options={"populate_existing": True})).one()
        except IntegrityError:
            return None
        return _account(row)

    async def add_invitation(
        self, tx: Tx, code_hash: bytes, created_by: UserId, now: datetime, expires_at: datetime
    ) -> SignupInvitationId:
        row = SignupInvitationRow(
            id=SignupInvitationId.new(),
            code_hash=code_hash,
            created_by=created_by,
            created_at=now,
            expires_at=expires_at,
        )
        tx.session.add(row)
        await tx.session.flush()
        return row.id

    async def invitation_is_open(self, tx: Tx, code_hash: bytes, now: datetime) -> bool:
        statement = select(exists().where(_open_invitation(code_hash, now)))
        return bool((await tx.session.execute(statement)).scalar_one())

    async def use_invitation(self, tx: Tx, code_hash: bytes, used_by: UserId, now: datetime) -> bool:
        """Whether it was still open; of two sign-ups with one invitation, one gets it."""
        used = (
            update(SignupInvitationRow)
            .where(_open_invitation(code_hash, now))
            .values(used_by=used_by, used_at=now)
            .returning(SignupInvitationRow.id)
        )
        return (await tx.session.execute(used)).scalar_one_or_none() is not None


class SessionStore:
    async def open(
        self, tx: Tx, family: FamilyId, user_id: UserId, client: ClientKind, now: datetime, expires_at: datetime
    ) -> None:
        tx.session.add(
            SessionFamilyRow(id=family, user_id=user_id, client=client.value, created_at=now, expires_at=expires_at)
        )
        await tx.session.flush()

    async def add_token(self, tx: Tx, family: FamilyId, token_hash: bytes, now: datetime) -> None:
        tx.session.add(RefreshTokenRow(token_hash=token_hash, family_id=family, issued_at=now))
        await tx.session.flush()

    async def find_locked(self, tx: Tx, token_hash: bytes) -> PresentedToken | None:
        """Parallel exchanges of one family happen one after the other. The token is read after the lock is held."""
        lock = (
            select(SessionFamilyRow)
            .join(RefreshTokenRow, RefreshTokenRow.family_id == SessionFamilyRow.id)
            .where(RefreshTokenRow.token_hash == token_hash)
            .with_for_update(of=SessionFamilyRow)
        )
        family = (await tx.session.scalars(lock)).one_or_none()
        if family is None:
            return None
        successor = aliased(RefreshTokenRow)
        statement = (
            select(RefreshTokenRow.used_at, successor.used_at.is_not(None).label("successor_used"))
            .outerjoin(successor, successor.token_hash == RefreshTokenRow.successor_hash)
            .where(RefreshTokenRow.token_hash == token_hash)
        )
        token = (await tx.session.execute(statement)).one()
        state = RefreshState(family.expires_at, family.revoked_at, token.used_at, bool(token.successor_used))
        return PresentedToken(family.id, family.user_id, ClientKind(family.client), state)

    async def rotate(
        self, tx: Tx, family: FamilyId, used_hash: bytes, new_hash: bytes, now: datetime, expires_at: datetime
    ) -> None:
        await self.add_token(tx, family, new_hash, now)
        used = update(RefreshTokenRow).where(RefreshTokenRow.token_hash == used_hash)
        await tx.session.execute(used.values(used_at=now, successor_hash=new_hash))
        extended = update(SessionFamilyRow).where(SessionFamilyRow.id == family)
        await tx.session.execute(extended.values(expires_at=expires_at))

    async def revoke(self, tx: Tx, family: FamilyId, reason: str, now: datetime) -> None:
        await tx.session.execute(
            update(SessionFamilyRow)
            .where(SessionFamilyRow.id == family, SessionFamilyRow.revoked_at.is_(None))
            .values(revoked_at=now, revoke_reason=reason)
        )

    async def prune(self, tx: Tx, before: datetime, batch: int) -> int:
        """Delete up to `batch` sessions over since `before`, their tokens with them, and as many tokens used before
        then. A token that old is unknown when it comes back, and refused all the same."""
        over = or_(SessionFamilyRow.expires_at < before, SessionFamilyRow.revoked_at < before)
        families = select(SessionFamilyRow.id).where(over).limit(batch)
        gone = await tx.session.execute(
            delete(SessionFamilyRow).where(SessionFamilyRow.id.in_(families)).returning(SessionFamilyRow.id)
        )
        used = select(RefreshTokenRow.token_hash).where(RefreshTokenRow.used_at < before).limit(batch)
        old = await tx.session.execute(
            delete(RefreshTokenRow).where(RefreshTokenRow.token_hash.in_(used)).returning(RefreshTokenRow.token_hash)
        )
        return len(gone.all()) + len(old.all())

    async def is_alive(self, tx: Tx, family: FamilyId, user_id: UserId) -> bool:
        """Whether the session is neither revoked nor its account suspended."""
        statement = select(
            exists()
            .where(SessionFamilyRow.id == family, SessionFamilyRow.user_id == user_id)
            .where(SessionFamilyRow.revoked_at.is_(None))
            .where(UserRow.id == SessionFamilyRow.user_id, UserRow.suspended_at.is_(None))
        )
        return bool((await tx.session.execute(statement)).scalar_one())


def _open_invitation(code_hash: bytes, now: datetime) -> ColumnElement[bool]:
    return (
        (SignupInvitationRow.code_hash == code_hash)
        & SignupInvitationRow.used_at.is_(None)
        & (SignupInvitationRow.expires_at > now)
    )


def _account(row: UserRow) -> Account:
    return Account(
        id=row.id,
        email=row.email,
        name=row.name,
        aura_id=AuraId(row.aura_name),
        instance_role=InstanceRole(row.instance_role),
        created_at=row.created_at,
    )


def _taken_column(error: IntegrityError) -> str:
    return "email" if "users_email_key" in str(error.orig) else "aura_id"
