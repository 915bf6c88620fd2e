"""Before the call: devices that are blocked, missing or out of reach, and what is said about them."""

import re

import pytest
from playwright.async_api import Browser, expect
from tests.platform import Platform
from tests.web.conftest import INSECURE_HOST, MakeVisitor
from tests.web.visitor import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")

_FAILING = """
navigator.mediaDevices.getUserMedia = () => Promise.reject(new DOMException("refused", "%s"));
"""


async def _invitation(visit: MakeVisitor) -> str:
    host = await visit()
    await host.sign_up()
    await host.create_room("Weekly sync")
    return await host.copy_invite("Weekly sync")


async def _without_devices(visit: MakeVisitor, error: str) -> Visitor:
    guest = await visit()
    await guest.page.add_init_script(_FAILING % error)
    await guest.page.goto(await _invitation(visit))
    return guest


async def test_the_preview_shows_the_camera_and_hears_the_microphone(visit: MakeVisitor) -> None:
    guest = await visit()
    await guest.page.goto(await _invitation(visit))
    await guest.page.get_by_label("Your camera", exact=True).evaluate("(video) => window.observed.playing(video)")
    await expect(guest.page.get_by_role("meter", name="Microphone level")).not_to_have_attribute("aria-valuenow", "0")
    await expect(guest.field("Camera").locator("option")).not_to_have_count(0)

    await guest.button("Turn off camera").click()
    await expect(guest.page.get_by_text("Your camera is off")).to_be_visible()


async def test_a_blocked_camera_says_how_to_allow_it(
    visit: MakeVisitor, platform: Platform, strict_browser: Browser
) -> None:
    address = await _invitation(visit)
    guest = await visit(platform.url, strict_browser, permissions=[])
    await guest.page.goto(address)

    notice = guest.page.get_by_role("alert").filter(has_text="Your camera is blocked")
    await expect(notice).to_contain_text("Click the icon left of the address, allow the camera, then try again")
    await expect(guest.page.get_by_text("Your microphone is blocked")).to_be_visible()

    await guest.context.grant_permissions(["camera", "microphone"])
    await notice.get_by_role("button", name="Try again").click()
    await expect(guest.page.get_by_label("Your camera", exact=True)).to_be_visible()


async def test_somebody_without_devices_can_still_join(visit: MakeVisitor) -> None:
    guest = await _without_devices(visit, "NotFoundError")
    await expect(guest.page.get_by_text("No camera found")).to_be_visible()
    await expect(guest.page.get_by_text("No microphone found")).to_be_visible()

    await guest.field("Your name").fill("Grace Hopper")
    await guest.button("Join now").click()
    await expect(
        guest.page.get_by_role("article", name=re.compile("Grace Hopper, you, microphone off"))
    ).to_be_visible()
    await guest.button("Turn on microphone").click()
    await expect(guest.page.get_by_text(re.compile("^No microphone found"))).to_be_visible()


async def test_a_camera_in_use_says_so(visit: MakeVisitor) -> None:
    guest = await _without_devices(visit, "NotReadableError")
    await expect(guest.page.get_by_text("Your camera is in use")).to_be_visible()


async def test_an_insecure_address_is_named_as_the_cause(visit: MakeVisitor, platform: Platform) -> None:
    address = await _invitation(visit)
    origin = f"http://{INSECURE_HOST}:{platform.gateway_port}"
    guest = await visit(origin)
    await guest.page.goto(address.replace(platform.url, origin))
    await expect(guest.page.get_by_text("The camera needs a secure address")).to_be_visible()
    await expect(guest.page.get_by_text("The microphone needs a secure address")).to_be_visible()
    guest.forgive("The Cross-Origin-Opener-Policy header has been ignored, because the URL's origin was untrustworthy")


async def test_a_guest_without_a_name_is_asked_for_one(visit: MakeVisitor) -> None:
    guest = await visit()
    await guest.page.goto(await _invitation(visit))
    await guest.field("Your name").fill("   ")
    await guest.button("Join now").click()
    await expect(guest.field("Your name")).to_have_accessible_description("Enter your name.")
    await expect(guest.field("Your name")).to_be_focused()


async def test_somebody_who_joins_at_once_is_heard_as_soon_as_the_devices_are_there(visit: MakeVisitor) -> None:
    address = await _invitation(visit)
    slow = """
    const open = navigator.mediaDevices.getUserMedia.bind(navigator.mediaDevices);
    const allowed = new Promise((resolve) => (window.allow = resolve));
    navigator.mediaDevices.getUserMedia = (wanted) => allowed.then(() => open(wanted));
    """
    guest, other = await visit(), await visit()
    await guest.page.add_init_script(slow)
    await guest.join_as_guest(address, "Grace Hopper")
    await other.join_as_guest(address, "Alan Turing")
    await expect(other.page.get_by_role("article", name="Grace Hopper, microphone off, camera off")).to_be_visible()

    await guest.page.evaluate("window.allow()")
    await other.receives("audio")
    await other.sees_picture(other.tile("Grace Hopper"))


async def test_a_media_server_that_is_away_is_told_from_a_refusal(visit: MakeVisitor) -> None:
    guest = await visit()
    address = await _invitation(visit)
    await guest.page.route_web_socket(re.compile("/rtc"), lambda socket: socket.close())
    await guest.page.route(re.compile("/rtc"), lambda route: route.abort("connectionrefused"))
    await guest.page.goto(address)
    await guest.field("Your name").fill("Grace")
    await guest.button("Join now").click()
    await expect(guest.page.get_by_role("alert")).to_contain_text("The media server cannot be reached")
    await expect(guest.button("Join now")).to_be_enabled()
    guest.forgive("Failed to load resource: net::ERR_CONNECTION_REFUSED")
