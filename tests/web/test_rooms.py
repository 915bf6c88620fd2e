"""The list of rooms."""

import pytest
from playwright.async_api import expect
from tests.web.conftest import MakeVisitor

pytestmark = pytest.mark.asyncio(loop_scope="session")

_MORE_THAN_A_PAGE = 23


async def test_a_new_room_is_on_top_and_its_invite_can_be_copied(visit: MakeVisitor) -> None:
    ada = await visit()
    await ada.sign_up()
    await expect(ada.page.get_by_role("heading", name="Your first room")).to_be_visible()
    await ada.create_room("First")
    await ada.create_room("Second")
    await expect(ada.page.get_by_role("list", name="Rooms").get_by_role("heading")).to_have_text(["Second", "First"])
    assert "/join/" in await ada.copy_invite("First")


async def test_a_members_room_is_shared_by_its_own_address(visit: MakeVisitor) -> None:
    ada = await visit()
    await ada.sign_up()
    await ada.create_room("Board", policy="Members only")
    assert "/rooms/room_" in await ada.copy_invite("Board")


async def test_where_the_clipboard_is_forbidden_the_address_is_shown(visit: MakeVisitor) -> None:
    ada = await visit()
    await ada.sign_up()
    await ada.create_room("Weekly sync")
    await ada.page.evaluate("() => { navigator.clipboard.writeText = () => Promise.reject(new Error('no')); }")
    await ada.button("Copy invite to Weekly sync").click()
    await expect(ada.page.get_by_role("dialog", name="Invite address")).to_be_visible()
    assert "/join/" in await ada.field("Address").input_value()


async def test_long_lists_come_in_pages(visit: MakeVisitor) -> None:
    ada = await visit()
    await ada.sign_up()
    token = await ada.access_token()
    for number in range(_MORE_THAN_A_PAGE):
        answer = await ada.context.request.post(
            "/api/v1/rooms", data={"name": f"Room {number}"}, headers={"Authorization": f"Bearer {token}"}
        )
        assert answer.ok
    await ada.page.goto("/")
    cards = ada.page.get_by_role("list", name="Rooms").get_by_role("listitem")
    await expect(cards).to_have_count(20)
    await ada.button("Show more rooms").click()
    await expect(cards).to_have_count(_MORE_THAN_A_PAGE)
    await expect(ada.button("Show more rooms")).to_be_hidden()


async def test_a_deleted_room_is_gone(visit: MakeVisitor) -> None:
    ada = await visit()
    await ada.sign_up()
    await ada.create_room("Mistake")
    await ada.button("More for Mistake").click()
    await ada.page.get_by_role("menuitem", name="Delete room").click()
    await ada.page.get_by_role("dialog").get_by_role("button", name="Delete room").click()
    await expect(ada.page.get_by_role("heading", name="Your first room")).to_be_visible()


async def test_a_room_of_others_is_not_there(visit: MakeVisitor) -> None:
    ada, mallory = await visit(), await visit()
    await ada.sign_up()
    await ada.create_room("Private", policy="Members only")
    address = await ada.copy_invite("Private")
    await mallory.sign_up("Mallory")
    await mallory.page.goto(address)
    await expect(mallory.page.get_by_role("heading", name="There is nothing here")).to_be_visible()


async def test_unknown_addresses_are_said_to_be_unknown(visit: MakeVisitor) -> None:
    somebody = await visit()
    await somebody.page.goto("/no/such/page")
    await expect(somebody.page.get_by_role("heading", name="There is nothing here")).to_be_visible()
    await somebody.page.goto("/join/no-such-code")
    await expect(somebody.page.get_by_role("heading", name="This invitation does not work")).to_be_visible()
