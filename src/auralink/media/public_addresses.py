"""Where a tenant's webhooks may go: out. An address that a tenant chose must not make this server speak to its own
machine or network (server-side request forgery), so names are resolved here and the connection goes to what was seen.
"""

import asyncio
import ipaddress
import socket

import httpx

_DEFAULT_PORTS = {"http": 80, "https": 443}


class NotPublic(httpx.ConnectError):
    """The name leads to this machine, a private network, or nowhere a webhook may go."""


class PublicOnly(httpx.AsyncBaseTransport):
    """Sends to public addresses only; `anywhere` turns that off, for a server nobody outside can reach."""

    def __init__(self, *, anywhere: bool = False) -> None:
        self._anywhere = anywhere
        self._inner = httpx.AsyncHTTPTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        if not self._anywhere:
            request = await _pinned(request)
        return await self._inner.handle_async_request(request)

    async def aclose(self) -> None:
        await self._inner.aclose()


async def _pinned(request: httpx.Request) -> httpx.Request:
    """The same request to an address that was looked at; the certificate is still the name's."""
    url = request.url
    address = await _public_address(url.host, url.port or _DEFAULT_PORTS[url.scheme], request)
    extensions = {**request.extensions, "sni_hostname": url.host}
    return httpx.Request(
        request.method,
        url.copy_with(host=address),
        headers=request.headers,
        stream=request.stream,
        extensions=extensions,
    )


async def _public_address(host: str, port: int, request: httpx.Request) -> str:
    try:
        found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        raise httpx.ConnectError(f"{host} has no address", request=request) from error
    for *_, place in found:
        if is_public(str(place[0])):
            return str(place[0])
    raise NotPublic(f"{host} is not a public address", request=request)


def is_public(text: str) -> bool:
    """Whether the address is one of the internet's; one that hides an IPv4 address is judged by that."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        inner = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
        if inner is not None:
            return inner.is_global and not inner.is_multicast
        if address in _NAT64:
            return is_public(str(ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)))
    return address.is_global and not address.is_multicast


_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
"""RFC 6052: the last 32 bits are an IPv4 address."""
