"""The console's sessions: the refresh token in a cookie, and the proof that a request comes from our own page."""

import httpx
import pytest

from auralink.app.testing import PASSWORD, Gateway

WEB = {"x_auralink_client": "web"}


@pytest.fixture
async def browser(gateway: Gateway) -> httpx.AsyncClient:
    return gateway.client()


async def sign_up(browser: httpx.AsyncClient) -> httpx.Response:
    return await browser.post(
        "/api/v1/auth/signup",
        json={"email": "ann@example.org", "password": PASSWORD, "name": "Ann"},
        headers={"X-AuraLink-Client": "web"},
    )


async def test_a_browser_gets_a_cookie_it_cannot_read_and_no_token_in_the_body(browser: httpx.AsyncClient) -> None:
    answer = await sign_up(browser)
    assert answer.json()["refresh_token"] is None
    assert answer.json()["csrf_token"]
    session, csrf = answer.headers.get_list("set-cookie")
    assert session.startswith("auralink_refresh=alr_")
    for attribute in ("HttpOnly", "SameSite=strict", "Path=/api/v1/auth"):
        assert attribute in session
    assert "Secure" not in session  # the console is on plain http here
    assert csrf.startswith(f"auralink_csrf={answer.json()['csrf_token']}")
    assert "HttpOnly" not in csrf


async def test_over_https_the_cookie_is_bound_to_the_host(gateway: Gateway) -> None:
    async with gateway.client(base_url="https://gateway.test") as browser:
        answer = await sign_up(browser)
        session = answer.headers.get_list("set-cookie")[0]
        assert session.startswith("__Host-auralink_refresh=alr_")
        for attribute in ("HttpOnly", "SameSite=strict", "Path=/;", "Secure"):
            assert attribute in f"{session};"
        assert "Domain" not in session
        csrf = {"X-CSRF-Token": answer.json()["csrf_token"]}
        assert (await browser.post("/api/v1/auth/refresh", headers=csrf)).status_code == 200


async def test_a_browser_refreshes_with_cookie_and_csrf_token(browser: httpx.AsyncClient) -> None:
    csrf = (await sign_up(browser)).json()["csrf_token"]
    first = browser.cookies["auralink_refresh"]
    answer = await browser.post("/api/v1/auth/refresh", headers={"X-CSRF-Token": csrf})
    assert answer.status_code == 200, answer.text
    assert answer.json()["refresh_token"] is None
    assert browser.cookies["auralink_refresh"] != first


@pytest.mark.parametrize("token", [None, "", "guess", "0" * 64, "é"])
async def test_without_the_right_csrf_token_a_cookie_is_worth_nothing(
    browser: httpx.AsyncClient, token: str | None
) -> None:
    csrf = (await sign_up(browser)).json()["csrf_token"]
    headers = {} if token is None else {b"X-CSRF-Token": token.encode()}
    for path in ("/api/v1/auth/refresh", "/api/v1/auth/logout"):
        answer = await browser.post(path, headers=headers)
        assert answer.status_code == 403, answer.text
        assert answer.json()["code"] == "csrf_refused"
    assert (await browser.post("/api/v1/auth/refresh", headers={"X-CSRF-Token": csrf})).status_code == 200


async def test_the_csrf_token_of_another_session_is_worth_nothing(gateway: Gateway, browser: httpx.AsyncClient) -> None:
    await sign_up(browser)
    async with gateway.client() as thief:
        body = {"email": "eve@example.org", "password": PASSWORD, "name": "Eve"}
        own = await thief.post("/api/v1/auth/signup", json=body, headers={"X-AuraLink-Client": "web"})
    answer = await browser.post("/api/v1/auth/refresh", headers={"X-CSRF-Token": own.json()["csrf_token"]})
    assert answer.status_code == 403


async def test_a_request_another_site_caused_is_refused(browser: httpx.AsyncClient) -> None:
    csrf = (await sign_up(browser)).json()["csrf_token"]
    headers = {"X-CSRF-Token": csrf, "Sec-Fetch-Site": "cross-site"}
    assert (await browser.post("/api/v1/auth/refresh", headers=headers)).status_code == 403


async def test_signing_out_clears_the_cookies(browser: httpx.AsyncClient) -> None:
    csrf = (await sign_up(browser)).json()["csrf_token"]
    answer = await browser.post("/api/v1/auth/logout", headers={"X-CSRF-Token": csrf})
    assert answer.status_code == 204
    assert not browser.cookies
    assert (await browser.post("/api/v1/auth/refresh", headers={"X-CSRF-Token": csrf})).status_code == 401


async def test_a_cookie_alone_does_not_open_the_api(browser: httpx.AsyncClient) -> None:
    await sign_up(browser)
    assert (await browser.get("/api/v1/users/me")).status_code == 401
