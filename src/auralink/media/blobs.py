"""Data blobs: what a participant stores for others to fetch, such as the schemas of its data tracks."""

from livekit.protocol.models import DataBlob, DataBlobKey
from livekit.protocol.rtc import (
    GetDataBlobRequest,
    GetDataBlobResponse,
    RequestResponse,
    SignalResponse,
    StoreDataBlobRequest,
    StoreDataBlobResponse,
)

from auralink.media.limits import Limits
from auralink.media.participant import Participant

Refusal = tuple["RequestResponse.Reason", str]


def store(me: Participant, request: StoreDataBlobRequest, limits: Limits) -> None:
    if refusal := _refusal(me, request.blob, limits):
        _refuse(me, request.request_id, refusal)
        return
    me.blobs[_name(request.blob.key)] = request.blob
    stored = StoreDataBlobResponse(request_id=request.request_id, key=request.blob.key)
    me.send(SignalResponse(store_data_blob_response=stored))


def fetch(me: Participant, owner: Participant | None, request: GetDataBlobRequest) -> None:
    """`owner` is whom the request names, if present."""
    if not request.key.WhichOneof("key"):
        _refuse(me, request.request_id, (RequestResponse.INVALID_REQUEST, "data blob key is required"))
        return
    if owner is None:
        _refuse(me, request.request_id, (RequestResponse.NOT_FOUND, "participant not found"))
        return
    blob = owner.blobs.get(_name(request.key))
    if blob is None:
        _refuse(me, request.request_id, (RequestResponse.NOT_FOUND, "data blob not found"))
        return
    found = GetDataBlobResponse(request_id=request.request_id, blob=blob)
    me.send(SignalResponse(get_data_blob_response=found))


def _refusal(me: Participant, blob: DataBlob, limits: Limits) -> Refusal | None:
    if not limits.data_blobs:
        return RequestResponse.NOT_ALLOWED, "data blob not enabled"
    key = blob.key.generic or blob.key.schema_id.name
    if not 0 < len(key.encode()) <= limits.blob_key_bytes:
        return RequestResponse.INVALID_REQUEST, "data blob is invalid"
    encoding = blob.key.schema_id.encoding
    if encoding.HasField("custom") and not 0 < len(encoding.custom.encode()) <= limits.encoding_bytes:
        return RequestResponse.INVALID_REQUEST, "encoding identifier is empty or exceeds the maximum length"
    if not blob.contents:
        return RequestResponse.INVALID_REQUEST, "data blob is empty"
    name = _name(blob.key)
    others = {known: kept for known, kept in me.blobs.items() if known != name}
    size = sum(_size(known, kept) for known, kept in others.items()) + _size(name, blob)
    if size > limits.blob_bytes or len(others) >= limits.blobs_per_participant:
        return RequestResponse.LIMIT_EXCEEDED, "the participant's data blobs exceed the limit"
    return None


def _name(key: DataBlobKey) -> bytes:
    """One for equal keys."""
    return key.SerializeToString(deterministic=True)


def _size(name: bytes, blob: DataBlob) -> int:
    return len(name) + len(blob.contents)


def _refuse(me: Participant, request_id: int, refusal: Refusal) -> None:
    reason, message = refusal
    me.send(SignalResponse(request_response=RequestResponse(request_id=request_id, reason=reason, message=message)))
