"""The address under which this machine is seen from outside, by STUN (RFC 8489): a Binding request and its answer."""

import ipaddress
import os
import socket
import struct
import time
from collections.abc import Sequence

_MAGIC = 0x2112_A442
_BINDING_REQUEST, _BINDING_SUCCESS = 0x0001, 0x0101
_MAPPED_ADDRESS, _XOR_MAPPED_ADDRESS = 0x0001, 0x0020
_HEADER = struct.Struct("!HHI12s")
_V4, _V6 = 1, 2
DEFAULT_SERVERS = ("stun.l.google.com:19302", "global.stun.twilio.com:3478")
"""LiveKit's, asked only by who turns this on without naming others."""
_TRIES = 3
_PATIENCE_S = 1.0


class NoExternalAddress(Exception):
    """The message says who was asked."""


def discover(servers: Sequence[str], *, patience_s: float = _PATIENCE_S) -> str:
    """The first answer of `servers` (host:port), asked one after the other. Blocks. Raises NoExternalAddress."""
    for server in servers:
        if address := _ask(server, patience_s):
            return address
    raise NoExternalAddress(
        f"no STUN server told this machine's external address: {', '.join(servers) or 'none named'}"
    )


def _ask(server: str, patience_s: float) -> str | None:
    host, _, port = server.rpartition(":")
    try:
        places = socket.getaddrinfo(host.strip("[]"), int(port), type=socket.SOCK_DGRAM)
    except (OSError, ValueError):
        return None
    for family, kind, protocol, _, place in places:
        with socket.socket(family, kind, protocol) as probe:
            for _ in range(_TRIES):
                if address := _exchange(probe, place, patience_s):
                    return address
    return None


def _exchange(probe: socket.socket, place: object, patience_s: float) -> str | None:
    transaction = os.urandom(12)
    deadline = time.monotonic() + patience_s
    try:
        probe.connect(place)  # type: ignore[arg-type]  # so that only the server's datagrams are seen
        probe.send(_HEADER.pack(_BINDING_REQUEST, 0, _MAGIC, transaction))
        while (left := deadline - time.monotonic()) > 0:
            probe.settimeout(left)
            if address := read_answer(probe.recv(2048), transaction):
                return address
    except OSError:
        return None
    return None


def read_answer(datagram: bytes, transaction: bytes) -> str | None:
    """The address in a Binding success response to our request; None for anything else."""
    if len(datagram) < _HEADER.size:
        return None
    kind, length, magic, echoed = _HEADER.unpack_from(datagram)
    if (kind, magic, echoed) != (_BINDING_SUCCESS, _MAGIC, transaction) or length != len(datagram) - _HEADER.size:
        return None
    position, plain = _HEADER.size, None
    while position + 4 <= len(datagram):
        attribute, size = struct.unpack_from("!HH", datagram, position)
        value = datagram[position + 4 : position + 4 + size]
        if attribute == _XOR_MAPPED_ADDRESS:
            return _address(value, struct.pack("!I", _MAGIC) + transaction)
        if attribute == _MAPPED_ADDRESS:
            plain = _address(value, bytes(16))
        position += 4 + (size + 3) // 4 * 4
    return plain


def _address(value: bytes, mask: bytes) -> str | None:
    length = {_V4: 4, _V6: 16}.get(value[1]) if len(value) >= 8 else None
    if length is None or len(value) != 4 + length:
        return None
    return str(ipaddress.ip_address(bytes(a ^ b for a, b in zip(value[4:], mask, strict=False))))
