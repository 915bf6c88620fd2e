"""The OpenAPI document, where FastAPI's own says less than we do: errors are problem documents, and credentials are
Bearer tokens."""

from typing import Any

from fastapi import FastAPI

from auralink.kit.http.problem import MEDIA_TYPE


class Api(FastAPI):
    def openapi(self) -> dict[str, Any]:
        """Made once, at the first call."""
        if self.openapi_schema is None:
            self.openapi_schema = _with_problem_documents(super().openapi())
        return self.openapi_schema


def _with_problem_documents(document: dict[str, Any]) -> dict[str, Any]:
    for path in document.get("paths", {}).values():
        for operation in path.values():
            for status, answer in operation.get("responses", {}).items():
                if status.startswith(("4", "5")) and "application/json" in answer.get("content", {}):
                    answer["content"] = {MEDIA_TYPE: answer["content"]["application/json"]}
    return document
