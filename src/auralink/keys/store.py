"""All SQL of key pairs. Secrets go in and out sealed."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import func, select

from auralink.keys.domain import ApiKey, ApiKeyId, FormerSecret, SigningPair
from auralink.keys.models import ApiKeyRow
from auralink.kit.db import Tx
from auralink.kit.ids import OrgId
from auralink.kit.pagination import PageRequest, fetch_page
from auralink.kit.sealing import Sealer


class ApiKeyStore:
    def __init__(self, sealer: Sealer) -> None:
        self._sealer = sealer

    async def add(self, tx: Tx, key: ApiKey, secret: str) -> None:
        tx.session.add(
            ApiKeyRow(
                id=key.id,
                org_id=key.org_id,
                api_key=key.api_key,
                name=key.name,
                sealed_secret=self._seal(key.id, secret),
                webhook_urls=list(key.webhook_urls),
                created_by=key.created_by,
                created_at=key.created_at,
            )
        )
        await tx.session.flush()

    async def count(self, tx: Tx, org_id: OrgId) -> int:
        """Working pairs. Until this transaction ends, nobody else can add one to the organisation."""
        await tx.session.execute(select(func.pg_advisory_xact_lock(func.hashtextextended(str(org_id), 0))))
        statement = select(func.count()).where(ApiKeyRow.org_id == org_id, ApiKeyRow.revoked_at.is_(None))
        return int((await tx.session.execute(statement)).scalar_one())

    async def page(self, tx: Tx, org_id: OrgId, request: PageRequest) -> tuple[list[ApiKey], str | None]:
        """Newest first."""
        rows, cursor = await fetch_page(
            tx,
            select(ApiKeyRow).where(ApiKeyRow.org_id == org_id, ApiKeyRow.revoked_at.is_(None)),
            request=request,
            keys=[ApiKeyRow.id],
            kinds=[ApiKeyId],
            key_of=lambda row: [row.id],
        )
        return [_key(row) for row in rows], cursor

    async def change(
        self, tx: Tx, org_id: OrgId, key_id: ApiKeyId, name: str | None, webhook_urls: Sequence[str] | None
    ) -> ApiKey | None:
        row = await self._locked(tx, org_id, key_id)
        if row is None:
            return None
        row.name = row.name if name is None else name
        row.webhook_urls = row.webhook_urls if webhook_urls is None else list(webhook_urls)
        return _key(row)

    async def rotate(
        self, tx: Tx, org_id: OrgId, key_id: ApiKeyId, secret: str, now: datetime, former_until: datetime | None
    ) -> ApiKey | None:
        row = await self._locked(tx, org_id, key_id)
        if row is None:
            return None
        row.former_sealed_secret = row.sealed_secret if former_until else None
        row.former_valid_until = former_until
        row.sealed_secret = self._seal(key_id, secret)
        row.rotated_at = now
        return _key(row)

    async def revoke(self, tx: Tx, org_id: OrgId, key_id: ApiKeyId, now: datetime) -> ApiKey | None:
        """What it was; its secrets are gone."""
        row = await self._locked(tx, org_id, key_id)
        if row is None:
            return None
        row.revoked_at = now
        row.sealed_secret = b""
        row.former_sealed_secret = row.former_valid_until = None
        row.webhook_urls = []
        return _key(row)

    async def working(self, tx: Tx) -> list[SigningPair]:
        """Every organisation's, for the media role; as the system."""
        rows = await tx.session.scalars(select(ApiKeyRow).where(ApiKeyRow.revoked_at.is_(None)).order_by(ApiKeyRow.id))
        return [self._signing(row) for row in rows]

    async def _locked(self, tx: Tx, org_id: OrgId, key_id: ApiKeyId) -> ApiKeyRow | None:
        statement = select(ApiKeyRow).where(
            ApiKeyRow.id == key_id, ApiKeyRow.org_id == org_id, ApiKeyRow.revoked_at.is_(None)
        )
        return (await tx.session.scalars(statement.with_for_update())).one_or_none()

    def _seal(self, key_id: ApiKeyId, secret: str) -> bytes:
        return self._sealer.seal(secret, about=str(key_id))

    def _signing(self, row: ApiKeyRow) -> SigningPair:
        former = None
        if row.former_sealed_secret is not None and row.former_valid_until is not None:
            secret = self._sealer.open(row.former_sealed_secret, about=str(row.id))
            former = FormerSecret(secret, row.former_valid_until)
        secret = self._sealer.open(row.sealed_secret, about=str(row.id))
        return SigningPair(row.org_id, row.api_key, secret, former, tuple(row.webhook_urls))


def _key(row: ApiKeyRow) -> ApiKey:
    return ApiKey(
        id=row.id,
        org_id=row.org_id,
        api_key=row.api_key,
        name=row.name,
        webhook_urls=tuple(row.webhook_urls),
        created_by=row.created_by,
        created_at=row.created_at,
        rotated_at=row.rotated_at,
        former_valid_until=row.former_valid_until,
    )
