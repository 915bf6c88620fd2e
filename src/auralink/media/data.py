"""Data packets between participants: stamped with who sent them, and passed on to whom they are for."""

import structlog
from google.protobuf.message import DecodeError
from livekit.protocol.models import DataPacket

from auralink.media.engine import ChannelLabel
from auralink.media.limits import Limits
from auralink.media.participant import Participant
from auralink.media.room import Room

log = structlog.get_logger(__name__)


def forward(room: Room, sender: Participant, channel: ChannelLabel, payload: bytes, limits: Limits) -> None:
    """What a client sent on a data channel. Fields we do not know travel on unchanged."""
    if channel == "_data_track" or not sender.grant.can_publish_data or len(payload) > limits.data_bytes:
        return
    try:
        packet = DataPacket.FromString(payload)
    except DecodeError:
        log.info("media.data_malformed", room=room.name, participant=sender.sid)
        return
    if packet.WhichOneof("value") == "speaker":
        return  # Clients believe these; only the server says who speaks.
    if channel == "_reliable" and packet.sequence:
        if packet.sequence <= sender.reliable_seen:
            return  # sent again after a resume
        sender.reliable_seen = packet.sequence
    packet.kind = DataPacket.RELIABLE if channel == "_reliable" else DataPacket.LOSSY
    identity = "" if sender.grant.hidden else sender.identity
    packet.participant_identity, packet.participant_sid = identity, sender.sid
    if packet.HasField("user"):
        packet.user.participant_identity, packet.user.participant_sid = identity, sender.sid
    send(room, packet, sender)


def send(room: Room, packet: DataPacket, sender: Participant | None = None) -> None:
    """To the participants it names, else to everybody but the sender."""
    identities = set(packet.destination_identities) | set(packet.user.destination_identities)
    sids = set(packet.user.destination_sids)
    peers = [
        other.peer
        for other in room.participants.values()
        if other is not sender
        and other.active
        and ((not identities and not sids) or other.identity in identities or other.sid in sids)
    ]
    if peers:
        channel: ChannelLabel = "_lossy" if packet.kind == DataPacket.LOSSY else "_reliable"
        room.engine.send_data(peers, channel, packet.SerializeToString())
