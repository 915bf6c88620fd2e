"""/livez, /readyz and /metrics of a server."""

from fastapi import APIRouter, Response
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import JSONResponse

from auralink.kit.health import HealthRegistry


def operations_router(health: HealthRegistry) -> APIRouter:
    router = APIRouter(include_in_schema=False)

    @router.get("/livez")
    async def livez() -> Response:
        """The process answers; nothing is said about what it depends on."""
        return JSONResponse({"status": "alive"}, headers={"cache-control": "no-store"})

    @router.get("/readyz")
    async def readyz() -> Response:
        results = await health.run()
        ready = all(result.ok for result in results)
        checks = {r.name: {"ok": True} if r.ok else {"ok": False, "reason": r.reason} for r in results}
        body = {
            "status": "ready" if ready else "not ready",
            "failing": [r.name for r in results if not r.ok],
            "checks": checks,
        }
        return JSONResponse(body, 200 if ready else 503, headers={"cache-control": "no-store"})

    @router.get("/metrics")
    async def metrics() -> Response:
        return Response(generate_latest(), media_type=CONTENT_TYPE_LATEST)

    return router
