"""What a client asks for when it connects: the `join_request` parameter, which means one peer connection."""

import base64
import binascii
import zlib

from google.protobuf.message import DecodeError
from livekit.protocol.rtc import JoinRequest, WrappedJoinRequest

from auralink.kit.errors import InvalidInput

MAX_JOIN_REQUEST_BYTES = 1024 * 1024


class JoinRequestRefused(InvalidInput):
    code = "join_request_refused"
    title = "The join request cannot be read"
    status = 400


def decode_join_request(parameter: str) -> JoinRequest:
    """base64url (padded or not) of a WrappedJoinRequest, gzip inside if it says so. Raises JoinRequestRefused."""
    try:
        padded = parameter + "=" * (-len(parameter) % 4)
        wrapped = WrappedJoinRequest.FromString(base64.b64decode(padded, altchars=b"-_", validate=True))
        body = wrapped.join_request
        if wrapped.compression == WrappedJoinRequest.Compression.GZIP:
            body = _inflate(body)
        if len(body) > MAX_JOIN_REQUEST_BYTES:
            raise JoinRequestRefused("join_request is too large")
        return JoinRequest.FromString(body)
    except (binascii.Error, ValueError, DecodeError, zlib.error) as error:
        raise JoinRequestRefused("join_request cannot be decoded") from error


def _inflate(body: bytes) -> bytes:
    """Bounded: a small request must not become a large allocation."""
    inflater = zlib.decompressobj(wbits=31)
    plain = inflater.decompress(body, MAX_JOIN_REQUEST_BYTES + 1)
    if len(plain) > MAX_JOIN_REQUEST_BYTES:
        raise JoinRequestRefused("join_request is too large")
    if not inflater.eof:
        raise JoinRequestRefused("join_request cannot be decoded")
    return plain
