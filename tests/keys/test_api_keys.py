"""Key pairs of organisations through the API: who may, what is shown, what is kept and what is told."""

import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from auralink.app.testing import Gateway, MakePerson, Person
from auralink.kit.auth import Principal
from auralink.kit.ids import OrgId, UserId
from auralink.orgs import Role
from auralink.orgs.store import OrganizationStore

ORGANIZATIONS = "/api/v1/organizations"
HOOK = "https://app.example.org/livekit"


async def keys_of(someone: Person) -> str:
    """Where the keys of the person's own organisation are."""
    (home,) = (await someone.client.get(ORGANIZATIONS)).json()["items"]
    return f"{ORGANIZATIONS}/{home['id']}/api-keys"


async def made(someone: Person, **wanted: Any) -> dict[str, Any]:
    answer = await someone.client.post(await keys_of(someone), json={"name": "Backend"} | wanted)
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return dict(answer.json())


async def test_a_secret_is_shown_once_and_kept_sealed(gateway: Gateway, person: MakePerson) -> None:
    ann = await person("Ann")
    key = await made(ann, webhook_urls=[HOOK, HOOK])
    assert key["webhook_urls"] == [HOOK]
    (listed,) = (await ann.client.get(await keys_of(ann))).json()["items"]
    assert listed == {name: value for name, value in key.items() if name != "secret"}
    async with gateway.database.transaction(Principal.system()) as tx:
        row = (await tx.session.execute(text("select * from livekit_api_keys"))).mappings().one()
    assert key["api_key"] == row["api_key"]
    assert key["secret"] not in str(dict(row))


async def test_rotation_gives_a_new_secret_and_says_how_long_the_old_one_works(
    gateway: Gateway, person: MakePerson
) -> None:
    ann = await person("Ann")
    key = await made(ann)
    place = f"{await keys_of(ann)}/{key['id']}/rotate"
    rotated = (await ann.client.post(place, json={"overlap_seconds": 3600})).json()
    assert rotated["api_key"] == key["api_key"]
    assert rotated["secret"] != key["secret"]
    until = gateway.clock.now() + timedelta(hours=1)
    assert rotated["former_valid_until"] == until.isoformat().replace("+00:00", "Z")
    at_once = (await ann.client.post(place, json={"overlap_seconds": 0})).json()
    assert at_once["former_valid_until"] is None


@pytest.mark.parametrize("overlap", [-1, 31 * 24 * 3600, "3600", 1.5])
async def test_an_overlap_without_sense_is_refused(person: MakePerson, overlap: object) -> None:
    ann = await person("Ann")
    key = await made(ann)
    answer = await ann.client.post(f"{await keys_of(ann)}/{key['id']}/rotate", json={"overlap_seconds": overlap})
    assert answer.status_code == 422


async def test_a_revoked_pair_is_gone_and_its_secret_erased(gateway: Gateway, person: MakePerson) -> None:
    ann = await person("Ann")
    key = await made(ann)
    place = f"{await keys_of(ann)}/{key['id']}"
    assert (await ann.client.delete(place)).status_code == 204
    for again in (
        await ann.client.delete(place),
        await ann.client.patch(place, json={"name": "Other"}),
        await ann.client.post(f"{place}/rotate", json={}),
    ):
        assert again.json()["code"] == "api_key_not_found"
    assert (await ann.client.get(await keys_of(ann))).json()["items"] == []
    async with gateway.database.transaction(Principal.system()) as tx:
        assert (await tx.session.execute(text("select sealed_secret from livekit_api_keys"))).scalar_one() == b""


async def test_name_and_webhooks_can_be_changed(person: MakePerson) -> None:
    ann = await person("Ann")
    key = await made(ann)
    place = f"{await keys_of(ann)}/{key['id']}"
    changed = (await ann.client.patch(place, json={"webhook_urls": [HOOK]})).json()
    assert (changed["name"], changed["webhook_urls"]) == ("Backend", [HOOK])
    assert (await ann.client.patch(place, json={"name": "Staging"})).json()["webhook_urls"] == [HOOK]
    assert (await ann.client.patch(place, json={})).status_code == 422


