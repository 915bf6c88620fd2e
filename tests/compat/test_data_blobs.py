"""Data blobs over the signal connection: what one participant stores, another fetches."""

import aiohttp
from livekit.protocol.models import DataBlob, DataBlobKey, ParticipantInfo
from livekit.protocol.rtc import GetDataBlobRequest, RequestResponse, SignalRequest, StoreDataBlobRequest
from tests.compat.conftest import MediaServer
from tests.compat.test_dual_path import received, signal

KEY = DataBlobKey(generic="schema/ü")


async def _tell(socket: aiohttp.ClientWebSocketResponse, request: SignalRequest) -> None:
    await socket.send_bytes(request.SerializeToString())


def _store(contents: bytes, number: int) -> SignalRequest:
    blob = DataBlob(key=KEY, contents=contents)
    return SignalRequest(store_data_blob_request=StoreDataBlobRequest(request_id=number, blob=blob))


def _fetch(owner: str, number: int) -> SignalRequest:
    wanted = GetDataBlobRequest(request_id=number, participant_identity=owner, key=KEY)
    return SignalRequest(get_data_blob_request=wanted)


async def test_a_blob_is_fetched_by_others_as_long_as_its_owner_is_there(server: MediaServer, room: str) -> None:
    async with signal(server, server.token(room, "bob")) as bob:
        async with signal(server, server.token(room, "ann")) as ann:
            await _tell(ann, _store(b"first", 1))
            await _tell(ann, _store(b"second" * 1000, 2))
            for number in (1, 2):
                assert (await received(ann, "store_data_blob_response")).store_data_blob_response.request_id == number
            await _tell(bob, _fetch("ann", 3))
            found = (await received(bob, "get_data_blob_response")).get_data_blob_response
            assert (found.request_id, found.blob.key, found.blob.contents) == (3, KEY, b"second" * 1000)
            await _tell(ann, _store(bytes(100_000), 4))
            refused = (await received(ann, "request_response")).request_response
            assert (refused.request_id, refused.reason) == (4, RequestResponse.LIMIT_EXCEEDED)
            await _tell(ann, SignalRequest(leave={}))
        while True:
            (told,) = (await received(bob, "update")).update.participants
            if (told.identity, told.state) == ("ann", ParticipantInfo.State.DISCONNECTED):
                break
        await _tell(bob, _fetch("ann", 5))
        gone = (await received(bob, "request_response")).request_response
        assert (gone.request_id, gone.reason) == (5, RequestResponse.NOT_FOUND)
