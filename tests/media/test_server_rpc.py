"""Remote procedures that the server calls for somebody outside; the engine and the called client are scripted."""

import asyncio
from collections.abc import Callable

import pytest
from livekit.protocol.models import DataPacket, RpcAck, RpcError, RpcRequest, RpcResponse
from tests.media.scripted import Server

from auralink.media import membership, server_rpc
from auralink.media.server_rpc import RpcFailed
from auralink.media.session import Session


def called(server: Server) -> RpcRequest:
    """The newest request that went out."""
    (_, channel, payload), _ = server.engine.named("send_data")[-1]
    assert channel == "_reliable"
    return DataPacket.FromString(payload).rpc_request


def says(server: Server, session: Session, packet: DataPacket) -> None:
    server.reports.handle(("data", session.me.peer, "_reliable", packet.SerializeToString()))


async def perform(
    server: Server, session: Session, then: Callable[[RpcRequest], None], *, payload: str = "hi", timeout_ms: int = 0
) -> str:
    """Call `shout` and let the client act once it has the request."""
    call = asyncio.create_task(
        session.me.calls.perform(session.room.data_out, session.me.peer, "shout", payload, timeout_ms)
    )
    await asyncio.sleep(0)
    then(called(server))
    return await asyncio.wait_for(call, 5)


async def test_the_answer_comes_back_and_nobody_else_sees_it() -> None:
    server = Server()
    ann, _ = server.join("ann")
    server.join("bob")

    def answer(request: RpcRequest) -> None:
        assert (request.method, request.payload, request.version, request.response_timeout_ms) == (
            "shout",
            "hi",
            1,
            10_000,
        )
        says(server, ann, DataPacket(rpc_ack=RpcAck(request_id=request.id)))
        says(server, ann, DataPacket(rpc_response=RpcResponse(request_id=request.id, payload="HI")))

    assert await perform(server, ann, answer) == "HI"
    assert len(server.engine.named("send_data")) == 1


async def test_an_answer_to_another_participant_is_passed_on() -> None:
    server = Server()
    ann, _ = server.join("ann")
    server.join("bob")
    says(server, ann, DataPacket(rpc_ack=RpcAck(request_id="bob's"), destination_identities=["bob"]))
    says(server, ann, DataPacket(rpc_response=RpcResponse(request_id="bob's"), destination_identities=["bob"]))
    assert len(server.engine.named("send_data")) == 2


async def test_the_clients_error_is_told_with_its_code() -> None:
    server = Server()
    ann, _ = server.join("ann")

    def refuse(request: RpcRequest) -> None:
        error = RpcError(code=1400, message="Method not supported at destination")
        says(server, ann, DataPacket(rpc_response=RpcResponse(request_id=request.id, error=error)))

    with pytest.raises(RpcFailed) as failed:
        await perform(server, ann, refuse)
    assert str(failed.value) == "RpcError 1400: Method not supported at destination"
    assert failed.value.twirp == "invalid_argument"


async def test_a_client_that_does_not_acknowledge_answer_or_stay_ends_the_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_rpc, "ACK_TIMEOUT_S", 0.05)
    server = Server()
    ann, _ = server.join("ann")
    with pytest.raises(RpcFailed) as failed:
        await perform(server, ann, lambda _: None)
    assert (failed.value.code, failed.value.twirp) == (1501, "canceled")

    def acknowledge(request: RpcRequest) -> None:
        says(server, ann, DataPacket(rpc_ack=RpcAck(request_id=request.id)))

    with pytest.raises(RpcFailed) as failed:
        await perform(server, ann, acknowledge, timeout_ms=100)
    assert (failed.value.code, failed.value.twirp) == (1502, "canceled")

    def leave(_: RpcRequest) -> None:
        membership.remove(ann.room, ann.me, 0)  # type: ignore[arg-type]

    with pytest.raises(RpcFailed) as failed:
        await perform(server, ann, leave)
    assert (failed.value.code, failed.value.twirp) == (1503, "unavailable")


async def test_a_request_that_no_client_would_take_is_not_sent() -> None:
    server = Server()
    ann, _ = server.join("ann")
    with pytest.raises(RpcFailed) as failed:
        await ann.me.calls.perform(server.engine, ann.me.peer, "shout", "x" * 15_361, 0)
    assert failed.value.code == 1402
    assert not server.engine.named("send_data")
