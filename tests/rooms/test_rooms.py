"""Rooms through the API."""

from auralink.app.testing import Gateway, MakePerson


async def test_a_room_is_created_listed_read_changed_and_deleted(person: MakePerson) -> None:
    ann = await person("Ann")
    room = await ann.create_room(name="Kitchen", join_policy="invite", max_participants=5, metadata='{"a": 1}')
    assert room["id"].startswith("room_")
    assert room["status"] == "waiting"
    assert room["invite_code"]
    address = f"/api/v1/rooms/{room['id']}"

    assert (await ann.client.get("/api/v1/rooms")).json() == {"items": [room], "next_cursor": None}
    assert (await ann.client.get(address)).json() == room

    changed = await ann.client.patch(address, json={"name": "Living room", "max_participants": 9})
    assert changed.status_code == 200, changed.text
    assert changed.json() == room | {
        "name": "Living room",
        "max_participants": 9,
        "updated_at": changed.json()["updated_at"],
    }

    assert (await ann.client.delete(address)).status_code == 204
    assert (await ann.client.get(address)).status_code == 404
    assert (await ann.client.get("/api/v1/rooms")).json()["items"] == []


async def test_the_api_description_is_complete(gateway: Gateway) -> None:
    async with gateway.client() as client:
        paths = (await client.get("/api/v1/openapi.json")).json()["paths"]
    operations = [operation for path in paths.values() for operation in path.values() if path]
    ours = [o for p, path in paths.items() if p.startswith("/api/v1") for o in path.values()]
    names = [operation["operationId"] for operation in ours]
    assert len(names) == len(set(names))
    assert all(name.isidentifier() and "_" not in name for name in names)
    assert all(operation.get("tags") and operation.get("description") for operation in ours)
    assert operations
