"""Takes in what the media server reports."""

from fastapi import APIRouter, Request

from auralink.kit.errors import PayloadTooLarge, Unavailable
from auralink.kit.http.responses import problems
from auralink.rooms.errors import MalformedWebhook, WebhookRefused
from auralink.rooms.history import RoomHistory
from auralink.rooms.reports import TenantReport
from auralink.rooms.tenant_rooms import TenantRooms
from auralink.rooms.webhook import WebhookReader


def webhook_router(reader: WebhookReader, history: RoomHistory, tenants: TenantRooms) -> APIRouter:
    router = APIRouter(prefix="/api/v1/livekit", tags=["livekit"])

    @router.post(
        "/webhook",
        status_code=204,
        operation_id="receiveLiveKitWebhook",
        responses=problems(WebhookRefused, MalformedWebhook, PayloadTooLarge, Unavailable),
        openapi_extra={
            "requestBody": {
                "required": True,
                "content": {"application/webhook+json": {"schema": {"type": "object"}}},
            }
        },
    )
    async def receive_livekit_webhook(request: Request) -> None:
        """A LiveKit webhook, signed with our key pair. Idempotent by event id; 503 asks the sender to repeat it."""
        report = reader.read(request.headers.get("Authorization"), await request.body())
        if isinstance(report, TenantReport):
            await tenants.take_in(report)
        elif report is not None:
            await history.take_in(report)

    return router
