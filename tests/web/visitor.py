"""Somebody at the console: what they do there, and what their browser sees and hears."""

import re
import uuid
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote

from playwright.async_api import Browser, BrowserContext, ConsoleMessage, Locator, Page, expect

TIMEOUT_MS = 20_000
expect.set_options(timeout=TIMEOUT_MS)  # as long as actions have; five seconds are little on a busy machine
_INIT = (Path(__file__).parent / "observe.js").read_text()
# Chromium writes one line for every answer of 400 and above; the page shows those to the person itself.
_EXPECTED = re.compile(r"Failed to load resource: the server responded with a status of 4\d\d")


class Visitor:
    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.context = context
        self.page = page
        self.complaints: list[str] = []
        page.on("console", self._console)
        page.on("pageerror", lambda error: self.complaints.append(f"uncaught: {error}"))

    @classmethod
    async def arrive(cls, browser: Browser, base_url: str, **context: Any) -> Self:
        options = {"viewport": {"width": 1280, "height": 800}, "reduced_motion": "reduce", **context}
        opened = await browser.new_context(base_url=base_url, **options)
        opened.set_default_timeout(TIMEOUT_MS)
        await opened.add_init_script(_INIT)
        return cls(opened, await opened.new_page())

    async def close(self) -> None:
        if self.page.url.startswith("http") and not self.page.is_closed():
            violations = await self.page.evaluate("window.observed?.violations ?? []")
            self.complaints += [f"content security policy: {violation}" for violation in violations]
        await self.context.close()

    def assert_nothing_to_complain_about(self) -> None:
        assert not self.complaints, self.complaints

    def forgive(self, complaint: str) -> None:
        """Takes back complaints that begin so, where the test itself provoked them."""
        self.complaints = [other for other in self.complaints if not other.startswith(complaint)]

    def _console(self, message: ConsoleMessage) -> None:
        if message.type == "error" and not _EXPECTED.match(message.text):
            self.complaints.append(message.text)

    # Parts of the page, by what they are called

    def button(self, name: str, *, exact: bool = True) -> Locator:
        return self.page.get_by_role("button", name=name, exact=exact)

    def field(self, label: str) -> Locator:
        return self.page.get_by_label(label, exact=True)

    def tile(self, name: str) -> Locator:
        """Somebody's place in the call. Its name also says whether microphone and camera are on."""
        return self.page.get_by_role("article", name=re.compile(rf"^{re.escape(name)}\b"))

    @property
    def controls(self) -> Locator:
        return self.page.get_by_role("toolbar", name="Call controls")

    # What people do

    async def sign_up(self, name: str = "Ada Lovelace") -> tuple[str, str]:
        """Returns e-mail address and password."""
        mark = uuid.uuid4().hex[:12]
        email, password = f"{mark}@example.org", f"quiet garden {mark}"
        await self.page.goto("/sign-up")
        await self.field("Your name").fill(name)
        await self.field("E-mail").fill(email)
        await self.field("Password").fill(password)
        await self.button("Create account").click()
        await expect(self.page.get_by_role("heading", level=1)).to_contain_text(name.split()[0])
        return email, password

    async def create_room(self, name: str, policy: str = "By invite") -> None:
        await self.button("New room").click()
        dialog = self.page.get_by_role("dialog", name="New room")
        await dialog.get_by_label("Name").fill(name)
        await dialog.get_by_role("radio", name=policy).check()
        await dialog.get_by_role("button", name="Create room").click()
        await expect(self.page.get_by_role("heading", name=name, exact=True)).to_be_visible()

    async def copy_invite(self, room: str) -> str:
        await self.context.grant_permissions(["clipboard-read", "clipboard-write"])
        await self.button(f"Copy invite to {room}").click()
        await expect(self.page.get_by_text("Invite address copied")).to_be_visible()
        return str(await self.page.evaluate("navigator.clipboard.readText()"))

    async def join(self, room: str) -> None:
        await self.page.get_by_role("link", name=f"Join {room}").click()
        await self.button("Join now").click()
        await expect(self.controls).to_be_visible()

    async def join_as_guest(self, address: str, name: str) -> None:
        await self.page.goto(address)
        await self.field("Your name").fill(name)
        await self.button("Join now").click()
        await expect(self.controls).to_be_visible()

    async def access_token(self) -> str:
        """A token of this person's session, as the page gets it: by the cookie."""
        cookies = {cookie["name"]: cookie["value"] for cookie in await self.context.cookies()}
        answer = await self.context.request.post(
            "/api/v1/auth/refresh",
            data={},
            headers={"X-AuraLink-Client": "web", "X-CSRF-Token": unquote(cookies["auralink_csrf"])},
        )
        assert answer.ok, await answer.text()
        return str((await answer.json())["access_token"])

    # What comes in, by the browser's own statistics

    async def receives(self, kind: str, at_least: int = 1) -> None:
        """Waits until that many incoming streams of `kind` (video or audio) deliver: decoded frames that go on, or
        sound energy that rises."""
        await self.page.evaluate("([kind, count]) => window.observed.delivering(kind, count)", [kind, at_least])

    async def hears_nothing(self) -> None:
        """Waits until no incoming stream adds sound energy any more."""
        await self.page.evaluate("() => window.observed.silent()")

    async def sees_picture(self, tile: Locator) -> None:
        """Waits until the tile's video shows frames that change."""
        await tile.locator("video").evaluate("(video) => window.observed.playing(video)")
