"""Tells the agents' dispatcher what happens in rooms, on the way to the webhooks."""

from collections.abc import Callable
from dataclasses import dataclass

from livekit.protocol.agent import Job
from livekit.protocol.models import ParticipantInfo, RoomEndReason, TrackInfo
from livekit.protocol.models import Room as RoomInfo

from auralink.media.agent_jobs import AgentJobs
from auralink.media.room import EventLog, Room, RoomKey, TenantLogs

FindRoom = Callable[[RoomKey], Room | None]


@dataclass(frozen=True)
class AgentEvents:
    """Where rooms write their facts: to `logs`, and to `jobs`."""

    logs: TenantLogs
    jobs: AgentJobs
    find: FindRoom

    def of(self, tenant: str) -> "TenantAgentEvents":
        return TenantAgentEvents(tenant, self.logs.of(tenant), self.jobs, self.find)


@dataclass(frozen=True)
class TenantAgentEvents:
    tenant: str
    log: EventLog
    jobs: AgentJobs
    find: FindRoom

    def record(
        self,
        event: str,
        room: RoomInfo,
        participant: ParticipantInfo | None = None,
        track: TrackInfo | None = None,
        *,
        end: "RoomEndReason | None" = None,
        job: Job | None = None,
    ) -> None:
        self.log.record(event, room, participant, track, end=end, job=job)
        key = RoomKey(self.tenant, room.name)
        if event == "room_finished":
            self.jobs.room_closed(key)
            return
        found = self.find(key)
        if found is None or found.closed:
            return  # All that is left of it is its end.
        match event:
            case "room_started":
                self.jobs.room_opened(found)
            case "participant_joined" if participant:
                self.jobs.joined(found, participant.identity)
            case "track_published" if participant:
                self.jobs.published(found, participant.identity)
            case "participant_left" | "participant_connection_aborted" if participant:
                self.jobs.left(found, participant)
