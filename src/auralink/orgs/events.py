"""What happened to organisations."""

from dataclasses import dataclass
from typing import ClassVar

from auralink.kit.events import Event
from auralink.kit.ids import UserId


@dataclass(frozen=True, slots=True, kw_only=True)
class OrganizationCreated(Event):
    type: ClassVar[str] = "organization.created"

    kind: str
    created_by: UserId
