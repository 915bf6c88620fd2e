"""Usable by everybody: by keyboard alone, with a screen reader, in both themes, on a phone."""

from pathlib import Path
from typing import Any

import pytest
from playwright.async_api import expect
from tests.web.conftest import MakeVisitor
from tests.web.visitor import Visitor

pytestmark = pytest.mark.asyncio(loop_scope="session")

_AXE = (Path(__file__).parents[2] / "web" / "node_modules" / "axe-core" / "axe.min.js").read_text()
_RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa"]
# What is just coming in has colours that are nobody's design; people see it for a fraction of a second.
_SETTLED = "() => Promise.allSettled(document.getAnimations().map((animation) => animation.finished))"
_PHONE = {"width": 390, "height": 844}


async def _assert_accessible(visitor: Visitor, where: str) -> None:
    """axe-core's WCAG 2.2 A and AA rules, contrast included."""
    await visitor.page.evaluate(_AXE)
    await visitor.page.evaluate(_SETTLED)
    found: dict[str, Any] = await visitor.page.evaluate(
        "(tags) => axe.run(document, { runOnly: { type: 'tag', values: tags } })", _RULES
    )
    broken = [
        f"{violation['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for violation in found["violations"]
        for node in violation["nodes"]
    ]
    assert broken == [], where


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_every_page_holds_the_accessibility_rules(visit: MakeVisitor, scheme: str) -> None:
    ada = await visit(color_scheme=scheme)
    await ada.page.goto("/sign-in")
    await expect(ada.button("Sign in")).to_be_visible()
    await _assert_accessible(ada, "sign in")
    await ada.page.goto("/sign-up")
    await ada.button("Create account").click()
    await _assert_accessible(ada, "sign up, with errors")

    await ada.sign_up()
    await _assert_accessible(ada, "no rooms")
    await ada.button("New room").click()
    await _assert_accessible(ada, "new room")
    await ada.page.keyboard.press("Escape")
    await ada.create_room("Weekly sync")
    await _assert_accessible(ada, "rooms")
    await ada.button("Your account").click()
    await _assert_accessible(ada, "account menu")
    await ada.page.get_by_role("menuitem", name="Profile").click()
    await expect(ada.button("Save")).to_be_visible()
    await _assert_accessible(ada, "profile")
    await ada.page.goto("/api-keys")
    await ada.button("New key").click()
    await ada.field("Name").fill("Backend")
    await _assert_accessible(ada, "new API key")
    await ada.button("Create key").click()
    await expect(ada.field("Secret")).to_be_visible()
    await _assert_accessible(ada, "secret of an API key")
    await ada.button("Done").click()
    await _assert_accessible(ada, "API keys")
    await ada.page.goto("/nowhere")
    await expect(ada.page.get_by_role("heading")).to_be_visible()
    await _assert_accessible(ada, "not found")


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_call_holds_the_accessibility_rules(visit: MakeVisitor, scheme: str) -> None:
    ada = await visit(color_scheme=scheme)
    await ada.sign_up()
    await ada.create_room("Weekly sync")
    await ada.page.get_by_role("link", name="Join Weekly sync").click()
    await expect(ada.button("Turn off camera")).to_be_visible()
    await _assert_accessible(ada, "lobby")
    await ada.button("Join now").click()
    await expect(ada.controls).to_be_visible()
    await ada.button("Turn off camera").click()
    await expect(ada.button("Turn on camera")).to_be_visible()
    await _assert_accessible(ada, "call")
    await ada.button("Chat").click()
    await ada.field("Message").fill("Hello")
    await ada.page.keyboard.press("Enter")
    await expect(ada.page.get_by_role("log")).to_contain_text("Hello")
    await _assert_accessible(ada, "chat")
    await ada.button("People").click()
    await expect(ada.page.get_by_role("list", name="Participants")).to_be_visible()
    await _assert_accessible(ada, "people")
    await ada.button("Keyboard shortcuts").click()
    await _assert_accessible(ada, "help")
    await ada.page.keyboard.press("Escape")
    await ada.button("Leave the call").click()
    await expect(ada.page.get_by_role("link", name="Join again")).to_be_visible()
    await _assert_accessible(ada, "ended")


async def test_nothing_moves_for_somebody_who_asked_for_less_motion(visit: MakeVisitor) -> None:
    ada = await visit(reduced_motion="reduce")
    await ada.sign_up()
    await ada.create_room("Weekly sync")
    await ada.page.get_by_role("link", name="Join Weekly sync").click()
    await ada.button("Join now").click()
    await expect(ada.controls).to_be_visible()  # somebody alone is offered a link to share, which comes in later
    moving = await ada.page.evaluate("document.getAnimations().map((animation) => animation.animationName)")
    assert moving == []


async def _tab_to(visitor: Visitor, name: str) -> None:
    """Presses Tab until the element of that name has focus, as somebody without a pointer does."""
    seen = []
    for _ in range(40):
        await visitor.page.keyboard.press("Tab")
        focused = await visitor.page.evaluate(
            "(document.activeElement.ariaLabel || document.activeElement.labels?.[0]?.innerText"
            " || document.activeElement.innerText || '').trim()"
        )
        if focused == name:
            return
        seen.append(focused)
    raise AssertionError(f"Tab does not lead to {name!r}; it led to {seen}")


