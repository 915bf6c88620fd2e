"""Remote procedures of participants that the server calls itself, for somebody who is not in the room."""

import asyncio
import uuid
from dataclasses import dataclass, field

from livekit.protocol.models import DataPacket, RpcRequest, RpcResponse

from auralink.media.data_out import DataOut

ACK_TIMEOUT_S = 2.0
"""How long a client may take to say that it has the call (LiveKit's round trip limit)."""
RESPONSE_TIMEOUT_MS = 10_000
MAX_PAYLOAD_BYTES = 15 * 1024
_VERSION = 1

CONNECTION_TIMEOUT = 1501, "Connection timeout"
RESPONSE_TIMEOUT = 1502, "Response timeout"
RECIPIENT_DISCONNECTED = 1503, "Recipient disconnected"
REQUEST_TOO_LARGE = 1402, "Request payload too large"

_TWIRP = {
    1400: "invalid_argument",
    1401: "not_found",
    1402: "invalid_argument",
    1403: "unimplemented",
    1404: "unimplemented",
    1501: "canceled",
    1502: "canceled",
    1503: "unavailable",
}
"""LiveKit's; every other code, an application's own too, is `internal`."""


class RpcFailed(Exception):
    """`code` as in LiveKit's SDKs."""

    def __init__(self, code: int, message: str, data: str = "") -> None:
        super().__init__(f"RpcError {code}: {message}" + (f": {data}" if data else ""))
        self.code = code

    @property
    def twirp(self) -> str:
        return _TWIRP.get(self.code, "internal")


@dataclass
class _Call:
    acknowledged: asyncio.Event = field(default_factory=asyncio.Event)
    answer: "asyncio.Future[str]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    def settle(self, outcome: str | RpcFailed) -> None:
        self.acknowledged.set()
        if self.answer.done():
            return
        if isinstance(outcome, RpcFailed):
            self.answer.set_exception(outcome)
        else:
            self.answer.set_result(outcome)


class ServerCalls:
    """Calls to one participant that are not answered yet."""

    def __init__(self) -> None:
        self._pending: dict[str, _Call] = {}

    async def perform(self, out: DataOut, peer: int, method: str, payload: str, timeout_ms: int) -> str:
        """The answer's payload. Raises RpcFailed."""
        if len(payload.encode()) > MAX_PAYLOAD_BYTES:
            raise RpcFailed(*REQUEST_TOO_LARGE)
        timeout_ms = timeout_ms or RESPONSE_TIMEOUT_MS
        id_ = str(uuid.uuid4())
        request = RpcRequest(id=id_, method=method, payload=payload, response_timeout_ms=timeout_ms, version=_VERSION)
        # The caller has no identity: clients answer to this one, and the answer is caught by the call's id.
        packet = DataPacket(kind=DataPacket.RELIABLE, participant_identity=id_, rpc_request=request)
        call = self._pending[id_] = _Call()
        try:
            out.send([peer], "_reliable", packet.SerializeToString())
            return await self._answer(call, timeout_ms / 1000)
        finally:
            del self._pending[id_]

    @staticmethod
    async def _answer(call: _Call, timeout_s: float) -> str:
        deadline = asyncio.get_running_loop().time() + timeout_s
        try:
            async with asyncio.timeout(min(ACK_TIMEOUT_S, timeout_s)):
                await call.acknowledged.wait()
        except TimeoutError:
            why = CONNECTION_TIMEOUT if timeout_s > ACK_TIMEOUT_S else RESPONSE_TIMEOUT
            raise RpcFailed(*why) from None
        try:
            async with asyncio.timeout_at(deadline):
                return await call.answer
        except TimeoutError:
            raise RpcFailed(*RESPONSE_TIMEOUT) from None

    def acknowledge(self, id_: str) -> bool:
        """False when it is nothing that we called."""
        if call := self._pending.get(id_):
            call.acknowledged.set()
        return id_ in self._pending

    def answer(self, response: RpcResponse) -> bool:
        """False when it is nothing that we called."""
        call = self._pending.get(response.request_id)
        if call is None:
            return False
        failed = response.HasField("error")
        error = response.error
        call.settle(RpcFailed(error.code, error.message, error.data) if failed else response.payload)
        return True

    def abandon(self) -> None:
        """The participant has left."""
        for call in self._pending.values():
            call.settle(RpcFailed(*RECIPIENT_DISCONNECTED))
