"""Organisations through the API, and the rules of roles."""

import pytest

from auralink.app.testing import Gateway, MakePerson, Person
from auralink.kit.auth import Principal, PrincipalKind
from auralink.kit.clock import SystemClock
from auralink.kit.ids import OrgId, UserId
from auralink.orgs import OrganizationNotFound, Role
from auralink.orgs.service import OrganizationService
from auralink.orgs.store import OrganizationStore

ADDRESS = "/api/v1/organizations"


async def home_of(someone: Person) -> dict[str, str]:
    (home,) = (await someone.client.get(ADDRESS)).json()["items"]
    return dict(home)


async def test_everyone_has_an_organisation_of_their_own(person: MakePerson) -> None:
    ann, bob = await person("Ann"), await person("Bob")
    home = await home_of(ann)
    assert (home["name"], home["kind"], home["role"]) == ("Ann", "personal", "owner")
    assert (await ann.client.get(f"{ADDRESS}/{home['id']}")).json() == home
    assert (await ann.create_room())["org_id"] == home["id"]
    assert (await home_of(bob))["id"] != home["id"]


async def test_an_organisation_of_others_and_none_look_the_same(person: MakePerson) -> None:
    ann, bob = await person("Ann"), await person("Bob")
    theirs = (await home_of(ann))["id"]
    answers = [(await bob.client.get(f"{ADDRESS}/{org}")).json() for org in (theirs, str(OrgId.new()))]
    for answer in answers:
        answer.pop("request_id")
    assert answers[0] == answers[1]
    assert answers[0]["code"] == "organization_not_found"


@pytest.mark.parametrize("org_id", ["nonsense", "org_", "room_00000000000000000000000000", "%00", "' or 1=1 --"])
async def test_what_is_no_organisation_id_is_not_found(person: MakePerson, org_id: str) -> None:
    ann = await person("Ann")
    assert (await ann.client.get(f"{ADDRESS}/{org_id}")).status_code == 404


async def test_members_of_several_organisations_see_them_all_and_act_for_their_own(
    gateway: Gateway, person: MakePerson
) -> None:
    ann, bob = await person("Ann"), await person("Bob")
    store = OrganizationStore()
    homes = [(await home_of(someone))["id"] for someone in (ann, bob)]
    async with gateway.database.transaction(Principal.system()) as tx:
        await store.add_member(tx, OrgId.parse(homes[0]), UserId.parse(bob.id), Role.ADMIN, gateway.clock.now())
    listed = (await bob.client.get(ADDRESS)).json()["items"]
    assert {org["id"]: org["role"] for org in listed} == {homes[0]: "admin", homes[1]: "owner"}
    assert (await bob.create_room())["org_id"] == homes[1]
    assert (await bob.create_room(org_id=homes[0]))["org_id"] == homes[0]


async def test_organisations_come_in_pages(gateway: Gateway, person: MakePerson) -> None:
    ann = await person("Ann")
    others = [await person(name) for name in ("Bob", "Carol", "Dan")]
    store = OrganizationStore()
    for other in others:
        home = OrgId.parse((await home_of(other))["id"])
        async with gateway.database.transaction(Principal.system()) as tx:
            await store.add_member(tx, home, UserId.parse(ann.id), Role.MEMBER, gateway.clock.now())
    names: list[str] = []
    params: dict[str, str | int] = {"limit": 3}
    while True:
        page = (await ann.client.get(ADDRESS, params=params)).json()
        names += [org["name"] for org in page["items"]]
        if page["next_cursor"] is None:
            break
        params["cursor"] = page["next_cursor"]
    assert sorted(names) == ["Ann", "Bob", "Carol", "Dan"]


def test_only_owners_and_admins_manage() -> None:
    assert [role for role in Role if role.manages] == [Role.OWNER, Role.ADMIN]


def test_one_acts_for_an_organisation_one_belongs_to() -> None:
    own, other, strange = OrgId.new(), OrgId.new(), OrgId.new()
    caller = Principal(PrincipalKind.PERSON, UserId.new(), {own: "owner", other: "member"}, own)
    organizations = OrganizationService(OrganizationStore(), SystemClock())
    assert organizations.home_of(caller, None) == own
    assert organizations.home_of(caller, other) == other
    assert organizations.role_of(caller, other) is Role.MEMBER
    assert organizations.role_of(caller, strange) is None
    with pytest.raises(OrganizationNotFound):
        organizations.home_of(caller, strange)
    with pytest.raises(OrganizationNotFound):
        organizations.home_of(Principal.system(), None)
