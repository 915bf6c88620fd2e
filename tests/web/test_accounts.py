"""Signing up, in and out, and sessions that outlive a page but not the server's patience."""

import httpx
import pytest
from playwright.async_api import Request, Route, expect
from tests.platform import Platform
from tests.web.conftest import MakeVisitor

pytestmark = pytest.mark.asyncio(loop_scope="session")

_NINE_MINUTES_MS = 9 * 60 * 1000


async def test_what_is_wrong_with_a_sign_up_stands_beside_its_field(visit: MakeVisitor) -> None:
    ada = await visit()
    await ada.page.goto("/sign-up")
    await ada.button("Create account").click()
    for label, text in (
        ("Your name", "Enter your name."),
        ("E-mail", "Enter your e-mail address."),
        ("Password", "Choose a password."),
    ):
        await expect(ada.field(label)).to_have_attribute("aria-invalid", "true")
        await expect(ada.field(label)).to_have_accessible_description(text)
    await expect(ada.field("Your name")).to_be_focused()


async def test_what_only_the_server_knows_stands_beside_its_field_too(visit: MakeVisitor) -> None:
    ada = await visit()
    await ada.page.goto("/sign-up")
    await ada.field("Your name").fill("Ada")
    await ada.field("E-mail").fill("ada@example.org")
    await ada.field("Password").fill("aaaaaaaaaaaa")
    await ada.button("Create account").click()

    await expect(ada.field("Password")).to_have_attribute("aria-invalid", "true")
    await expect(ada.field("Password")).to_be_focused()
    await expect(ada.field("Password")).to_have_value("aaaaaaaaaaaa")


async def test_sign_up_says_when_it_needs_an_invitation_or_is_closed(visit: MakeVisitor) -> None:
    ada = await visit()
    mode = "invitation"

    async def answer(route: Route) -> None:
        await (route.fulfill(json={"mode": mode}) if route.request.method == "GET" else route.fallback())

    await ada.page.route("**/api/v1/auth/signup", answer)
    await ada.page.goto("/sign-up")
    await expect(ada.field("Invitation")).to_be_visible()
    await ada.button("Create account").click()
    await expect(ada.field("Invitation")).to_have_accessible_description("Enter your invitation.")

    mode = "closed"
    await ada.page.reload()
    await expect(ada.page.get_by_text("This server takes no new accounts")).to_be_visible()
    await expect(ada.button("Create account")).to_be_disabled()


async def test_a_wrong_password_says_no_more_than_that(visit: MakeVisitor) -> None:
    ada, mallory = await visit(), await visit()
    email, _ = await ada.sign_up()
    said = []
    for address in (email, "nobody@example.org"):
        await mallory.page.goto("/sign-in")
        await mallory.field("E-mail").fill(address)
        await mallory.field("Password").fill("not the password")
        await mallory.button("Sign in").click()
        said.append(await mallory.page.get_by_role("alert").inner_text())
    assert said[0] == said[1]
    assert "is not right" in said[0]


async def test_a_session_survives_a_reload_and_ends_by_signing_out(visit: MakeVisitor) -> None:
    ada = await visit()
    email, password = await ada.sign_up("Ada Lovelace")

    await ada.page.reload()
    await expect(ada.button("Your account")).to_be_visible()
    await ada.button("Your account").click()
    await ada.page.get_by_role("menuitem", name="Sign out").click()
    await expect(ada.page.get_by_role("heading", name="Welcome back")).to_be_visible()
    await ada.page.goto("/")
    await expect(ada.page.get_by_role("heading", name="Welcome back")).to_be_visible()

    await ada.field("E-mail").fill(email)
    await ada.field("Password").fill(password)
    await ada.page.keyboard.press("Enter")
    await expect(ada.button("Your account")).to_be_visible()


async def test_scripts_reach_neither_token(visit: MakeVisitor) -> None:
    ada = await visit()
    await ada.sign_up()
    kept = await ada.page.evaluate("() => JSON.stringify({...localStorage, ...sessionStorage}) + document.cookie")
    cookies = {cookie["name"]: cookie for cookie in await ada.context.cookies()}
    refresh = cookies["auralink_refresh"]
    assert refresh["httpOnly"]
    assert refresh["sameSite"] == "Strict"
    assert refresh["value"] not in kept
    assert "eyJ" not in kept, "no JWT in storage"


