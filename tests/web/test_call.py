"""The journey of the first call: two people and a guest, in real browsers, through the real platform."""

import pytest
from playwright.async_api import expect
from tests.web.conftest import MakeVisitor
from tests.web.visitor import Visitor

# The server may close the media connection a moment before the client has read why; livekit-client logs that.
_CLOSED_BY_SERVER = "publisher data channel"

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _host_and_guest(visit: MakeVisitor, room: str = "Weekly sync") -> tuple[Visitor, Visitor, str]:
    ada, grace = await visit(), await visit()
    await ada.sign_up("Ada Lovelace")
    await ada.create_room(room)
    address = await ada.copy_invite(room)
    await ada.join(room)
    await grace.join_as_guest(address, "Grace Hopper")
    return ada, grace, address


async def test_two_people_see_and_hear_each_other(visit: MakeVisitor) -> None:
    ada, grace, _ = await _host_and_guest(visit)

    await ada.sees_picture(ada.tile("Grace Hopper"))
    await grace.sees_picture(grace.tile("Ada Lovelace"))
    await ada.receives("video")
    await ada.receives("audio")
    await grace.receives("video")
    await grace.receives("audio")


async def test_a_third_person_sees_and_hears_both(visit: MakeVisitor) -> None:
    _, _, address = await _host_and_guest(visit)
    alan = await visit()
    await alan.join_as_guest(address, "Alan Turing")

    await alan.receives("video", 2)
    await alan.receives("audio", 2)
    await expect(alan.page.get_by_label("3 in the call")).to_be_visible()


async def test_members_join_by_their_room_and_guests_need_no_account(visit: MakeVisitor) -> None:
    _, grace, _ = await _host_and_guest(visit)

    cookies = await grace.context.cookies()
    assert cookies == [], "a guest holds no session"
    await grace.page.goto("/")
    await expect(grace.page.get_by_role("heading", name="Welcome back")).to_be_visible()


async def test_chat_reaches_everybody_and_is_read_out(visit: MakeVisitor) -> None:
    ada, grace, _ = await _host_and_guest(visit)

    await grace.button("Chat").click()
    await grace.field("Message").fill("Hello <b>Ada</b>, see https://example.org/notes")
    await grace.page.keyboard.press("Enter")

    await expect(ada.page.get_by_test_id("announcer")).to_contain_text("Grace Hopper: Hello <b>Ada</b>")
    await ada.button("Chat, 1 unread").click()
    log = ada.page.get_by_role("log", name="Messages")
    await expect(log).to_contain_text("Hello <b>Ada</b>, see")
    await expect(log.get_by_role("link", name="https://example.org/notes")).to_have_attribute(
        "rel", "noopener noreferrer nofollow"
    )

    await ada.field("Message").fill("Hello Grace")
    await ada.button("Send message").click()
    await expect(grace.page.get_by_role("log", name="Messages")).to_contain_text("Hello Grace")


async def test_a_shared_screen_takes_the_stage_of_others(visit: MakeVisitor) -> None:
    ada, grace, _ = await _host_and_guest(visit)

    await ada.button("Share your screen").click()
    screen = grace.tile("Ada Lovelace’s screen")
    await grace.sees_picture(screen)
    await grace.receives("video", 2)
    await expect(ada.page.get_by_text("Everybody sees your screen")).to_be_visible()

    await ada.button("Stop sharing").click()
    await expect(screen).to_be_hidden()


async def test_a_muted_microphone_and_camera_are_off_for_others_too(visit: MakeVisitor) -> None:
    ada, grace, _ = await _host_and_guest(visit)
    await grace.receives("audio")

    await ada.button("Turn off microphone").click()
    await expect(grace.page.get_by_role("article", name="Ada Lovelace, microphone off")).to_be_visible()
    await grace.hears_nothing()
    await ada.button("Turn off camera").click()
    await expect(grace.page.get_by_role("article", name="Ada Lovelace, microphone off, camera off")).to_be_visible()

    await ada.button("Turn on microphone").click()
    await ada.button("Turn on camera").click()
    await expect(grace.page.get_by_role("article", name="Ada Lovelace, microphone on", exact=True)).to_be_visible()
    await grace.receives("audio")
    await grace.sees_picture(grace.tile("Ada Lovelace"))


