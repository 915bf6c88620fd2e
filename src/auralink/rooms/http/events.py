"""What happened in the caller's organisations, page by page or as it happens."""

from typing import Annotated

from fastapi import APIRouter, Header, Query
from fastapi.responses import StreamingResponse

from auralink.kit.errors import InvalidInput, Unauthenticated, Unavailable
from auralink.kit.http import Caller, Transaction
from auralink.kit.http.responses import problems
from auralink.kit.ids import RoomId
from auralink.kit.outbox import EventStreams, StoredEvent, read_events
from auralink.kit.pagination import DEFAULT_LIMIT, MAX_LIMIT, InvalidCursor, decode_cursor, encode_cursor
from auralink.rooms.schemas import EventOut, EventPage

After = Annotated[
    str | None, Query(max_length=128, description="Only what came after this cursor; left out: from the beginning.")
]


def events_router(streams: EventStreams) -> APIRouter:
    router = APIRouter(prefix="/api/v1/events", tags=["events"])

    @router.get("", operation_id="listEvents", responses=problems(Unauthenticated, InvalidInput, Unavailable))
    async def list_events(
        tx: Transaction,
        after: After = None,
        limit: Annotated[int, Query(ge=1, le=MAX_LIMIT)] = DEFAULT_LIMIT,
        room_id: Annotated[RoomId | None, Query()] = None,
    ) -> EventPage:
        """Events of the caller's organisations, oldest first. `next_cursor` is where to go on, now or later."""
        events = await read_events(tx, after=_position(after), limit=limit, room_id=room_id)
        return EventPage(
            items=[EventOut.of(event) for event in events], next_cursor=_cursor(events[-1]) if events else after
        )

    @router.get(
        "/stream",
        operation_id="streamEvents",
        response_class=StreamingResponse,
        responses={
            200: {
                "description": "Server-sent events",
                "content": {"text/event-stream": {"schema": {"type": "string"}}},
            },
            **problems(Unauthenticated, InvalidInput, Unavailable),
        },
    )
    async def stream_events(
        caller: Caller,
        after: After = None,
        last_event_id: Annotated[str | None, Header(max_length=128)] = None,
    ) -> StreamingResponse:
        """The same events as they happen. Ends with the access token; go on with a new one from Last-Event-ID."""
        start = _position(last_event_id or after)
        return streams.open(caller, after=start, encode=lambda event: (_cursor(event), EventOut.json_of(event)))

    return router


def _position(cursor: str | None) -> int:
    """Raises InvalidCursor."""
    if cursor is None or cursor in ("", "0"):
        return 0
    (position,) = decode_cursor(cursor, int)
    if not 0 <= position < 2**63:
        raise InvalidCursor
    return int(position)


def _cursor(event: StoredEvent) -> str:
    return encode_cursor(event.position)