async def test_the_whole_journey_works_by_keyboard_alone(visit: MakeVisitor) -> None:
    ada = await visit()
    keys = ada.page.keyboard
    await ada.page.goto("/sign-up")
    for label, text in (
        ("Your name", "Ada Lovelace"),
        ("E-mail", "keys@example.org"),
        ("Password", "only by keyboard"),
    ):
        await _tab_to(ada, label)
        await keys.type(text)
    await keys.press("Enter")

    await expect(ada.button("Create a room")).to_be_visible()
    await _tab_to(ada, "Create a room")
    await keys.press("Enter")
    await expect(ada.field("Name")).to_be_focused()
    await keys.type("By hand")
    await keys.press("Enter")
    await expect(ada.page.get_by_role("heading", name="By hand")).to_be_visible()
    await _tab_to(ada, "Join By hand")
    await keys.press("Enter")
    await expect(ada.button("Join now")).to_be_visible()
    await _tab_to(ada, "Join now")
    await keys.press("Enter")
    await expect(ada.controls).to_be_visible()

    await expect(ada.button("Turn off microphone")).to_be_enabled()
    await keys.press("m")
    await expect(ada.button("Turn on microphone")).to_be_visible()
    await expect(ada.button("Turn off camera")).to_be_enabled()
    await keys.press("v")
    await expect(ada.button("Turn on camera")).to_be_visible()
    await keys.press("c")
    await expect(ada.field("Message")).to_be_focused()
    await keys.type("m and v are letters here")
    await keys.press("Enter")
    await expect(ada.page.get_by_role("log")).to_contain_text("m and v are letters here")
    await expect(ada.button("Turn on microphone")).to_be_visible()
    await _tab_to(ada, "Choose microphone and speaker")
    await keys.press("ArrowDown")
    await expect(ada.page.get_by_role("menu", name="Choose microphone and speaker")).to_be_visible()
    await keys.press("Escape")
    await expect(ada.button("Choose microphone and speaker")).to_be_focused()
    await keys.press("?")
    await expect(ada.page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    await keys.press("Escape")
    await _tab_to(ada, "Leave the call")
    await keys.press("Enter")
    await expect(ada.page.get_by_role("heading", name="You left the call")).to_be_visible()


async def test_holding_space_talks(visit: MakeVisitor) -> None:
    ada = await visit()
    await ada.sign_up()
    await ada.create_room("Weekly sync")
    await ada.join("Weekly sync")
    await expect(ada.button("Turn off microphone")).to_be_enabled()
    await ada.page.keyboard.press("m")
    await expect(ada.button("Turn on microphone")).to_be_visible()
    await ada.page.locator("body").evaluate("() => document.activeElement.blur()")
    await ada.page.keyboard.down(" ")
    await expect(ada.button("Turn off microphone")).to_be_enabled()
    await ada.page.keyboard.up(" ")
    await expect(ada.button("Turn on microphone")).to_be_visible()


async def test_single_key_shortcuts_can_be_turned_off(visit: MakeVisitor) -> None:
    ada = await visit()
    await ada.sign_up()
    await ada.create_room("Weekly sync")
    await ada.join("Weekly sync")
    await expect(ada.button("Turn off microphone")).to_be_enabled()
    await ada.page.keyboard.press("?")
    await ada.page.get_by_role("switch", name="Use single-key shortcuts").uncheck()
    await ada.page.keyboard.press("Escape")
    await ada.page.keyboard.press("m")
    await ada.page.keyboard.press("?")
    await expect(ada.page.get_by_role("dialog", name="Keyboard shortcuts")).to_be_visible()
    await ada.page.keyboard.press("Escape")
    await expect(ada.button("Turn off microphone")).to_be_visible()


async def test_the_theme_follows_the_system_until_one_is_chosen(visit: MakeVisitor) -> None:
    ada = await visit(color_scheme="dark")
    await ada.page.goto("/sign-in")
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    dark = await ada.page.evaluate(ground)
    await ada.page.emulate_media(color_scheme="light")
    light = await ada.page.evaluate(ground)
    assert dark != light

    await ada.button("Appearance").click()
    await ada.page.get_by_role("menuitemradio", name="Dark").click()
    assert await ada.page.evaluate(ground) == dark
    await ada.page.reload()
    await expect(ada.button("Sign in")).to_be_visible()
    assert await ada.page.evaluate(ground) == dark


async def test_nothing_is_wider_than_a_phone(visit: MakeVisitor) -> None:
    ada = await visit(viewport=_PHONE, has_touch=True, is_mobile=True)
    overflow = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
    await ada.page.goto("/sign-up")
    assert await ada.page.evaluate(overflow) == 0
    await ada.sign_up()
    await ada.create_room("A room with a name that is a good deal longer than a telephone is wide")
    assert await ada.page.evaluate(overflow) == 0
    await ada.page.get_by_role("link", name="Join").click()
    await expect(ada.button("Join now")).to_be_visible()
    assert await ada.page.evaluate(overflow) == 0
    await ada.button("Join now").click()
    await expect(ada.controls).to_be_visible()
    assert await ada.page.evaluate(overflow) == 0
    await expect(ada.button("Leave the call")).to_be_in_viewport(ratio=1)
    await ada.button("Chat").click()
    await expect(ada.field("Message")).to_be_in_viewport()
