"""Data packets between participants: stamped with who sent them, and passed on to whom they are for.

Fields that this server does not know travel on unchanged: the protobuf library keeps them through a re-encode.
"""

import time
from collections.abc import Mapping

import structlog
from google.protobuf.message import DecodeError
from livekit.protocol.models import DataPacket, UserPacket

from auralink.media.engine import ChannelLabel
from auralink.media.limits import Limits
from auralink.media.participant import Participant
from auralink.media.replay import Destinations
from auralink.media.room import Room

log = structlog.get_logger(__name__)


def forward(room: Room, sender: Participant, channel: ChannelLabel, payload: bytes, limits: Limits) -> None:
    """What a client sent on a data channel."""
    if channel == "_data_track" or not sender.grant.can_publish_data or len(payload) > limits.data_bytes:
        return
    try:
        packet = DataPacket.FromString(payload)
    except DecodeError:
        log.info("media.data_malformed", room=room.name, participant=sender.sid)
        return
    if channel == "_reliable" and _seen(sender, packet.sequence):
        return
    # The channel it came on says what it is, whatever the client wrote.
    packet.kind = DataPacket.RELIABLE if channel == "_reliable" else DataPacket.LOSSY
    _sign(packet, sender)
    match packet.WhichOneof("value"):
        case "speaker":
            pass  # Clients believe these; only the server says who speaks.
        case "transcription" if not sender.is_agent:
            pass
        case "rpc_ack" if sender.calls.acknowledge(packet.rpc_ack.request_id):
            pass
        case "rpc_response" if sender.calls.answer(packet.rpc_response):
            pass
        case "metrics":
            _send_metrics(room, packet, sender)
        case _:
            send(room, packet, sender)


def forward_unlabeled(room: Room, sender: Participant, payload: bytes, limits: Limits) -> None:
    """Bytes from a channel with a label of the client's own: they reach the others as a user packet."""
    if not sender.grant.can_publish_data or len(payload) > limits.data_bytes:
        return
    packet = DataPacket(kind=DataPacket.RELIABLE, user=UserPacket(payload=payload))
    _sign(packet, sender)
    send(room, packet, sender)


def _seen(sender: Participant, sequence: int) -> bool:
    """Clients number their reliable packets and send again, after a resume, what they think was lost."""
    if not sequence:
        return False
    if sequence <= sender.reliable_seen:
        return True
    sender.reliable_seen = sequence
    return False


def _sign(packet: DataPacket, sender: Participant) -> None:
    identity, sid = ("", "") if sender.grant.hidden else (sender.identity, sender.sid)
    if not _for_another(packet, sender):
        packet.participant_identity = identity
    # Also of the hidden: with it receivers tell apart whose sequence number it is.
    packet.participant_sid = sender.sid
    if packet.HasField("user"):
        packet.user.participant_identity, packet.user.participant_sid = identity, sid


def _for_another(packet: DataPacket, sender: Participant) -> bool:
    """Agents may write down what somebody said, in that one's name; it is marked as made by a machine."""
    if not sender.is_agent or packet.participant_identity in ("", sender.identity):
        return False
    if packet.HasField("chat_message"):
        packet.chat_message.generated = True
        return True
    if packet.HasField("stream_header") and packet.stream_header.HasField("text_header"):
        packet.stream_header.text_header.generated = True
        return True
    return False


def send(room: Room, packet: DataPacket, sender: Participant | None = None) -> None:
    """To the participants it names, else to everybody but the sender. Without a sender it is the server's own."""
    if packet.HasField("user"):
        if room.nonces.repeated(packet.user.nonce):
            return
        # Older clients read and write the destinations in here.
        named = packet.destination_identities or packet.user.destination_identities
        identities = list(named)
        del packet.destination_identities[:], packet.user.destination_identities[:]
        packet.destination_identities.extend(identities)
        packet.user.destination_identities.extend(identities)
    to = Destinations(frozenset(packet.destination_identities), frozenset(packet.user.destination_sids))
    numbered = sender is not None and packet.kind == DataPacket.RELIABLE and bool(packet.sequence)
    payload = packet.SerializeToString()
    if numbered and sender is not None:
        room.history.add(sender.sid, packet.sequence, to, payload, time.monotonic())
    # Who is still connecting gets numbered messages too: they wait for its channel to open.
    others = [p for p in room.participants.values() if p is not sender and to.include(p) and (p.active or numbered)]
    _deliver(room, others, packet, payload, sender)


def _send_metrics(room: Room, packet: DataPacket, sender: Participant) -> None:
    """To those who may see them and take something of the sender's; to the sender as well."""
    takers = [
        p
        for p in room.participants.values()
        if p.active
        and p.grant.can_subscribe_metrics
        and (p is sender or sender.tracks.keys() & p.subscriptions or sender.data_tracks.keys() & p.data_handles)
    ]
    _deliver(room, takers, packet, packet.SerializeToString())


def _deliver(
    room: Room, to: list[Participant], packet: DataPacket, payload: bytes, sender: Participant | None = None
) -> None:
    if to:
        channel: ChannelLabel = "_lossy" if packet.kind == DataPacket.LOSSY else "_reliable"
        room.data_out.send([p.primary for p in to], channel, payload, sender.peer if sender else None)


def replay(room: Room, me: Participant, reached: Mapping[str, int]) -> None:
    """After a resume: reliable messages beyond the number that `me` has of each publisher, by sid."""
    for payload in room.history.beyond(reached, me):
        room.data_out.send([me.primary], "_reliable", payload)
