"""What the routes of key pairs take and answer."""

from datetime import datetime, timedelta
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from auralink.keys.domain import (
    DEFAULT_OVERLAP,
    LONGEST_OVERLAP,
    MAX_WEBHOOKS,
    ApiKey,
    ApiKeyId,
    IssuedKey,
    url_problem,
)
from auralink.kit.ids import UserId
from auralink.kit.text import Name


def _reachable(url: str) -> str:
    if problem := url_problem(url):
        raise ValueError(problem)
    return url


WebhookUrls = Annotated[list[Annotated[str, AfterValidator(_reachable)]], Field(max_length=MAX_WEBHOOKS)]


class Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class ApiKeyIn(Body):
    name: Name
    webhook_urls: WebhookUrls = Field(default_factory=list)
    """Told what happens in the organisation's rooms, as LiveKit's webhooks signed by this pair."""


class ApiKeyChangeIn(Body):
    """What is left out stays as it is."""

    name: Name | None = None
    webhook_urls: WebhookUrls | None = None

    @model_validator(mode="after")
    def _something_to_change(self) -> "ApiKeyChangeIn":
        if self.name is None and self.webhook_urls is None:
            raise ValueError("give at least one thing to change")
        return self


class RotationIn(Body):
    overlap_seconds: Annotated[int, Field(ge=0, le=int(LONGEST_OVERLAP.total_seconds()), strict=True)] = int(
        DEFAULT_OVERLAP.total_seconds()
    )
    """How long the secret of now keeps working; 0: not at all."""

    @property
    def overlap(self) -> timedelta:
        return timedelta(seconds=self.overlap_seconds)


class ApiKeyOut(BaseModel):
    id: ApiKeyId
    api_key: str
    """What LiveKit's SDKs call the API key."""
    name: str
    webhook_urls: list[str]
    created_by: UserId | None
    created_at: datetime
    rotated_at: datetime | None
    former_valid_until: datetime | None
    """Until when the secret before the last rotation works too."""

    @classmethod
    def of(cls, key: ApiKey) -> "ApiKeyOut":
        return cls.model_validate(key, from_attributes=True)


class IssuedApiKeyOut(ApiKeyOut):
    secret: str
    """Shown this once."""

    @classmethod
    def issued(cls, issued: IssuedKey) -> "IssuedApiKeyOut":
        return cls(**ApiKeyOut.of(issued.key).model_dump(), secret=issued.secret)
