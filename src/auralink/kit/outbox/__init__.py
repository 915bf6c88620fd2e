"""Events that leave with the transaction that caused them.

`tx.emit(RoomCreated(...))` writes the event in the same transaction. Positions are handed out under one lock held until
the commit, so they appear in commit order and a reader that has seen position n will never find a smaller one later;
the events of one room carry a sequence without gaps. (PostgreSQL serialises committing transactions that NOTIFY
anyway, so the lock costs no concurrency that was there to have.)

Readers: `read_events(tx, after=...)`, the `Relay` (a named cursor and a handler, at least once) and the SSE stream.
"""

from auralink.kit.outbox.notifications import Notifier
from auralink.kit.outbox.reader import StoredEvent, last_position, read_events
from auralink.kit.outbox.relay import Relay
from auralink.kit.outbox.stream import EventStreams
from auralink.kit.outbox.writer import write_events

__all__ = ["EventStreams", "Notifier", "Relay", "StoredEvent", "last_position", "read_events", "write_events"]
