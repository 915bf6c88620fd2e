"""Where a request comes from, as rate limits count it."""

import ipaddress

from starlette.requests import HTTPConnection

_SITE_PREFIX = 64  # RFC 4291, section 2.5.1: whoever has one IPv6 address usually has 2^64 of them


def origin_of(connection: HTTPConnection) -> str:
    """The client's IPv4 address, or the /64 network of its IPv6 address."""
    host = connection.client.host if connection.client else "unknown"
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return host
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, _SITE_PREFIX), strict=False))
