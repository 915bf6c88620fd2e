"""How routes tell OpenAPI which problems they answer with."""

from typing import Any

from auralink.kit.errors import AuraError
from auralink.kit.http.problem import Problem


def problems(*errors: type[AuraError]) -> dict[int | str, dict[str, Any]]:
    """The `responses=` of a route: one entry per status, naming the codes it may carry."""
    by_status: dict[int | str, list[type[AuraError]]] = {}
    for error in errors:
        by_status.setdefault(error.status, []).append(error)
    return {
        status: {
            "model": Problem,
            "description": "; ".join(f"`{error.code}`: {error.title}" for error in group),
        }
        for status, group in by_status.items()
    }
