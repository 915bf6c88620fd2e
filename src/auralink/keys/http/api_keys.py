"""Key pairs of an organisation, for its owners and admins."""

from fastapi import APIRouter, Response

from auralink.keys.domain import ApiKeyId
from auralink.keys.errors import ApiKeyNotFound, NotOrganizationAdmin, TooManyApiKeys
from auralink.keys.schemas import ApiKeyChangeIn, ApiKeyIn, ApiKeyOut, IssuedApiKeyOut, RotationIn
from auralink.keys.service import ApiKeyService
from auralink.kit.errors import InvalidInput, Unauthenticated, Unavailable
from auralink.kit.http import Caller, Transaction
from auralink.kit.http.responses import problems
from auralink.kit.ids import OrgId
from auralink.kit.pagination import Page, Paging
from auralink.orgs import OrganizationNotFound

_USUAL = (Unauthenticated, NotOrganizationAdmin, OrganizationNotFound, InvalidInput, Unavailable)


def api_keys_router(keys: ApiKeyService) -> APIRouter:
    router = APIRouter(prefix="/api/v1/organizations/{org_id}/api-keys", tags=["api keys"])

    @router.post("", status_code=201, operation_id="createApiKey", responses=problems(*_USUAL, TooManyApiKeys))
    async def create_api_key(
        org_id: OrgId, body: ApiKeyIn, caller: Caller, tx: Transaction, response: Response
    ) -> IssuedApiKeyOut:
        """A new LiveKit key pair. Its tokens open rooms of this organisation only. The secret is shown this once."""
        _keep_out_of_caches(response)
        return IssuedApiKeyOut.issued(await keys.create(tx, caller, org_id, body.name, body.webhook_urls))

    @router.get("", operation_id="listApiKeys", responses=problems(*_USUAL))
    async def list_api_keys(org_id: OrgId, paging: Paging, caller: Caller, tx: Transaction) -> Page[ApiKeyOut]:
        """The pairs that work, newest first, without their secrets."""
        found, cursor = await keys.page(tx, caller, org_id, paging)
        return Page(items=[ApiKeyOut.of(key) for key in found], next_cursor=cursor)

    @router.patch("/{key_id}", operation_id="changeApiKey", responses=problems(*_USUAL, ApiKeyNotFound))
    async def change_api_key(
        org_id: OrgId, key_id: ApiKeyId, body: ApiKeyChangeIn, caller: Caller, tx: Transaction
    ) -> ApiKeyOut:
        """Its name, or where its webhooks go."""
        return ApiKeyOut.of(
            await keys.change(tx, caller, org_id, key_id, name=body.name, webhook_urls=body.webhook_urls)
        )

    @router.post("/{key_id}/rotate", operation_id="rotateApiKey", responses=problems(*_USUAL, ApiKeyNotFound))
    async def rotate_api_key(
        org_id: OrgId, key_id: ApiKeyId, body: RotationIn, caller: Caller, tx: Transaction, response: Response
    ) -> IssuedApiKeyOut:
        """A new secret, shown this once. The one of now keeps working for the overlap, one from before ends here."""
        _keep_out_of_caches(response)
        return IssuedApiKeyOut.issued(await keys.rotate(tx, caller, org_id, key_id, body.overlap))

    @router.delete(
        "/{key_id}", status_code=204, operation_id="revokeApiKey", responses=problems(*_USUAL, ApiKeyNotFound)
    )
    async def revoke_api_key(org_id: OrgId, key_id: ApiKeyId, caller: Caller, tx: Transaction) -> None:
        """Within seconds nobody can join, come back or call the server API with it. Who is in a call stays."""
        await keys.revoke(tx, caller, org_id, key_id)

    return router


def _keep_out_of_caches(response: Response) -> None:
    response.headers["Cache-Control"] = "no-store"
