"""What happened, in the past tense: the base of every domain's events. Written by `tx.emit`, see `kit.outbox`."""

from dataclasses import dataclass, field, fields
from datetime import datetime
from typing import Any, ClassVar

from pydantic_core import to_jsonable_python

from auralink.kit.ids import EventId, Id, OrgId, RoomId


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """Subclass it as a frozen dataclass, set `type` (such as "room.created") and add the fields of the payload."""

    type: ClassVar[str]

    org_id: OrgId
    occurred_at: datetime
    room_id: RoomId | None = None
    id: EventId = field(default_factory=EventId.new)

    def payload(self) -> dict[str, Any]:
        """The subclass's own fields as JSON values."""
        own = (f.name for f in fields(self) if f.name not in _ENVELOPE)
        return {name: to_jsonable_python(getattr(self, name), fallback=_id_text) for name in own}


_ENVELOPE = frozenset(f.name for f in fields(Event))


def _id_text(value: object) -> str:
    if isinstance(value, Id):
        return str(value)
    raise TypeError(f"an event cannot carry a {type(value).__name__}")
