"""Rooms: who may enter, who is there, what happened."""

from auralink.rooms.domain import GuestId, JoinPolicy, Participant, Room, RoomStatus, Standing
from auralink.rooms.errors import InviteNotFound, MediaUnavailable, NotRoomHost, RoomNotFound
from auralink.rooms.events import (
    ParticipantAborted,
    ParticipantJoined,
    ParticipantLeft,
    RoomCreated,
    RoomDeleted,
    RoomFinished,
    RoomStarted,
    RoomUpdated,
    TrackPublished,
    TrackUnpublished,
)
from auralink.rooms.interface import Rooms
from auralink.rooms.ports import MediaControl

__all__ = [
    "GuestId",
    "InviteNotFound",
    "JoinPolicy",
    "MediaControl",
    "MediaUnavailable",
    "NotRoomHost",
    "Participant",
    "ParticipantAborted",
    "ParticipantJoined",
    "ParticipantLeft",
    "Room",
    "RoomCreated",
    "RoomDeleted",
    "RoomFinished",
    "RoomNotFound",
    "RoomStarted",
    "RoomStatus",
    "RoomUpdated",
    "Rooms",
    "Standing",
    "TrackPublished",
    "TrackUnpublished",
]
