"""Sessions: opened by signing in, kept alive by rotating refresh tokens, ended by logout or a replay.

The rules of rotation are `domain.RefreshState.judge`.
"""

import hashlib
import hmac
import secrets
from datetime import datetime, timedelta

from auralink.identity.access_tokens import AccessClaims, AccessTokens
from auralink.identity.domain import Account, ClientKind, FamilyId, Issued
from auralink.identity.errors import CsrfRefused, RefreshSuperseded, SessionEnded
from auralink.identity.events import SessionRevokedByReplay
from auralink.identity.ports import Tenancy
from auralink.identity.store import AccountStore, PresentedToken, SessionStore
from auralink.kit.auth import Principal
from auralink.kit.clock import Clock
from auralink.kit.db import Database, Tx

_TOKEN_PREFIX = "alr_"  # noqa: S105 (lets secret scanners find a leaked one)


class Sessions:
    """Transactions are opened here, not by the edge: a replay must end the session although the answer is an error."""

    def __init__(
        self,
        database: Database,
        store: SessionStore,
        accounts: AccountStore,
        tenancy: Tenancy,
        tokens: AccessTokens,
        clock: Clock,
        *,
        life: timedelta,
        csrf_key: bytes,
    ) -> None:
        self._database = database
        self._store = store
        self._accounts = accounts
        self._tenancy = tenancy
        self._tokens = tokens
        self._clock = clock
        self._life = life
        self._csrf_key = csrf_key

    async def open(self, tx: Tx, account: Account, client: ClientKind) -> Issued:
        """Start a session for someone who has just proved who they are."""
        now = self._clock.now()
        family = FamilyId.new()
        token = _new_token()
        await self._store.open(tx, family, account.id, client, now, now + self._life)
        await self._store.add_token(tx, family, _hash(token), now)
        return self._issued(account, family, client, token, now)

    async def refresh(self, token: str, *, csrf: str | None, from_cookie: bool) -> Issued:
        """Exchange a refresh token. Raises SessionEnded, RefreshSuperseded or, for one that came in a cookie without
        the matching header, CsrfRefused."""
        now = self._clock.now()
        async with self._database.transaction(Principal.system()) as tx:
            presented = await self._store.find_locked(tx, _hash(token))
            if presented is None:
                raise SessionEnded
            if from_cookie:
                self._check_csrf(presented.family, csrf)
            verdict = presented.state.judge(now)
            if verdict == "replay":
                await self._end_replayed(tx, presented, now)
            issued = await self._rotate(tx, presented, token, now) if verdict == "rotate" else None
        if issued is None:
            raise RefreshSuperseded if verdict == "superseded" else SessionEnded
        return issued

    async def end(self, token: str, *, csrf: str | None, from_cookie: bool) -> None:
        """End the session a refresh token belongs to; one that is unknown or over already is fine."""
        async with self._database.transaction(Principal.system()) as tx:
            presented = await self._store.find_locked(tx, _hash(token))
            if presented is None:
                return
            if from_cookie:
                self._check_csrf(presented.family, csrf)
            await self._store.revoke(tx, presented.family, "logout", self._clock.now())

    async def end_of_access(self, claims: AccessClaims) -> None:
        """End the session an access token belongs to."""
        async with self._database.transaction(Principal.system()) as tx:
            await self._store.revoke(tx, claims.family, "logout", self._clock.now())

    def csrf_token(self, family: FamilyId) -> str:
        """What a page of ours sends as X-CSRF-Token; bound to the session, so one planted by a neighbouring site on
        the same domain is worth nothing."""
        return hmac.new(self._csrf_key, family.uuid.bytes, hashlib.sha256).hexdigest()

    def _check_csrf(self, family: FamilyId, given: str | None) -> None:
        if not given or not hmac.compare_digest(self.csrf_token(family).encode(), given.encode()):
            raise CsrfRefused

    async def _rotate(self, tx: Tx, presented: PresentedToken, token: str, now: datetime) -> Issued | None:
        """None when the account has been suspended."""
        account = await self._accounts.get(tx, presented.user_id)
        if account is None:
            return None
        fresh = _new_token()
        await self._store.rotate(tx, presented.family, _hash(token), _hash(fresh), now, now + self._life)
        return self._issued(account, presented.family, presented.client, fresh, now)

    async def _end_replayed(self, tx: Tx, presented: PresentedToken, now: datetime) -> None:
        await self._store.revoke(tx, presented.family, "replay", now)
        own = next(iter(await self._tenancy.roles_of(tx, presented.user_id)), None)
        if own is not None:
            tx.emit(
                SessionRevokedByReplay(
                    org_id=own, occurred_at=now, user_id=presented.user_id, session_id=str(presented.family)
                )
            )

    def _issued(self, account: Account, family: FamilyId, client: ClientKind, token: str, now: datetime) -> Issued:
        return Issued(
            account=account,
            family=family,
            client=client,
            access_token=self._tokens.issue(account.id, family, now),
            expires_in=self._tokens.life,
            refresh_token=token,
            refresh_expires_at=now + self._life,
        )


def _new_token() -> str:
    return _TOKEN_PREFIX + secrets.token_urlsafe(32)


def _hash(token: str) -> bytes:
    """A plain hash is enough: the token is 256 random bits, there is nothing to guess."""
    return hashlib.sha256(token.encode()).digest()