@pytest.mark.parametrize(
    "url",
    ["", "app.example.org", "ftp://example.org", "https://", "https://me:pw@example.org", "http://h:0/", "x" * 3000],
)
async def test_a_webhook_needs_an_address_it_can_go_to(person: MakePerson, url: str) -> None:
    ann = await person("Ann")
    answer = await ann.client.post(await keys_of(ann), json={"name": "Backend", "webhook_urls": [url]})
    assert answer.status_code == 422


async def test_members_may_not_and_strangers_see_nothing(gateway: Gateway, person: MakePerson) -> None:
    ann, bob, eve = await person("Ann"), await person("Bob"), await person("Eve")
    place, key = await keys_of(ann), await made(ann)
    org_id = OrgId.parse(place.split("/")[4])
    async with gateway.database.transaction(Principal.system()) as tx:
        await OrganizationStore().add_member(tx, org_id, UserId.parse(bob.id), Role.MEMBER, gateway.clock.now())
    for who, status, code in ((bob, 403, "not_organization_admin"), (eve, 404, "organization_not_found")):
        for answer in (
            await who.client.get(place),
            await who.client.post(place, json={"name": "Mine"}),
            await who.client.patch(f"{place}/{key['id']}", json={"name": "Mine"}),
            await who.client.post(f"{place}/{key['id']}/rotate", json={}),
            await who.client.delete(f"{place}/{key['id']}"),
        ):
            assert (answer.status_code, answer.json()["code"]) == (status, code)


async def test_an_admin_may(gateway: Gateway, person: MakePerson) -> None:
    ann, bob = await person("Ann"), await person("Bob")
    place = await keys_of(ann)
    async with gateway.database.transaction(Principal.system()) as tx:
        org_id = OrgId.parse(place.split("/")[4])
        await OrganizationStore().add_member(tx, org_id, UserId.parse(bob.id), Role.ADMIN, gateway.clock.now())
    assert (await bob.client.post(place, json={"name": "Bob's"})).status_code == 201


async def test_a_key_of_one_organisation_is_not_found_under_another(person: MakePerson) -> None:
    ann, bob = await person("Ann"), await person("Bob")
    key = await made(ann)
    answer = await bob.client.delete(f"{await keys_of(bob)}/{key['id']}")
    assert answer.json()["code"] == "api_key_not_found"


async def test_rows_of_other_organisations_do_not_exist_for_sql_either(gateway: Gateway, person: MakePerson) -> None:
    ann, bob = await person("Ann"), await person("Bob")
    await made(ann)
    org_id = OrgId.parse((await keys_of(bob)).split("/")[4])
    principal = Principal(kind=Principal.system().kind.PERSON, id=UserId.parse(bob.id), roles={org_id: "owner"})
    async with gateway.database.transaction(principal) as tx:
        assert (await tx.session.execute(text("select count(*) from livekit_api_keys"))).scalar_one() == 0


async def test_events_tell_who_did_what_and_no_secret(person: MakePerson) -> None:
    ann = await person("Ann")
    key = await made(ann, webhook_urls=[HOOK])
    place = f"{await keys_of(ann)}/{key['id']}"
    await ann.client.patch(place, json={"name": "Staging", "webhook_urls": []})
    secret = (await ann.client.post(f"{place}/rotate", json={})).json()["secret"]
    await ann.client.delete(place)
    events = (await ann.client.get("/api/v1/events")).json()["items"]
    about = [event for event in events if event["type"].startswith("api_key.")]
    assert [event["type"] for event in about] == [
        "api_key.created",
        "api_key.changed",
        "api_key.rotated",
        "api_key.revoked",
    ]
    assert all(event["data"]["by"] == ann.id for event in about)
    assert about[1]["data"]["changed"] == ["name", "webhook_urls"]
    told = json.dumps(events)
    assert key["secret"] not in told
    assert secret not in told
    assert HOOK not in told


async def test_an_organisation_has_a_bounded_number_of_pairs(person: MakePerson) -> None:
    ann = await person("Ann")
    keys = [await made(ann) for _ in range(20)]
    place = await keys_of(ann)
    refused = await ann.client.post(place, json={"name": "One more"})
    assert (refused.status_code, refused.json()["code"]) == (409, "too_many_api_keys")
    await ann.client.delete(f"{place}/{keys[0]['id']}")
    assert (await ann.client.post(place, json={"name": "One more"})).status_code == 201
