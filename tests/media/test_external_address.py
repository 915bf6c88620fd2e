"""Finding the external address by STUN: a small STUN server, one that is silent, and answers that are not ours."""

import asyncio
import ipaddress
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from auralink.media.external_address import NoExternalAddress, discover, read_answer

MAGIC = 0x2112_A442
TRANSACTION = b"twelve bytes"


def answer(address: str, transaction: bytes = TRANSACTION, *, xor: bool = True, kind: int = 0x0101) -> bytes:
    ip = ipaddress.ip_address(address)
    mask = struct.pack("!I", MAGIC) + transaction if xor else bytes(16)
    packed = bytes(a ^ b for a, b in zip(ip.packed, mask, strict=False))
    value = struct.pack("!BBH", 0, 1 if ip.version == 4 else 2, 0) + packed
    software = struct.pack("!HH", 0x8022, 3) + b"abc\0"
    body = software + struct.pack("!HH", 0x0020 if xor else 0x0001, len(value)) + value
    return struct.pack("!HHI", kind, len(body), MAGIC) + transaction + body


class _Stun(asyncio.DatagramProtocol):
    def __init__(self, reply: Callable[[bytes], bytes | None]) -> None:
        self.reply = reply

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if reply := self.reply(data[8:20]):
            self.transport.sendto(reply, addr)


@asynccontextmanager
async def stun_server(reply: Callable[[bytes], bytes | None]) -> AsyncIterator[str]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Stun(reply), local_addr=("127.0.0.1", 0))
    host, port = transport.get_extra_info("sockname")
    try:
        yield f"{host}:{port}"
    finally:
        transport.close()


async def test_the_address_is_what_the_server_saw() -> None:
    async with stun_server(lambda transaction: answer("203.0.113.9", transaction)) as server:
        assert await asyncio.to_thread(discover, [server]) == "203.0.113.9"


async def test_the_next_server_is_asked_when_one_is_silent_or_has_no_address() -> None:
    async with (
        stun_server(lambda _: None) as silent,
        stun_server(lambda transaction: answer("2001:db8::7", transaction)) as good,
    ):
        servers = ["no.such.host.invalid:3478", "nonsense", silent, good]
        assert await asyncio.to_thread(discover, servers, patience_s=0.1) == "2001:db8::7"
        with pytest.raises(NoExternalAddress, match=silent):
            await asyncio.to_thread(discover, [silent], patience_s=0.05)


async def test_an_answer_to_somebody_else_is_not_believed() -> None:
    async with stun_server(lambda _: answer("198.51.100.1", b"another one!")) as liar:
        with pytest.raises(NoExternalAddress):
            await asyncio.to_thread(discover, [liar], patience_s=0.05)


@pytest.mark.parametrize("address", ["203.0.113.9", "2001:db8::1"])
@pytest.mark.parametrize("xor", [True, False])
def test_both_kinds_of_addresses_and_attributes_are_read(address: str, xor: bool) -> None:
    assert read_answer(answer(address, xor=xor), TRANSACTION) == address


def test_an_error_response_is_no_answer() -> None:
    assert read_answer(answer("203.0.113.9", kind=0x0111), TRANSACTION) is None


@given(st.binary(max_size=200), st.integers(0, 60))
def test_no_datagram_breaks_the_reader(junk: bytes, cut: int) -> None:
    read_answer(junk, TRANSACTION)
    whole = answer("203.0.113.9")
    read_answer(whole[:cut] + junk, TRANSACTION)
    body = struct.pack("!HHI", 0x0101, len(junk), MAGIC) + TRANSACTION + junk
    read_answer(body, TRANSACTION)