async def test_the_access_token_is_renewed_silently_before_it_expires(visit: MakeVisitor) -> None:
    ada = await visit()
    await ada.page.clock.install()
    await ada.sign_up()
    async with ada.page.expect_response("**/api/v1/auth/refresh") as answer:
        await ada.page.clock.fast_forward(_NINE_MINUTES_MS)
    assert (await answer.value).status == httpx.codes.OK
    await expect(ada.button("Your account")).to_be_visible()


async def test_two_tabs_share_one_session(visit: MakeVisitor) -> None:
    ada = await visit()
    await ada.sign_up()
    pages = [await ada.context.new_page() for _ in range(3)]
    for page in pages:
        await page.goto("/", wait_until="commit")  # all start, and refresh, at once
    for page in pages:
        await expect(page.get_by_role("button", name="Your account")).to_be_visible()
    await ada.page.reload()
    await expect(ada.button("Your account")).to_be_visible()


async def test_a_session_revoked_elsewhere_leads_to_signing_in_and_back(visit: MakeVisitor, platform: Platform) -> None:
    ada = await visit()
    email, password = await ada.sign_up()
    await ada.page.goto("/profile")
    cookies = {cookie["name"]: cookie["value"] for cookie in await ada.context.cookies()}
    async with httpx.AsyncClient(base_url=platform.url) as thief:
        body = {"refresh_token": cookies["auralink_refresh"]}
        assert (await thief.post("/api/v1/auth/logout", json=body)).status_code == httpx.codes.NO_CONTENT

    await ada.page.reload()
    await expect(ada.page.get_by_role("heading", name="Welcome back")).to_be_visible()
    await ada.field("E-mail").fill(email)
    await ada.field("Password").fill(password)
    await ada.button("Sign in").click()
    await expect(ada.page).to_have_url(f"{platform.url}/profile")


async def test_a_new_name_is_kept(visit: MakeVisitor) -> None:
    ada = await visit()
    await ada.sign_up("Ada Byron")
    await ada.button("Your account").click()
    await ada.page.get_by_role("menuitem", name="Profile").click()
    await ada.field("Your name").fill("Ada Lovelace")
    await ada.button("Save").click()
    await expect(ada.page.get_by_role("heading", name="Ada Lovelace")).to_be_visible()
    await ada.page.reload()
    await expect(ada.page.get_by_role("heading", name="Ada Lovelace")).to_be_visible()


async def test_a_server_that_is_away_is_said_so_with_a_way_to_retry(visit: MakeVisitor) -> None:
    ada = await visit()
    await ada.sign_up()
    await ada.page.route("**/api/v1/**", lambda route: route.abort("connectionrefused"))
    await ada.page.reload()
    await expect(ada.page.get_by_role("heading", name="The server cannot be reached")).to_be_visible()
    await ada.page.unroute("**/api/v1/**")
    await ada.button("Try again").click()
    await expect(ada.button("Your account")).to_be_visible()
    ada.forgive("Failed to load resource: net::ERR_CONNECTION_REFUSED")


async def test_a_failure_shows_the_request_id(visit: MakeVisitor) -> None:
    ada = await visit()
    await ada.sign_up()
    problem = {"title": "Not available at the moment", "status": 503, "code": "unavailable", "request_id": "req-4711"}
    await ada.page.route("**/api/v1/rooms/room_*", lambda route: route.fulfill(status=500, json=problem))
    await ada.page.goto("/rooms/room_01")
    await expect(ada.page.get_by_role("heading", name="Not available at the moment")).to_be_visible()
    await expect(ada.page.get_by_text("req-4711")).to_be_visible()
    ada.forgive("Failed to load resource: the server responded with a status of 500 (Internal Server Error)")


async def test_requests_go_to_our_own_server_only(visit: MakeVisitor, platform: Platform) -> None:
    ada = await visit()
    elsewhere: list[str] = []

    def note(request: Request) -> None:
        if not request.url.startswith((platform.url, "data:", "blob:")):
            elsewhere.append(request.url)

    ada.page.on("request", note)
    await ada.sign_up()
    await ada.create_room("Somewhere")
    assert elsewhere == []
