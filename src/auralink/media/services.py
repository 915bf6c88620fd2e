"""LiveKit's services as this server has them, under `/twirp`."""

from collections.abc import Collection, Mapping

from fastapi import APIRouter
from google.protobuf.descriptor import FileDescriptor
from livekit.protocol import agent_simulation, cloud_agent, connector, egress, ingress, sip

from auralink.media.agent_dispatch import AgentDispatchService
from auralink.media.agent_jobs import AgentJobs
from auralink.media.rooms import Rooms
from auralink.media.tokens import KeyRing
from auralink.media.twirp import RoomService
from auralink.media.twirp_server import twirp_router

_ABSENT = (egress, ingress, sip, connector, cloud_agent, agent_simulation)


def livekit_services(rooms: Rooms, jobs: AgentJobs, keys: KeyRing) -> APIRouter:
    services = {
        "RoomService": RoomService(rooms, keys).methods(),
        "AgentDispatchService": AgentDispatchService(rooms, jobs).methods(),
    }
    return twirp_router(services, absent_services(), keys)


def absent_services() -> Mapping[str, Collection[str]]:
    """LiveKit's services that are not here, with the names of their methods."""
    found: dict[str, Collection[str]] = {}
    for module in _ABSENT:
        file: FileDescriptor = module.DESCRIPTOR
        for name, service in file.services_by_name.items():
            found[name] = frozenset(method.name for method in service.methods)
    return found