async def test_another_camera_and_microphone_are_used_when_chosen(visit: MakeVisitor) -> None:
    ada, grace, _ = await _host_and_guest(visit)
    await grace.receives("video")

    await ada.button("Choose camera").click()
    await ada.page.get_by_role("menuitemradio", name="fake_device_2").click()
    await ada.button("Choose camera").click()
    await expect(ada.page.get_by_role("menuitemradio", name="fake_device_2", checked=True)).to_be_visible()
    await ada.page.keyboard.press("Escape")
    await grace.receives("video")

    await ada.button("Choose microphone and speaker").click()
    await ada.page.get_by_role("menuitemradio", name="Fake Audio Input 2").click()
    await ada.button("Choose microphone and speaker").click()
    await expect(ada.page.get_by_role("menuitemradio", name="Fake Audio Input 2", checked=True)).to_be_visible()
    await ada.page.keyboard.press("Escape")
    await grace.receives("audio")


async def test_leaving_is_seen_by_others_and_leads_back(visit: MakeVisitor) -> None:
    ada, grace, _ = await _host_and_guest(visit)
    await expect(grace.tile("Ada Lovelace")).to_be_visible()

    await ada.button("Leave the call").click()
    await expect(ada.page.get_by_role("heading", name="You left the call")).to_be_visible()
    await expect(grace.page.get_by_test_id("announcer")).to_have_text("Ada Lovelace left")
    await expect(grace.tile("Ada Lovelace")).to_be_hidden()

    await ada.page.get_by_role("link", name="Join again").click()
    await ada.button("Join now").click()
    await grace.sees_picture(grace.tile("Ada Lovelace"))


async def test_deleting_the_room_ends_the_call_and_says_so(visit: MakeVisitor) -> None:
    ada, grace, address = await _host_and_guest(visit, "Short lived")

    await ada.button("Leave the call").click()
    await ada.page.get_by_role("link", name="Your rooms").click()
    await ada.button("More for Short lived").click()
    await ada.page.get_by_role("menuitem", name="Delete room").click()
    await ada.page.get_by_role("dialog").get_by_role("button", name="Delete room").click()
    await expect(ada.page.get_by_text("is deleted")).to_be_visible()

    await expect(grace.page.get_by_role("heading", name="The room is gone")).to_be_visible()
    grace.forgive(_CLOSED_BY_SERVER)
    await grace.page.goto(address)
    await expect(grace.page.get_by_role("heading", name="This invitation does not work")).to_be_visible()


async def test_the_host_can_send_somebody_out(visit: MakeVisitor) -> None:
    ada, grace, _ = await _host_and_guest(visit)

    await ada.button("People").click()
    await ada.button("More for Grace Hopper").click()
    await ada.page.get_by_role("menuitem", name="Remove from the call").click()

    await expect(grace.page.get_by_role("heading", name="You were removed from the call")).to_be_visible()
    grace.forgive(_CLOSED_BY_SERVER)
    await expect(grace.page.get_by_role("link", name="Join again")).to_be_hidden()
    await expect(ada.page.get_by_role("list", name="Participants").get_by_role("listitem")).to_have_count(1)
    await expect(ada.page.get_by_text("Nobody else is here yet.")).to_be_visible()


async def test_joining_twice_tells_the_first_window(visit: MakeVisitor) -> None:
    ada, _, _ = await _host_and_guest(visit)
    again = Visitor(ada.context, await ada.context.new_page())

    await again.page.goto("/")
    await again.join("Weekly sync")
    await expect(ada.page.get_by_role("heading", name="You joined from somewhere else")).to_be_visible()
    ada.forgive(_CLOSED_BY_SERVER)
    again.assert_nothing_to_complain_about()
