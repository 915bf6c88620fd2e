"""Accounts: signing up, signing in, one's own profile.

Password work happens between transactions, never inside one: a connection must not wait for Argon2.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from auralink.identity.aura_ids import AuraId, candidates
from auralink.identity.domain import (
    Account,
    ClientKind,
    InstanceRole,
    Issued,
    SignupInvitationId,
    SignupMode,
    normalise_email,
)
from auralink.identity.errors import (
    AccountNotFound,
    AuraIdTaken,
    InvalidCredentials,
    InvalidEmail,
    InvitationRefused,
    NotInstanceOwner,
    SignupClosed,
    SignupRefused,
)
from auralink.identity.events import AccountOpened
from auralink.identity.hashing import PasswordHasher
from auralink.identity.passwords import MAXIMUM_LENGTH, check_password
from auralink.identity.ports import Tenancy
from auralink.identity.sessions import Sessions
from auralink.identity.store import AccountStore
from auralink.kit.auth import Principal
from auralink.kit.clock import Clock
from auralink.kit.db import Database, Tx
from auralink.kit.errors import Unavailable
from auralink.kit.ids import UserId

_NAME_ATTEMPTS = 20


@dataclass(frozen=True, slots=True)
class SignUp:
    email: str
    password: str
    name: str
    invitation: str | None
    client: ClientKind


@dataclass(frozen=True, slots=True)
class SignupInvitation:
    """`code` exists in clear only here."""

    id: SignupInvitationId
    code: str
    expires_at: datetime


class Accounts:
    def __init__(
        self,
        database: Database,
        store: AccountStore,
        sessions: Sessions,
        tenancy: Tenancy,
        hasher: PasswordHasher,
        clock: Clock,
        *,
        signup: SignupMode,
        owner_invitation: str,
    ) -> None:
        self._database = database
        self._store = store
        self._sessions = sessions
        self._tenancy = tenancy
        self._hasher = hasher
        self._clock = clock
        self._signup = signup
        self._owner_invitation = owner_invitation

    async def sign_up(self, request: SignUp) -> Issued:
        """Make the account, its AuraID and its personal organisation, and sign it in. The first account owns the
        instance. The password is hashed whether or not the address is free, so that the time taken does not tell."""
        await self._check_admission(request.invitation)
        email = normalise_email(request.email)
        check_password(request.password, email, request.name)
        password_hash = await self._hasher.hash(request.password)
        async with self._database.transaction(Principal.system()) as tx:
            account = await self._make_account(tx, email, request.name, password_hash)
            await self._spend_invitation(tx, request.invitation, account)
            org_id = await self._tenancy.open_personal(tx, account.id, account.name)
            tx.emit(AccountOpened(org_id=org_id, occurred_at=account.created_at, user_id=account.id))
            return await self._sessions.open(tx, account, request.client)

    async def sign_in(self, email: str, password: str, client: ClientKind) -> Issued:
        """Raises InvalidCredentials, after the same work for a wrong password and for an account that is not there."""
        credential = None
        if (address := _email_or_none(email)) is not None:
            async with self._database.transaction(Principal.system()) as tx:
                credential = await self._store.credential(tx, address)
        known_hash = credential.password_hash if credential else None
        right = await self._hasher.verify(known_hash, password[:MAXIMUM_LENGTH])
        if credential is None or not right or len(password) > MAXIMUM_LENGTH:
            raise InvalidCredentials
        fresh_hash = None
        if self._hasher.is_outdated(credential.password_hash):
            fresh_hash = await self._hasher.hash(password)
        async with self._database.transaction(Principal.system()) as tx:
            account = await self._store.get(tx, credential.user_id)
            if account is None:
                raise InvalidCredentials
            if fresh_hash:
                await self._store.change_password_hash(
                    tx, account.id, credential.password_hash, fresh_hash, self._clock.now()
                )
            return await self._sessions.open(tx, account, client)

    async def get(self, tx: Tx, user_id: UserId) -> Account:
        account = await self._store.get(tx, user_id)
        if account is None:
            raise AccountNotFound
        return account

    async def update(self, tx: Tx, user_id: UserId, *, name: str | None, aura_id: AuraId | None) -> Account:
        """Raises AuraIdTaken also for one that only looks like another's."""
        current = await self.get(tx, user_id)
        if aura_id == current.aura_id:
            aura_id = None
        account = await self._store.update(tx, user_id, name=name, aura_id=aura_id, now=self._clock.now())
        if account is None:
            raise AuraIdTaken
        return account

    async def invite(self, tx: Tx, user_id: UserId, life: timedelta) -> SignupInvitation:
        """An invitation to make one account. Raises NotInstanceOwner."""
        account = await self.get(tx, user_id)
        if account.instance_role is not InstanceRole.OWNER:
            raise NotInstanceOwner
        code, now = secrets.token_urlsafe(16), self._clock.now()
        identifier = await self._store.add_invitation(tx, _hash(code), user_id, now, now + life)
        return SignupInvitation(identifier, code, now + life)

    async def _check_admission(self, invitation: str | None) -> None:
        if self._signup is SignupMode.CLOSED:
            raise SignupClosed
        if self._signup is SignupMode.OPEN:
            return
        async with self._database.transaction(Principal.system()) as tx:
            if not await self._admits(tx, invitation):
                raise InvitationRefused("Sign-up on this instance needs an invitation that is still unused.")

    async def _admits(self, tx: Tx, invitation: str | None) -> bool:
        if not invitation:
            return False
        if await self._store.invitation_is_open(tx, _hash(invitation), self._clock.now()):
            return True
        return self._is_owners(invitation) and not await self._store.has_owner(tx)

    async def _spend_invitation(self, tx: Tx, invitation: str | None, account: Account) -> None:
        if self._signup is not SignupMode.INVITATION or not invitation:
            return
        if await self._store.use_invitation(tx, _hash(invitation), account.id, self._clock.now()):
            return
        if not (self._is_owners(invitation) and account.instance_role is InstanceRole.OWNER):
            raise InvitationRefused("This invitation has just been used.")

    def _is_owners(self, invitation: str) -> bool:
        return bool(self._owner_invitation) and hmac.compare_digest(
            self._owner_invitation.encode(), invitation.encode()
        )

    async def _make_account(self, tx: Tx, email: str, name: str, password_hash: str) -> Account:
        if await self._store.email_is_taken(tx, email):
            raise SignupRefused("If you have an account with this address, sign in instead.")
        role = InstanceRole.OWNER if await self._store.claim_ownership(tx) else InstanceRole.USER
        names = candidates(name, email, _random_numbers())
        for aura_id, _ in zip(names, range(_NAME_ATTEMPTS), strict=False):
            if await self._store.aura_id_is_taken(tx, aura_id):
                continue
            account = Account(UserId.new(), email, name, aura_id, role, self._clock.now())
            match await self._store.add(tx, account, password_hash):
                case None:
                    return account
                case "email":
                    raise SignupRefused("If you have an account with this address, sign in instead.")
        raise Unavailable("No free AuraID was found for this name; try again.")


def _email_or_none(text: str) -> str | None:
    try:
        return normalise_email(text)
    except InvalidEmail:
        return None


def _random_numbers() -> Iterator[int]:
    """Few digits first, more when those are taken."""
    for digits in (3, 3, 4, 4, 5):
        yield secrets.randbelow(9 * 10 ** (digits - 1)) + 10 ** (digits - 1)
    while True:
        yield secrets.randbelow(900_000) + 100_000


def _hash(code: str) -> bytes:
    return hashlib.sha256(code.encode()).digest()
