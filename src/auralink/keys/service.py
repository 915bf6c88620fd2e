"""Key pairs of organisations, for their owners and admins."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TypedDict

from auralink.keys.domain import MAX_PAIRS, ApiKey, ApiKeyId, IssuedKey, distinct, new_api_key, new_secret
from auralink.keys.errors import ApiKeyNotFound, NotOrganizationAdmin, TooManyApiKeys
from auralink.keys.events import ApiKeyChanged, ApiKeyCreated, ApiKeyRevoked, ApiKeyRotated
from auralink.keys.store import ApiKeyStore
from auralink.kit.auth import Principal
from auralink.kit.clock import Clock
from auralink.kit.db import Tx
from auralink.kit.ids import OrgId, UserId
from auralink.kit.pagination import PageRequest
from auralink.orgs import OrganizationNotFound, Organizations


class ApiKeyService:
    def __init__(self, store: ApiKeyStore, organizations: Organizations, clock: Clock) -> None:
        self._store = store
        self._organizations = organizations
        self._clock = clock

    async def create(
        self, tx: Tx, caller: Principal, org_id: OrgId, name: str, webhook_urls: Sequence[str]
    ) -> IssuedKey:
        self._permit(caller, org_id)
        if await self._store.count(tx, org_id) >= MAX_PAIRS:
            raise TooManyApiKeys
        now, secret = self._clock.now(), new_secret()
        key = ApiKey(
            id=ApiKeyId.new(),
            org_id=org_id,
            api_key=new_api_key(),
            name=name,
            webhook_urls=distinct(webhook_urls),
            created_by=caller.user_id,
            created_at=now,
            rotated_at=None,
            former_valid_until=None,
        )
        await self._store.add(tx, key, secret)
        tx.emit(ApiKeyCreated(**_about(key, caller, now)))
        return IssuedKey(key, secret)

    async def page(
        self, tx: Tx, caller: Principal, org_id: OrgId, request: PageRequest
    ) -> tuple[list[ApiKey], str | None]:
        self._permit(caller, org_id)
        return await self._store.page(tx, org_id, request)

    async def change(
        self,
        tx: Tx,
        caller: Principal,
        org_id: OrgId,
        key_id: ApiKeyId,
        *,
        name: str | None,
        webhook_urls: Sequence[str] | None,
    ) -> ApiKey:
        self._permit(caller, org_id)
        urls = None if webhook_urls is None else distinct(webhook_urls)
        key = _found(await self._store.change(tx, org_id, key_id, name, urls))
        changed = tuple(what for what, value in (("name", name), ("webhook_urls", webhook_urls)) if value is not None)
        tx.emit(ApiKeyChanged(**_about(key, caller, self._clock.now()), changed=changed))
        return key

    async def rotate(self, tx: Tx, caller: Principal, org_id: OrgId, key_id: ApiKeyId, overlap: timedelta) -> IssuedKey:
        """A new secret; the one before works until the overlap is over, one from before that no more."""
        self._permit(caller, org_id)
        now, secret = self._clock.now(), new_secret()
        until = now + overlap if overlap else None
        key = _found(await self._store.rotate(tx, org_id, key_id, secret, now, until))
        tx.emit(ApiKeyRotated(**_about(key, caller, now), former_valid_until=until))
        return IssuedKey(key, secret)

    async def revoke(self, tx: Tx, caller: Principal, org_id: OrgId, key_id: ApiKeyId) -> None:
        self._permit(caller, org_id)
        now = self._clock.now()
        key = _found(await self._store.revoke(tx, org_id, key_id, now))
        tx.emit(ApiKeyRevoked(**_about(key, caller, now)))

    def _permit(self, caller: Principal, org_id: OrgId) -> None:
        role = self._organizations.role_of(caller, org_id)
        if role is None:
            raise OrganizationNotFound
        if not role.manages:
            raise NotOrganizationAdmin


class _About(TypedDict):
    org_id: OrgId
    occurred_at: datetime
    key_id: ApiKeyId
    api_key: str
    name: str
    by: UserId | None


def _about(key: ApiKey, caller: Principal, now: datetime) -> _About:
    return {
        "org_id": key.org_id,
        "occurred_at": now,
        "key_id": key.id,
        "api_key": key.api_key,
        "name": key.name,
        "by": caller.user_id,
    }


def _found(key: ApiKey | None) -> ApiKey:
    if key is None:
        raise ApiKeyNotFound
    return key
