"""API keys of an organisation in the console."""

import re

import pytest
from playwright.async_api import expect
from tests.web.conftest import MakeVisitor

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_key_is_made_shown_once_rotated_and_revoked(visit: MakeVisitor) -> None:
    ada = await visit()
    await ada.sign_up()
    await ada.button("Your account").click()
    await ada.page.get_by_role("menuitem", name="API keys").click()
    await expect(ada.page.get_by_role("heading", name="API keys", exact=True)).to_be_visible()
    await expect(ada.page.get_by_text("No keys yet.")).to_be_visible()

    await ada.button("New key").click()
    await ada.button("Create key").click()
    await expect(ada.page.get_by_text("a name for the key")).to_be_visible()
    await ada.field("Name").fill("Backend")
    await ada.field("Webhook address (optional)").fill("nowhere")
    await ada.button("Create key").click()
    await expect(ada.page.get_by_text("not an address such as")).to_be_visible()
    await ada.field("Webhook address (optional)").fill("https://app.example.org/livekit")
    await ada.button("Create key").click()
    shown = ada.page.get_by_role("dialog", name="Secret of “Backend”")
    key, secret = await ada.field("API key").input_value(), await ada.field("Secret").input_value()
    assert re.fullmatch(r"API[0-9a-f]{16}", key)
    assert len(secret) >= 32
    await ada.button("Done").click()
    await expect(shown).to_be_hidden()

    row = ada.page.get_by_role("list", name="API keys").get_by_role("listitem")
    await expect(row).to_have_count(1)
    await expect(row).to_contain_text(key)
    await expect(row).to_contain_text("https://app.example.org/livekit")
    assert secret not in await ada.page.content()

    await ada.button("More for Backend").click()
    await ada.page.get_by_role("menuitem", name="New secret").click()
    await ada.page.get_by_role("radio", name=re.compile("For an hour")).check()
    await ada.button("Make new secret").click()
    assert await ada.field("Secret").input_value() != secret
    await ada.button("Done").click()
    await expect(row).to_contain_text("the former secret works until")

    await ada.button("More for Backend").click()
    await ada.page.get_by_role("menuitem", name="Revoke key").click()
    await ada.button("Revoke key").click()
    await expect(ada.page.get_by_text("No keys yet.")).to_be_visible()
