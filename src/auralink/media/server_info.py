"""What this server says of itself to clients and agent workers."""

from livekit.protocol.models import ServerInfo

from auralink.media.sids import new_sid

SERVER_VERSION = "1.13.5"
"""The LiveKit release whose behaviour we follow; clients choose what they use by it."""
_PROTOCOL = 17


def server_info(region: str) -> ServerInfo:
    """Of a server that starts now: it gets a node id of its own."""
    return ServerInfo(
        edition=ServerInfo.Edition.Standard,
        version=SERVER_VERSION,
        protocol=_PROTOCOL,
        region=region,
        node_id=new_sid("ND_"),
        agent_protocol=1,
    )
